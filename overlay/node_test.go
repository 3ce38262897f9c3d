package overlay

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"peergate/conf"
	"peergate/media"
)

func TestChain(t *testing.T) {
	t.Parallel()
	a, b, c := chain(t)
	a.film("hall/live")
	far := c.view("a/hall/live")
	far.watch(100)
	byID := c.view(media.Name(a.id.ID) + "/hall/live")
	near := b.view("a/hall/live")
	for _, v := range []*viewer{far, byID, near} {
		v.watch(100)
		if v.gap > 0 {
			t.Errorf("%d packets are missing", v.gap)
		}
		if got, want := v.st.SSRC(0), a.hub.Stream("hall/live").SSRC(0); got != want {
			t.Errorf("SSRC = %d, want the owner's, %d", got, want)
		}
	}
	eventually(t, "status tells the parent", func() bool {
		s := c.node.Status()
		return len(s.Channels) == 1 && len(s.Channels[0].Parents) == 1 && s.Channels[0].Parents[0] == "b"
	})
	if s := b.node.Status().Channels; len(s) != 1 || s[0].In == 0 || s[0].Out == 0 {
		t.Errorf("channels of b: %+v, want one that gives to c what comes", s)
	}
	for _, v := range []*viewer{far, byID, near} {
		v.sub.Close()
	}
	for _, g := range []*gateway{a, b, c} {
		eventually(t, g.name+" stops to carry the channel", func() bool { return len(g.node.allChannels()) == 0 })
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	a, _, c := chain(t)
	a.o.Conf.Share = []string{"open/*"}
	a.node.Reconfigure(a.o)
	a.film("secret")
	for _, name := range []media.Name{"nothing", "a/open/nothing", "b/nothing", "a/secret", "a", "a/b/c/d"} {
		began := time.Now()
		if st, err := c.open(name); !errors.Is(err, media.ErrNotFound) {
			t.Errorf("Open %s = %v, %v, want %v", name, st, err, media.ErrNotFound)
		} else {
			t.Logf("Open %s = %v after %v", name, err, time.Since(began))
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("Open %s is answered after %v", name, d)
		}
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	a, b := newGateway(t, "a"), newGateway(t, "b")
	a.start() // does not list b
	b.knows(a).start()
	for range 2 {
		st, err := b.open("a/live")
		if err == nil || errors.Is(err, media.ErrNotFound) || !strings.Contains(err.Error(), "list") {
			t.Errorf("Open at a gateway that does not list us = %v, %v, want an error that says so", st, err)
		}
	}
	b.o.Peers["x"] = conf.Peer{ID: string(newGateway(t, "x").id.ID), Addresses: []string{"/ip4/127.0.0.1/tcp/9"}}
	b.node.Reconfigure(b.o)
	if st, err := b.open("x/live"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("Open at nobody's address = %v, %v, want connection refused", st, err)
	}
	if n := strings.Count(b.log.String(), "peer unreachable"); n != 2 {
		t.Errorf("the log says %d times that a peer is unreachable, want once for each\n%s", n, b.log)
	}
}

func TestRelayDies(t *testing.T) {
	t.Parallel()
	a, b, c := chain(t)
	d := newGateway(t, "d").knows(a).knowsAt(c).start()
	a.knowsAt(d)
	a.node.Reconfigure(a.o)
	a.film("live")
	v := c.view("a/live")
	v.watch(50)
	c.knows(d)
	c.node.Reconfigure(c.o)
	eventually(t, "d is connected", func() bool { return strings.Contains(c.log.String(), `"peer connected" part=overlay peer=d`) })
	v.watch(50)
	if v.gap > 0 {
		t.Errorf("%d packets are missing before the relay dies", v.gap)
	}
	b.stop()
	v.watch(300)
	if !strings.Contains(c.log.String(), `"peer lost" part=overlay peer=b`) {
		t.Errorf("the log of c does not say that b is lost:\n%s", c.log)
	}
	b.start()
	eventually(t, "b is back", func() bool { return c.node.link(b.id.ID) != nil })
	d.stop()
	v.watch(300)
}

func TestOwnerReturns(t *testing.T) {
	t.Parallel()
	a, _, c := chain(t)
	stop := a.film("live")
	v := c.view("a/live")
	v.watch(100)
	stop()
	a.stop()
	a.start()
	a.film("live")
	v.watch(300)
	if s := c.node.Status().Channels; len(s) != 1 || len(s[0].As) != 1 {
		t.Errorf("channels of c: %+v", s)
	}
}

func TestStreamEnds(t *testing.T) {
	t.Parallel()
	a, _, c := chain(t)
	stop := a.film("live")
	v := c.view("a/live")
	v.watch(50)
	stop()
	select {
	case <-v.st.Done():
	case <-time.After(testTimeout):
		t.Error("the stream at c does not end with the owner's")
	}
}

func TestTracksChange(t *testing.T) {
	t.Parallel()
	a, _, c := chain(t)
	stop := a.film("live")
	v := c.view("a/live")
	v.watch(50)
	stop()
	same := media.Track{Kind: "video", Lines: append([]string{}, h264.Lines...)}
	same.Lines[2] += ";sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg=="
	stop = a.film("live", same)
	v.watch(200)
	if got := v.st.Tracks()[0].Lines[2]; got != same.Lines[2] {
		t.Errorf("fmtp at c = %q, want %q", got, same.Lines[2])
	}
	stop()
	a.film("live", h264, opus)
	select {
	case <-v.st.Done():
	case <-time.After(testTimeout):
		t.Fatal("the stream at c goes on with other tracks")
	}
	again := c.view("a/live")
	again.watch(50)
	if n := len(again.st.Tracks()); n != 2 {
		t.Errorf("%d tracks, want 2", n)
	}
}

func TestTampering(t *testing.T) {
	t.Parallel()
	a, b, c := chain(t)
	b.node.spoil = func(chunk []byte) []byte {
		chunk[len(chunk)/2] ^= 1
		return chunk
	}
	a.film("live")
	began := time.Now()
	if st, err := c.open("a/live"); err == nil {
		v := &viewer{t: t, st: st, sub: st.Subscribe(media.SubscribeOptions{}), seq: make(map[int]uint16)}
		defer v.sub.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if pkts, err := v.sub.Next(ctx); err == nil {
			t.Errorf("%d packets came through a gateway that tampers", len(pkts))
		}
	}
	t.Logf("opened after %v", time.Since(began))
	if !strings.Contains(c.log.String(), `"peer banned" part=overlay peer=b`) {
		t.Errorf("c has not banned b:\n%s", c.log)
	}
	if c.node.link(b.id.ID) != nil {
		t.Error("c has a link to a banned peer")
	}
}

// TestBothDial has two gateways dial each other at the same moment: one control stream stays, and nothing is lost.
func TestBothDial(t *testing.T) {
	t.Parallel()
	for range 4 {
		a, b := newGateway(t, "a"), newGateway(t, "b")
		a.knowsAt(b).start()
		b.knowsAt(a).start()
		a.film("live")
		a.knows(b)
		b.knows(a)
		var wg sync.WaitGroup
		for _, g := range []*gateway{a, b} {
			wg.Go(func() { g.node.Reconfigure(g.o) })
		}
		wg.Wait()
		v := b.view("a/live")
		v.watch(100)
		if v.gap > 0 {
			t.Errorf("%d packets are missing", v.gap)
		}
		for _, g := range []*gateway{a, b} {
			if s := g.log.String(); strings.Contains(s, "peer lost") || strings.Count(s, "peer connected") != 1 {
				t.Errorf("the log of %s:\n%s", g.name, s)
			}
		}
		if la, lb := a.node.link(b.id.ID), b.node.link(a.id.ID); la.stream.Dialled() == lb.stream.Dialled() {
			t.Error("the gateways use different control streams")
		}
		v.sub.Close()
		a.stop()
		b.stop()
	}
}

func TestRelayPatterns(t *testing.T) {
	t.Parallel()
	a, b := newGateway(t, "a"), newGateway(t, "b")
	b.o.Conf.Relay = []string{"a/hall/*", "a/lobby"}
	b.o.Conf.IdleAfter = 0
	a.knowsAt(b).start()
	b.knows(a).start()
	stop := a.film("hall/east")
	a.film("hall/west")
	a.film("lobby")
	a.film("other")
	carried := func(want string) func() bool {
		return func() bool {
			var all []string
			for _, c := range b.node.Status().Channels {
				all = append(all, string(c.Name))
			}
			return strings.Join(all, " ") == want
		}
	}
	eventually(t, "b carries what it is to", carried("hall/east hall/west lobby"))
	stop()
	eventually(t, "b leaves what has ended", carried("hall/west lobby"))
	b.o.Conf.Relay = []string{"a/lobby"}
	b.node.Reconfigure(b.o)
	eventually(t, "b leaves what it need not carry any more", carried("lobby"))
}

func TestUnshared(t *testing.T) {
	t.Parallel()
	a, _, c := chain(t)
	a.film("live")
	v := c.view("a/live")
	v.watch(50)
	a.o.Conf.Share = nil
	a.node.Reconfigure(a.o)
	select {
	case <-v.st.Done():
	case <-time.After(testTimeout):
		t.Error("c has a stream that is not shared any more")
	}
	if _, err := c.open("a/live"); !errors.Is(err, media.ErrNotFound) {
		t.Errorf("Open of what is not shared = %v, want %v", err, media.ErrNotFound)
	}
}

// TestRepair has a parent lose every tenth chunk: the child gets them from it all the same, before players notice.
func TestRepair(t *testing.T) {
	t.Parallel()
	a, b := newGateway(t, "a"), newGateway(t, "b")
	a.knowsAt(b).start()
	b.knows(a).start()
	var mu sync.Mutex // guards n and lost
	n, lost := 0, make(map[string]bool)
	a.node.spoil = func(chunk []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%10 == 0 && !lost[string(chunk)] {
			lost[string(chunk)] = true
			return nil
		}
		return chunk
	}
	a.film("live")
	v := b.view("a/live")
	v.watch(900)
	if v.gap > 0 {
		t.Errorf("%d packets are missing", v.gap)
	}
	eventually(t, "status tells of repairs", func() bool {
		s := b.node.Status().Channels
		return len(s) == 1 && s[0].Swarm.Repaired >= 10
	})
}

// TestLeaf has a gateway that gives nothing: who has only that one to ask is told that there is not enough bandwidth.
func TestLeaf(t *testing.T) {
	t.Parallel()
	a, b, c := newGateway(t, "a"), newGateway(t, "b"), newGateway(t, "c")
	b.o.Conf.Upload = 0
	a.knowsAt(b).start()
	b.knows(a).knowsAt(c).start()
	c.knows(b).knowsAt(a).start()
	a.film("live")
	v := b.view("a/live")
	v.watch(50)
	began := time.Now()
	if _, err := c.open("a/live"); !errors.Is(err, media.ErrNotEnoughBandwidth) {
		t.Errorf("Open through a gateway that gives nothing = %v, want %v", err, media.ErrNotEnoughBandwidth)
	}
	t.Logf("refused after %v", time.Since(began))
	v.watch(100)
	if v.gap > 0 {
		t.Errorf("%d packets are missing", v.gap)
	}
	b.o.Conf.Upload = conf.Unlimited
	b.node.Reconfigure(b.o)
	c.view("a/live").watch(50)
}

// TestRelayLeaves stops a relay as an operator does: its child has gone elsewhere before it goes.
func TestRelayLeaves(t *testing.T) {
	t.Parallel()
	a, b, c, d := newGateway(t, "a"), newGateway(t, "b"), newGateway(t, "c"), newGateway(t, "d")
	d.knowsAt(a).knowsAt(c).start()
	a.knowsAt(b).knows(d).start()
	b.knows(a).knowsAt(c).start()
	c.knows(b, d).knowsAt(a).start()
	a.film("live")
	eventually(t, "d has a link to a", func() bool { return d.node.link(a.id.ID) != nil })
	d.view("a/live").watch(10)
	b.view("a/live").watch(10)
	v := c.view("a/live")
	v.watch(200)
	b.stop()
	v.watch(300)
	if v.gap > 0 {
		t.Errorf("%d packets are missing", v.gap)
	}
}

// TestSteady has two sites play in step.
func TestSteady(t *testing.T) {
	t.Parallel()
	a, b, c := newGateway(t, "a"), newGateway(t, "b"), newGateway(t, "c")
	for _, g := range []*gateway{b, c} {
		g.o.Conf.Steady = true
		g.o.Conf.Delay = conf.Delay(time.Second)
	}
	a.knowsAt(b).start()
	b.knows(a).knowsAt(c).start()
	c.knows(b).knowsAt(a).start()
	a.film("live")
	near, far := b.view("a/live"), c.view("a/live")
	when := func(v *viewer) map[uint16]time.Time {
		at := make(map[uint16]time.Time)
		for n := 0; n < 900; {
			pkts, err := v.sub.Next(t.Context())
			if err != nil {
				t.Error(err)
				return at
			}
			n += len(pkts)
			for i := range pkts {
				if n > 300 && !pkts[i].Report { // the clock is known by then
					at[pkts[i].Sequence()] = time.Now()
				}
			}
		}
		return at
	}
	var atFar map[uint16]time.Time
	var wg sync.WaitGroup
	wg.Go(func() { atFar = when(far) })
	atNear := when(near)
	wg.Wait()
	both, apart := 0, 0
	for seq, t1 := range atNear {
		if t2, ok := atFar[seq]; ok {
			both++
			if d := t2.Sub(t1); d > 40*time.Millisecond || d < -40*time.Millisecond {
				apart++
			}
		}
	}
	t.Logf("of %d packets %d come more than 40 ms apart", both, apart)
	if both < 100 || apart > both/2 { // a busy machine wakes one of two viewers late now and then
		t.Error("the sites do not play in step")
	}
}
