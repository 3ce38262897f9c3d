package overlay

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/access"
	"peergate/overlay/p2p"
)

// members makes the streams of a gateway members-only.
func (g *gateway) members() *gateway {
	g.o.Conf.Channels = []conf.Channel{{Name: "**", Access: conf.AccessMembers}}
	return g
}

// ticket has a gateway issue a ticket for another one; nil: for a bearer, once.
func (g *gateway) ticket(holder *gateway) (text string, s access.Serial) {
	g.t.Helper()
	t := access.Ticket{Channels: []string{"**"}, Expires: time.Now().Add(time.Hour), Rights: access.Watch, Uses: 1}
	if holder != nil {
		t.Holder, t.Uses = holder.id.ID.Key(), 0
	}
	text, e, err := g.node.IssueTicket(t)
	if err != nil {
		g.t.Fatal(err)
	}
	return text, e.Serial
}

// has gives a running gateway tickets.
func (g *gateway) has(tickets ...string) *gateway {
	g.o.Conf.Tickets = tickets
	g.node.Reconfigure(g.o)
	return g
}

// ended waits until what a viewer sees is over.
func (v *viewer) ended() {
	v.t.Helper()
	for {
		if _, err := v.sub.Next(v.t.Context()); err != nil {
			return
		}
	}
}

func TestMembersOnly(t *testing.T) {
	t.Parallel()
	a, b, c := newGateway(t, "a").members(), newGateway(t, "b"), newGateway(t, "c")
	a.knowsAt(b).start()
	b.knows(a).knowsAt(c).start()
	c.knows(b).knowsAt(a).start()
	a.film("live")
	for _, g := range []*gateway{b, c} {
		if _, err := g.open("a/live"); !errors.Is(err, media.ErrForbidden) || !strings.Contains(err.Error(), "no ticket") {
			t.Errorf("Open at %s without a ticket = %v, want ErrForbidden that says so", g.name, err)
		}
	}
	text, serial := a.ticket(c)
	c.has(text)
	b.has(text) // which is of no use to it
	if _, err := b.open("a/live"); !errors.Is(err, media.ErrForbidden) || !strings.Contains(err.Error(), "another gateway's") {
		t.Errorf("Open with another's ticket = %v, want ErrForbidden that says so", err)
	}
	v := c.view("a/live")
	v.watch(300)
	if v.gap > 0 {
		t.Errorf("%d packets are missing", v.gap)
	}
	relay := b.node.channel(channelID(a.id.ID, "live"))
	if n := mute(t, relay); n == 0 {
		t.Error("the relay holds no chunks")
	}
	if err := a.node.RevokeTicket(serial); err != nil {
		t.Fatal(err)
	}
	v.ended()
	if _, err := c.open("a/live"); !errors.Is(err, media.ErrForbidden) || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("Open with a revoked ticket = %v, want ErrForbidden that says so", err)
	}
	for _, g := range []*gateway{a, b, c} {
		if strings.Contains(g.log.String(), text[10:]) {
			t.Errorf("the log of %s tells a ticket", g.name)
		}
	}
}

// mute fails the test when a packet can be read in what a member holds. It returns the number of chunks.
func mute(t *testing.T, ch *channel) (n int) {
	t.Helper()
	if ch == nil {
		return 0
	}
	done := make(chan struct{})
	ch.box.put(func() {
		defer close(done)
		for _, h := range ch.store.kept {
			n++
			if !h.chunk.Sealed || bytes.Contains(h.frame.wire, []byte("picture ")) {
				t.Errorf("chunk %d can be read", h.chunk.Seq)
			}
		}
		if ch.asker.ring.Find(ch.asker.epoch, ch.asker.least) != nil {
			t.Error("the member has keys")
		}
	})
	<-done
	return n
}

// A change of keys is not seen by those who go on: here one that is due to another's revocation.
func TestRevokedWhileAnotherWatches(t *testing.T) {
	t.Parallel()
	a, b, c := newGateway(t, "a").members(), newGateway(t, "b"), newGateway(t, "c")
	a.knowsAt(b).knowsAt(c).start()
	b.knows(a).knowsAt(c).start()
	c.knows(a).knows(b).start()
	a.film("live")
	tb, serial := a.ticket(b)
	tc, _ := a.ticket(c)
	b.has(tb)
	c.has(tc)
	vb, vc := b.view("a/live"), c.view("a/live")
	vb.watch(100)
	vc.watch(100)
	own := a.node.channel(channelID(a.id.ID, "live"))
	key := func() uint64 { return own.giver.content(time.Now()).ID }
	before := key()
	if err := a.node.RevokeTicket(serial); err != nil {
		t.Fatal(err)
	}
	vb.ended()
	for began := time.Now(); key() == before || time.Since(began) < access.Lead; {
		vc.watch(50)
	}
	vc.watch(300)
	if vc.gap > 0 {
		t.Errorf("%d packets are missing at the one who was not revoked", vc.gap)
	}
	if relay := b.node.channel(own.id); relay != nil {
		mute(t, relay)
	}
}

// A bearer's ticket is the gateway's that uses it first, also of one that the owner does not list.
func TestBearer(t *testing.T) {
	t.Parallel()
	a := newGateway(t, "a").members().start()
	b, c := newGateway(t, "b").knows(a), newGateway(t, "c").knows(a)
	a.film("live")
	text, _ := a.ticket(nil)
	b.start().has(text)
	v := b.view("a/live")
	v.watch(100)
	c.start().has(text)
	if _, err := c.open("a/live"); err == nil {
		t.Error("Open of a second gateway = nil, want an error")
	}
	if e, err := a.node.Tickets(); err != nil || len(e) != 1 || len(e[0].Bound) != 1 || !bytes.Equal(e[0].Bound[0].Gateway, b.id.ID.Key()) {
		t.Errorf("Tickets = %+v, %v, want one that is bound to b", e, err)
	}
	v.watch(100)
}

// Two gateways that nobody lists serve each other: their leaves let them in.
func TestStrangersWithTicketsServeEachOther(t *testing.T) {
	t.Parallel()
	a := newGateway(t, "a").members().start()
	b, c := newGateway(t, "b").knows(a).start(), newGateway(t, "c").knows(a).start()
	a.film("live")
	tb, _ := a.ticket(b)
	tc, _ := a.ticket(c)
	vb, vc := b.has(tb).view("a/live"), c.has(tc).view("a/live")
	id := channelID(a.id.ID, "live")
	eventually(t, "b and c have let each other in", func() bool {
		vb.watch(10)
		vc.watch(10)
		return b.node.leaves.has(id, c.id.ID, time.Now()) && c.node.leaves.has(id, b.id.ID, time.Now())
	})
	vb.watch(100)
	vc.watch(100)
	if vb.gap+vc.gap > 0 {
		t.Errorf("%d and %d packets are missing", vb.gap, vc.gap)
	}
}

// A player stays when its channel becomes members-only under it, as long as its gateway has a ticket, and when it becomes open again.
func TestAccessChanges(t *testing.T) {
	t.Parallel()
	a := newGateway(t, "a")
	b := newGateway(t, "b")
	a.knowsAt(b).start()
	b.knows(a).start()
	a.film("live")
	text, _ := a.ticket(b)
	b.has(text)
	v := b.view("a/live")
	v.watch(100)
	for _, sealed := range []bool{true, false} {
		if a.o.Conf.Channels = nil; sealed {
			a.members()
		}
		a.node.Reconfigure(a.o)
		eventually(t, "the channel is described anew", func() bool {
			v.watch(10)
			ch := b.node.channel(channelID(a.id.ID, "live"))
			return ch != nil && ch.membersOnly() == sealed
		})
		v.watch(300)
	}
	t.Logf("%d packets are missing: a new epoch begins with a key packet", v.gap)
}

// A ticket is no leave for the streams of a gateway that does not share them.
func TestTicketForOtherChannels(t *testing.T) {
	t.Parallel()
	a := newGateway(t, "a").members()
	b := newGateway(t, "b")
	a.knowsAt(b).start()
	b.knows(a).start()
	a.film("live")
	text, _, err := a.node.IssueTicket(access.Ticket{
		Holder: b.id.ID.Key(), Channels: []string{"other/*"}, Expires: time.Now().Add(time.Hour), Rights: access.Watch,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.has(text)
	if _, err := b.open("a/live"); !errors.Is(err, media.ErrForbidden) {
		t.Errorf("Open = %v, want ErrForbidden", err)
	}
}

func TestDecodeKeysRefuses(t *testing.T) {
	good := keysMessage{channel: channelID(newGateway(t, "x").id.ID, "live"), gateway: newGateway(t, "y").id.ID, request: []byte{1}, hops: 2}
	c, err := decodeControl(good.encode())
	if err != nil || c.keys == nil || c.keys.channel != good.channel || c.keys.gateway != good.gateway || c.keys.hops != 2 {
		t.Errorf("decodeControl = %+v, %v", c.keys, err)
	}
	bad := good
	bad.gateway = p2p.ID("nobody")
	if _, err := decodeControl(bad.encode()); !errors.Is(err, errMalformed) {
		t.Errorf("decodeControl of a wrong ID = %v, want errMalformed", err)
	}
	bad = good
	bad.request = make([]byte, access.MaxMessage+1)
	if _, err := decodeControl(bad.encode()); !errors.Is(err, errMalformed) {
		t.Errorf("decodeControl of a long request = %v, want errMalformed", err)
	}
}
