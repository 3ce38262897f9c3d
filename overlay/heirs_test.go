package overlay

import (
	"strings"
	"testing"
	"time"

	"peergate/overlay/access"
	"peergate/overlay/p2p"
)

// rotate gives a stopped gateway a new key.
func (g *gateway) rotate() {
	g.t.Helper()
	id, err := p2p.NewIdentity()
	if err != nil {
		g.t.Fatal(err)
	}
	all, err := access.LoadSuccessions(g.o.Data)
	if err != nil {
		g.t.Fatal(err)
	}
	if _, err := all.Add(access.SignSuccession(g.id.Key, id.Key, time.Now())); err != nil {
		g.t.Fatal(err)
	}
	g.id, g.o.Identity = id, id
}

// A gateway that comes back with new keys is known again: by one that dials it, and by one that it dials. Tickets that it
// has issued before stay good, and so do those that it was given.
func TestPeersFollowANewKey(t *testing.T) {
	t.Parallel()
	a, b, c := newGateway(t, "a").members(), newGateway(t, "b"), newGateway(t, "c")
	c.start()
	b.start()
	a.knowsAt(b).knows(c).start() // a dials c
	b.knows(a)                    // b dials a
	c.knowsAt(a)
	b.node.Reconfigure(b.o)
	c.node.Reconfigure(c.o)
	tb, _ := a.ticket(b)
	tc, _ := a.ticket(c)
	b.has(tb)
	c.has(tc)
	old := a.id.ID
	for range 2 {
		before := a.id.ID
		a.stop()
		a.rotate()
		a.start()
		a.film("live")
		for _, g := range []*gateway{b, c} {
			eventually(t, g.name+" has followed", func() bool { return g.node.link(a.id.ID) != nil })
			eventually(t, g.name+" has let go of the old key's channel", func() bool { return g.node.channel(channelID(before, "live")) == nil })
			g.view("a/live").watch(50)
		}
	}
	// Who starts anew remembers it, though its configuration has the first key.
	b.stop()
	if string(old) != b.o.Peers["a"].ID {
		t.Fatal("the configuration has changed")
	}
	b.start()
	b.view("a/live").watch(50)
	// Who has a ticket may change its key too, when the owner lists it.
	b.stop()
	b.rotate()
	b.start()
	b.view("a/live").watch(50)
}

// Without the word of the old key nobody takes a peer's place, though the peer is missing.
func TestNoHeirWithoutTheOldKey(t *testing.T) {
	t.Parallel()
	a, b := newGateway(t, "a"), newGateway(t, "b")
	b.start()
	a.knows(b).start()
	b.knowsAt(a)
	b.node.Reconfigure(b.o)
	eventually(t, "a is connected", func() bool { return b.node.link(a.id.ID) != nil })
	a.stop()
	thief := newGateway(t, "thief").knows(b)
	if _, err := access.LoadSuccessions(thief.o.Data); err != nil {
		t.Fatal(err)
	}
	thief.start()
	eventually(t, "the thief is refused", func() bool { return strings.Contains(b.log.String(), "unlisted gateway refused") })
	if b.node.link(thief.id.ID) != nil || b.node.book.peer(thief.id.ID) != nil {
		t.Error("the thief is let in")
	}
}
