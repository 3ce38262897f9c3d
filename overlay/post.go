package overlay

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"peergate/overlay/ledger"
	"peergate/overlay/p2p"
)

// Letters go to the owner of a channel itself where there is a link to it, else to one by whom its channels come or
// came, or to any peer, which hands them on. The reply comes back the same way.

const (
	// routeFor is how long the way back of a letter is remembered, and maxRoutes how many are.
	routeFor  = 30 * time.Second
	maxRoutes = 8192
)

// route is where the reply to a letter goes.
type route struct {
	to p2p.ID
	at time.Time
}

// post is a letter on its way to an owner.
type post struct {
	owner  p2p.ID
	number uint64 // of the letter
	hops   uint64 // from its sender
	letter []byte
}

func (p *post) encode() []byte {
	return envelope(fieldPost, fields(nil).text(1, string(p.owner)).fixed(2, p.number).number(3, p.hops).text(4, string(p.letter)))
}

func decodePost(b []byte) (*post, error) {
	p := new(post)
	err := walk(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			p.owner = p2p.ID(v)
		case 2:
			p.number = n
		case 3:
			p.hops = n
		case 4:
			p.letter = v
		}
	})
	if err != nil {
		return nil, err
	}
	if _, err := p2p.ParseID(string(p.owner)); err != nil || len(p.letter) > ledger.MaxLetter {
		return nil, fmt.Errorf("%w: letter of %d bytes", errMalformed, len(p.letter))
	}
	return p, nil
}

// pass sends a letter on towards its owner, if there is a way. The peer except is not used: the letter came from it.
func (a *accounts) pass(p *post, except p2p.ID) {
	if p.hops++; p.hops > maxHops {
		return
	}
	if l := a.n.link(p.owner); l != nil && p.owner != except {
		a.tell(l, p.encode())
		return
	}
	a.mu.Lock()
	ways := a.ways[p.owner]
	a.mu.Unlock()
	for _, id := range ways {
		if l := a.n.link(id); l != nil && id != except {
			a.tell(l, p.encode())
			return
		}
	}
	for _, l := range a.n.linked() { // perhaps it knows more
		if l.peer != except && l.reason() == nil {
			a.tell(l, p.encode())
			return
		}
	}
}

// posted takes in a letter from a peer: it is for this gateway, or to be handed on.
func (a *accounts) posted(l *link, p *post) error {
	if p.owner != a.n.ID() {
		if a.remember(p.number, l.peer, time.Now()) {
			a.pass(p, l.peer)
		}
		return nil
	}
	letter, err := ledger.ParseLetter(p.letter)
	if err != nil || letter.Owner != a.self {
		if p.hops > 1 {
			return nil // the peer has only handed it on
		}
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	from, number := l.peer, p.number
	a.deliver(letter, func(raw []byte) { a.reply(from, number, raw) })
	return nil
}

// remember notes where the reply to a letter goes; it reports false when there are too many letters.
func (a *accounts) remember(number uint64, to p2p.ID, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.routes) >= maxRoutes {
		for n, r := range a.routes {
			if now.Sub(r.at) > routeFor {
				delete(a.routes, n)
			}
		}
	}
	if _, ok := a.routes[number]; ok || len(a.routes) >= maxRoutes {
		return false
	}
	a.routes[number] = route{to, now}
	return true
}

// reply sends a reply back on the way of its letter.
func (a *accounts) reply(to p2p.ID, number uint64, raw []byte) {
	if l := a.n.link(to); l != nil {
		a.tell(l, envelope(fieldReply, fields(nil).fixed(1, number).text(2, string(raw))))
	}
}

// replied takes in a reply from a peer: it is for this gateway, or to be handed back.
func (a *accounts) replied(b []byte) error {
	var number uint64
	var raw []byte
	err := walk(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			number = n
		case 2:
			raw = v
		}
	})
	if err != nil || len(raw) > ledger.MaxLetter {
		return fmt.Errorf("%w: reply of %d bytes: %w", errMalformed, len(raw), err)
	}
	a.mu.Lock()
	r, ok := a.routes[number]
	delete(a.routes, number)
	a.mu.Unlock()
	if ok {
		a.reply(r.to, number, raw)
		return nil
	}
	a.answered(raw)
	return nil
}
