package overlay

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
)

// In the distributed hash table a gateway is found by the channels that it has, as far as strangers may have them, and by
// that it lists some in its directory. A channel stands there by the hash of its ID, which is a hash of owner and name
// itself: whoever knows neither learns nothing from it.

const (
	// enterEvery is how often this gateway looks whether there is something new to enter, and enterAgain how often the same is entered.
	enterEvery, enterAgain = 5 * time.Second, 6 * time.Hour
	// enterWithin bounds an entry, which asks some ten gateways.
	enterWithin = time.Minute
	// tableWithin is how long the table is searched for a channel.
	tableWithin = 1500 * time.Millisecond
	// tableMost bounds the gateways that are asked for a channel because the table names them.
	tableMost = 8
	// tableLife is how long what the table has told is believed.
	tableLife = 30 * time.Second
)

// directories is under what gateways with a directory stand in the table.
const directories = "peergate directories 1"

// tableOf returns what a configuration says of the table; nil is that there is none.
func tableOf(c conf.Overlay) *p2p.DHT {
	if !c.DHT.Enabled {
		return nil
	}
	return &p2p.DHT{Bootstrap: c.DHT.Bootstrap}
}

// tellings is what the table has told of channels.
type tellings struct {
	mu sync.Mutex // guards the field below
	of map[chunk.ID]telling
}

type telling struct {
	places []p2p.Place
	at     time.Time
}

// note remembers what was told of a channel, and forgets what is old.
func (t *tellings) note(id chunk.ID, places []p2p.Place, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = make(map[chunk.ID]telling)
	}
	for old, v := range t.of {
		if now.Sub(v.at) > tableLife {
			delete(t.of, old)
		}
	}
	t.of[id] = telling{places, now}
}

// places returns what was told of a channel lately.
func (t *tellings) places(id chunk.ID, now time.Time) []p2p.Place {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v := t.of[id]; now.Sub(v.at) <= tableLife {
		return v.places
	}
	return nil
}

// consult looks in the table for the owner of a channel and for gateways that have it. It reports whether there are some.
func (n *Node) consult(ctx context.Context, owner p2p.ID, name media.Name) bool {
	if !n.options().Conf.DHT.Enabled {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, tableWithin)
	defer cancel()
	id := channelID(owner, name)
	var all []p2p.Place
	var found p2p.Place
	var ok bool
	var looking sync.WaitGroup
	looking.Go(func() { found, ok = n.host.Find(ctx, owner) })
	all = n.host.Providers(ctx, id[:], tableMost)
	looking.Wait()
	if ok {
		all = append(all, found)
	}
	n.tellings.note(id, all, time.Now())
	return len(all) > 0
}

// searchFirst asks all whom this gateway knows, and leaves time for the table where there is one: an address out of date may
// give no answer at all.
func (n *Node) searchFirst(ctx context.Context, s seek, except p2p.ID) outcome {
	if n.options().Conf.DHT.Enabled {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, seekWithin-tableWithin-time.Second)
		defer cancel()
	}
	return n.search(ctx, s, except)
}

// enterTable enters this gateway into the table with the channels that it has, until ctx ends.
func (n *Node) enterTable(ctx context.Context) {
	if !n.options().Conf.DHT.Enabled {
		return
	}
	entered := make(map[string]time.Time)
	t := time.NewTicker(enterEvery)
	defer t.Stop()
	for {
		has := n.has()
		for what := range entered {
			if !slices.Contains(has, what) {
				delete(entered, what)
			}
		}
		for _, what := range has {
			if at := entered[what]; !at.IsZero() && time.Since(at) < enterAgain {
				continue
			}
			within, cancel := context.WithTimeout(ctx, enterWithin)
			if err := n.host.Provide(within, []byte(what)); err == nil {
				entered[what] = time.Now()
			}
			cancel()
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// has returns under what this gateway is to stand in the table.
func (n *Node) has() (all []string) {
	if len(n.directory().Listings) > 0 {
		all = append(all, directories)
	}
	c := n.options().Conf
	for _, st := range n.hub.Streams() {
		_, _, rendition := st.Name().Rendition()
		if !rendition && n.own(st.Name()) && shares(c.Share, st.Name()) && accessTo(&c, st.Name()) != chunk.Listed {
			id := channelID(n.ID(), st.Name())
			all = append(all, string(id[:]))
		}
	}
	for _, ch := range n.allChannels() {
		if ch.source == nil && (ch.public() || ch.membersOnly()) && !ch.orphan.Load() {
			all = append(all, string(ch.id[:]))
		}
	}
	return all
}

// Directories returns gateways that have a directory, as the table tells; without a table there is an error.
func (n *Node) Directories(ctx context.Context, most int) ([]p2p.Place, error) {
	if !n.options().Conf.DHT.Enabled {
		return nil, errNoTable
	}
	ctx, cancel := context.WithTimeout(ctx, directoryWithin)
	defer cancel()
	return n.host.Providers(ctx, []byte(directories), most), nil
}

var errNoTable = errors.New("overlay.dht is not enabled")
