package overlay

import (
	"maps"
	"slices"
	"sync"
	"time"

	"peergate/overlay/access"
	"peergate/overlay/chunk"
	"peergate/overlay/p2p"

	"google.golang.org/protobuf/encoding/protowire"
)

// Requests for keys go to the owner from member to member, each to a parent of its own, when there is no link to the owner,
// and grants come back the same way. Those between can read neither.

const (
	// passLife is how long the way back to a gateway is remembered.
	passLife = holderLife
	// maxPasses bounds the ways that are remembered, each of about 200 bytes.
	maxPasses = 8192
)

// keysMessage is a request for keys or a grant, on its way, or a leave: the ticket by which a member lets a stranger take
// part in the channel. One of them is set.
type keysMessage struct {
	channel chunk.ID
	gateway p2p.ID // who asks
	request []byte
	grant   []byte
	leave   []byte
	hops    uint64
}

func (m *keysMessage) encode() []byte {
	return envelope(fieldKeys, fields(nil).text(1, string(m.channel[:])).text(2, string(m.gateway)).
		text(3, string(m.request)).text(4, string(m.grant)).number(5, m.hops).text(6, string(m.leave)))
}

func decodeKeys(b []byte) (*keysMessage, error) {
	m := new(keysMessage)
	channel := 0
	err := walk(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			channel = copy(m.channel[:], v)
		case 2:
			m.gateway = p2p.ID(v)
		case 3:
			m.request = v
		case 4:
			m.grant = v
		case 5:
			m.hops = n
		case 6:
			m.leave = v
		}
	})
	if err != nil {
		return nil, err
	}
	if _, err := p2p.ParseID(string(m.gateway)); err != nil || channel != len(m.channel) ||
		len(m.request) > access.MaxMessage || len(m.grant) > access.MaxMessage {
		return nil, errMalformed
	}
	return m, nil
}

// passes remembers by which peers gateways have asked for keys.
type passes struct {
	mu   sync.Mutex // guards ways
	ways map[pass]way
}

type pass struct {
	channel chunk.ID
	gateway p2p.ID
}

type way struct {
	by   p2p.ID
	seen time.Time
}

// note remembers by which peer a gateway has asked. It reports false when there are too many.
func (p *passes) note(channel chunk.ID, gateway, by p2p.ID, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ways == nil {
		p.ways = make(map[pass]way)
	}
	key := pass{channel, gateway}
	if _, known := p.ways[key]; !known && len(p.ways) >= maxPasses {
		maps.DeleteFunc(p.ways, func(_ pass, w way) bool { return now.Sub(w.seen) > passLife })
		if len(p.ways) >= maxPasses {
			return false
		}
	}
	p.ways[key] = way{by, now}
	return true
}

// back sends a grant on to the peer by which the gateway has asked.
func (p *passes) back(n *Node, m *keysMessage) {
	p.mu.Lock()
	w, ok := p.ways[pass{m.channel, m.gateway}]
	p.mu.Unlock()
	if !ok || time.Since(w.seen) > passLife {
		return
	}
	to := n.link(m.gateway) // it may have come nearer
	if to == nil {
		to = n.link(w.by)
	}
	if to != nil {
		to.send(m.encode())
	}
}

// keys handles a request for keys or a grant that a peer has sent.
func (n *Node) keys(from p2p.ID, m *keysMessage) {
	ch := n.channel(m.channel)
	switch {
	case m.grant != nil:
		n.grant(m)
	case m.leave != nil:
		n.shownLeave(from, m)
	case ch == nil || m.request == nil:
	case ch.source != nil:
		n.askedForKeys(from, m)
	case !ch.admits(from):
	case m.hops < maxHops && m.gateway != n.ID():
		ch.box.offer(func() { ch.passOn(from, m) })
	}
}

// passOn passes a request on towards the owner.
func (ch *channel) passOn(from p2p.ID, m *keysMessage) {
	to := ch.towardsOwner(from, int(m.hops))
	if to == nil || !ch.n.passes.note(ch.id, m.gateway, from, time.Now()) {
		return
	}
	m.hops++
	to.send(m.encode())
}

// towardsOwner returns a link to the owner of the channel, or else to one of the parents here, but not to the one who asks.
func (ch *channel) towardsOwner(from p2p.ID, turn int) *link {
	if l := ch.n.link(ch.owner); l != nil {
		return l
	}
	parents := slices.DeleteFunc(slices.Sorted(maps.Keys(ch.inflows)), func(id p2p.ID) bool { return id == from || ch.n.link(id) == nil })
	if len(parents) == 0 {
		return nil
	}
	return ch.n.link(parents[turn%len(parents)])
}
