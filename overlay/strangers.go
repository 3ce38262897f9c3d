package overlay

import (
	"context"
	"errors"
	"slices"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"
)

// A stranger is a gateway that the configuration does not list and that does not know the network's key. This gateway dials one only while a channel needs it: the
// owner of a link, or another member of an open channel. It lets one in while it shares or carries an open channel, and
// then answers for open channels alone: the others it does not even know of, as far as a stranger can tell. Strangers
// are named, with their addresses, to members of the open channel that they have joined, and to nobody else.

const (
	// maxGuests bounds the strangers that have come by themselves: half of all connections, at 100 KB each.
	maxGuests = 1024
	// guestPatience is how long a guest may stay that asks for nothing it may have, and how long one must have been
	// silent to make room for another when there are too many.
	guestPatience = 30 * time.Second
	// guestSilence is how long a guest may say nothing of a channel: more than the 10 minutes that a member of the
	// largest swarms may be silent.
	guestSilence = 12 * time.Minute
	// guestsEvery is the time between looks at the guests.
	guestsEvery = 5 * time.Second
	// maxNear is how many gateways of the local network are asked for a channel at once: were it all, many of one network
	// that begin together would make connections with the square of their number. A later search asks others.
	maxNear = 8
	// maxSeeksOfGuests bounds the questions of a stranger that are being looked into.
	maxSeeksOfGuests = 4
)

var (
	errGuests  = errors.New("too many gateways that are not listed are connected")
	errUseless = errors.New("the gateway is not listed, and nothing is shared with it any more")
)

// accessTo returns who may have a stream of this gateway that is shared.
func accessTo(c *conf.Overlay, name media.Name) chunk.Access {
	if ch := channelOf(c, name); ch != nil {
		switch ch.Access {
		case conf.AccessOpen:
			return chunk.Open
		case conf.AccessMembers:
			return chunk.Members
		}
	}
	return chunk.Listed
}

// public tells whether anybody may have the channel.
func (ch *channel) public() bool {
	if ch.source != nil {
		return ch.n.opens(ch.name)
	}
	d, _ := ch.description()
	return d.Access == chunk.Open
}

// opens tells whether anybody may have a stream of this gateway.
func (n *Node) opens(name media.Name) bool {
	c := n.options().Conf
	return shares(c.Share, name) && accessTo(&c, name) == chunk.Open
}

// admits tells whether a gateway may take part in the channel: a listed one, whom this gateway asked for it, or anybody.
func (ch *channel) admits(id p2p.ID) bool {
	return ch.n.book.trusts(id) || ch.n.book.needs(id, ch.id) || ch.public() || ch.n.leaves.has(ch.id, id, time.Now())
}

// deals tells whether the channel has to do with a gateway that is linked: strangers come in by themselves or are called.
func (ch *channel) deals(id p2p.ID) bool {
	return ch.n.book.trusts(id) || ch.n.book.needs(id, ch.id) || ch.guests[id]
}

// welcome notes that a gateway speaks of the channel: a stranger becomes a guest of it.
func (ch *channel) welcome(id p2p.ID) {
	if !ch.deals(id) {
		ch.guests[id] = true
		ch.relinked(id)
	}
}

// expel ends what the channel has to do with those who may not have it any more.
func (ch *channel) expel() {
	for id := range ch.told {
		if !ch.admits(id) {
			delete(ch.told, id)
			delete(ch.guests, id)
			ch.shut(id)
			ch.step(swarm.LinkDown{Peer: swarm.ID(id), Ban: banFor})
		}
	}
}

// forgo lets go of a stranger, whom the channel does not need; the link ends if nothing else does.
func (ch *channel) forgo(id p2p.ID) {
	if !ch.n.book.forgo(id, ch.id) {
		return
	}
	ch.n.watch()
	if l := ch.n.link(id); l != nil && l.stream.Dialled() && !ch.guests[id] {
		l.close(errUseless)
		ch.n.host.Drop(id)
	}
}

// doors opens the gateway to strangers while it shares or carries an open channel or relays for anybody, and closes it
// otherwise.
func (n *Node) doors() {
	c := n.options().Conf
	open := slices.Contains(c.RelayFor, conf.RelayAny) || c.DHT.Enabled
	for i := range c.Channels {
		open = open || c.Channels[i].Access != conf.AccessListed && c.Channels[i].Access != "" && len(c.Share) > 0
		open = open || c.Channels[i].Directory.Lists() // which anybody may read
	}
	for _, ch := range n.allChannels() {
		open = open || ch.public() || ch.membersOnly()
	}
	n.book.doors.Store(open)
}

// guest tells whether a gateway that is linked has come as a stranger.
func (n *Node) guest(id p2p.ID) bool { return !n.book.trusts(id) && n.book.known(id) == nil }

// room makes sure that there is room for one more guest: the one that has been silent for longest goes.
func (n *Node) room() error {
	var silent *link
	guests := 0
	for _, l := range n.linked() {
		if !n.guest(l.peer) {
			continue
		}
		guests++
		if silent == nil || l.used.Load() < silent.used.Load() {
			silent = l
		}
	}
	if guests < maxGuests {
		return nil
	}
	if time.Since(time.Unix(0, silent.used.Load())) < guestPatience {
		return errGuests
	}
	silent.close(errGuests)
	n.host.Drop(silent.peer)
	return nil
}

// attendGuests ends the links to strangers of which nothing is to be expected, until ctx ends.
func (n *Node) attendGuests(ctx context.Context) {
	t := time.NewTicker(guestsEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		for _, l := range n.linked() {
			if n.guest(l.peer) && (!n.book.doors.Load() || l.useless(time.Now())) {
				l.close(errUseless)
				n.host.Drop(l.peer)
			}
		}
	}
}

// useless tells whether a guest has said nothing of a channel for too long.
func (l *link) useless(now time.Time) bool {
	silent := now.Sub(time.Unix(0, l.used.Load()))
	return silent > guestSilence || silent > guestPatience && !l.asked.Load()
}

// use notes that a peer has asked for something that it may have.
func (l *link) use() {
	l.asked.Store(true)
	l.used.Store(time.Now().UnixNano())
}

// contacts returns the strangers that links name for a channel and some of the local network, who are dialled from now on
// until part.
func (n *Node) contacts(owner p2p.ID, name media.Name) []*peer {
	var all []*peer
	meet := func(id p2p.ID, addrs []string, keep bool) {
		if id == n.ID() || n.book.peer(id) != nil {
			return
		}
		if p := n.book.meet(id, channelID(owner, name), keep); p != nil {
			p.learn(addrs)
			all = append(all, p)
		}
	}
	tipped := n.book.tipped(owner, name)
	for id, addrs := range tipped {
		meet(id, addrs, true)
	}
	near := 0
	for id, addrs := range n.near.all() { // in random order
		if near++; tipped[id] == nil && (near <= maxNear || id == owner) {
			meet(id, addrs, id == owner)
		}
	}
	for _, p := range n.tellings.places(channelID(owner, name), time.Now()) {
		if tipped[p.ID] == nil {
			meet(p.ID, p.Addresses, p.ID == owner)
		}
	}
	if len(all) > 0 {
		n.watch()
	}
	return all
}

// part lets go of all strangers that a channel needed.
func (n *Node) part(id chunk.ID) {
	if n.book.part(id) {
		n.watch()
	}
}
