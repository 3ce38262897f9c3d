package overlay

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/p2p"
)

// shareLink returns the link of a stream of the gateway, which runs.
func (g *gateway) shareLink(name media.Name) ShareLink {
	g.t.Helper()
	return ShareLink{Owner: g.id.ID, Name: name, Via: g.addresses()}
}

// opens shares some streams with everybody.
func (g *gateway) opens(patterns ...string) *gateway {
	for _, p := range patterns {
		g.o.Conf.Channels = append(g.o.Conf.Channels, conf.Channel{Name: p, Access: conf.AccessOpen})
	}
	return g
}

// given gives the gateway a link, with a petname of its owner.
func (g *gateway) given(l ShareLink, petname string) *gateway {
	g.o.Conf.Links = append(g.o.Conf.Links, conf.Link{Link: l.String(), Petname: petname})
	return g
}

func TestStrangerWithALink(t *testing.T) {
	t.Parallel()
	a := newGateway(t, "a").opens("public/*").start()
	a.film("public/live")
	a.film("secret")
	b := newGateway(t, "b").given(a.shareLink("public/live"), "hall").start()
	for _, name := range []media.Name{"hall/public/live", media.Name(a.id.ID) + "/public/live"} {
		v := b.view(name)
		v.watch(100)
		if v.gap > 0 {
			t.Errorf("%s: %d packets are missing", name, v.gap)
		}
	}
	if st, err := b.open("hall/secret"); !errors.Is(err, media.ErrNotFound) {
		t.Errorf("Open of what is not open = %v, %v, want %v", st, err, media.ErrNotFound)
	}
	c := newGateway(t, "c").knows(a).start() // a does not list it, and what a has open it has no link of
	v := c.view("a/public/live")
	v.watch(50)
	if st, err := c.open("a/secret"); !errors.Is(err, media.ErrNotFound) {
		t.Errorf("Open of what is not open = %v, %v, want %v", st, err, media.ErrNotFound)
	}
}

// Strangers with the same link find each other through the owner and give each other what they have.
func TestStrangersServeEachOther(t *testing.T) {
	t.Parallel()
	a := newGateway(t, "a").opens("**")
	a.start()
	a.film("live")
	link := a.shareLink("live")
	b := newGateway(t, "b").given(link, "a").start()
	c := newGateway(t, "c").given(link, "a").start()
	vb, vc := b.view("a/live"), c.view("a/live")
	vb.watch(50)
	vc.watch(50)
	eventually(t, "the strangers are linked", func() bool { return b.node.link(c.id.ID) != nil && c.node.link(b.id.ID) != nil })
	// A link may name another member than the owner.
	d := newGateway(t, "d").given(ShareLink{
		Owner: a.id.ID, Name: "live", Via: []string{b.addresses()[0] + "/p2p/" + string(b.id.ID)},
	}, "a").start()
	vd := d.view("a/live")
	vd.watch(50)
}

// What a stranger may not have, it must not learn of: no stream's name, no answer about a channel, no push stream.
func TestStrangerLearnsNothing(t *testing.T) {
	t.Parallel()
	a, b := newGateway(t, "a").opens("public"), newGateway(t, "b")
	a.start()
	b.knows(a).start()
	a.film("public")
	a.film("secret")
	a.o.Peers["x"] = conf.Peer{ID: string(newGateway(t, "x").id.ID)}
	a.node.Reconfigure(a.o)
	ch, err := a.node.ownChannel(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stranger is connected", func() bool { return b.node.link(a.id.ID) != nil && a.node.link(b.id.ID) != nil })
	if got, want := a.node.shared(b.id.ID), (names{"public"}); !slices.Equal(got, want) {
		t.Errorf("streams told to a stranger: %v, want %v", got, want)
	}
	secret := channelID(a.id.ID, "secret")
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	s, err := b.node.host.Open(ctx, a.id.ID, p2p.Push)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Reset()
	if _, err := s.Write(appendFrame(nil, secret[:])); err != nil {
		t.Fatal(err)
	}
	if err := s.SetReadDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Read(make([]byte, 1)); n > 0 || err == nil || isTimeout(err) {
		t.Errorf("a push stream of what is not open: %d bytes, %v, want it reset", n, err)
	}
	if slices.Contains(ch.children(), b.id.ID) {
		t.Error("the stranger is a child")
	}
}

// A gateway without open channels is closed to strangers, also when it was open before.
func TestDoors(t *testing.T) {
	t.Parallel()
	a := newGateway(t, "a").opens("**").start()
	a.film("live")
	b := newGateway(t, "b").given(a.shareLink("live"), "a").start()
	v := b.view("a/live")
	v.watch(50)
	a.o.Conf.Channels = nil
	a.node.Reconfigure(a.o)
	eventually(t, "the stranger is sent away", func() bool { return a.node.link(b.id.ID) == nil })
	c := newGateway(t, "c").given(a.shareLink("live"), "a").start()
	if st, err := c.open("a/live"); err == nil || !strings.Contains(err.Error(), "list") {
		t.Errorf("Open at closed doors = %v, %v, want an error that tells why", st, err)
	}
	a.opens("**")
	a.node.Reconfigure(a.o)
	again := c.view("a/live")
	again.watch(50)
}

func TestGuests(t *testing.T) {
	l := new(link)
	begun := time.Now()
	l.used.Store(begun.UnixNano())
	for _, tt := range []struct {
		after time.Duration
		asked bool
		want  bool
	}{
		{guestPatience / 2, false, false},
		{guestPatience + time.Second, false, true},
		{guestPatience + time.Second, true, false},
		{guestSilence + time.Second, true, true},
	} {
		l.asked.Store(tt.asked)
		if got := l.useless(begun.Add(tt.after)); got != tt.want {
			t.Errorf("useless after %v, asked %v = %v, want %v", tt.after, tt.asked, got, tt.want)
		}
	}
}

// The owner of a stream names a helper: its links do, and who cannot reach the owner gets the stream there.
func TestTrackerIsNamed(t *testing.T) {
	t.Parallel()
	helper, a := newGateway(t, "helper"), newGateway(t, "a").opens("**")
	helper.o.Conf.Relay = []string{"a/*"}
	helper.start()
	a.knows(helper)
	a.o.Conf.Trackers = []string{"helper"}
	a.start()
	a.film("live")
	helper.stop()
	helper.knows(a).start()
	a.o.Peers["helper"] = conf.Peer{ID: string(helper.id.ID), Addresses: helper.addresses()}
	a.node.Reconfigure(a.o)
	eventually(t, "the helper carries the stream", func() bool { return len(helper.node.Status().Channels) > 0 })
	link, _, err := a.node.Share("live")
	if err != nil {
		t.Fatal(err)
	}
	var via []string
	for _, v := range link.Via {
		if strings.HasSuffix(v, "/p2p/"+string(helper.id.ID)) {
			via = append(via, v)
		}
	}
	if len(via) != 1 {
		t.Fatalf("the link has the addresses %v, want one of the helper", link.Via)
	}
	link.Via = via
	b := newGateway(t, "b").given(link, "a").start()
	v := b.view("a/live")
	v.watch(50)
	for _, ch := range b.node.Status().Channels {
		if !slices.Equal(ch.Trackers, []string{b.node.book.name(helper.id.ID)}) {
			t.Errorf("the status names the trackers %v, want the helper", ch.Trackers)
		}
	}
}
