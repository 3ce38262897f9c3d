//go:build integration

package integration

import (
	"testing"
	"time"

	"peergate/integration/lab"
)

// TestWrongKey proves that a gateway with another key than the one written down serves nothing and is served nothing,
// and that the log says so.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	a, b, other := lab.NewGateway(t, "a"), lab.NewGateway(t, "b"), lab.NewGateway(t, "other")
	a.Knows(b)
	b.AddPeer("a", other.ID, a.Addresses()...) // somebody else is at a's address
	a.Start()
	b.Start()
	lab.Encode(t, lab.H264(t), a.URL("live"))
	a.WaitStream("live")
	refused(t, b, "a/live")
	b.WaitLog(0, "peer=a", "err=")
}

// TestStrangerIsRefused proves that a gateway does not serve those it does not list.
func TestStrangerIsRefused(t *testing.T) {
	t.Parallel()
	a, b := lab.NewGateway(t, "a"), lab.NewGateway(t, "b")
	b.Knows(a) // but a does not know b
	a.Start()
	b.Start()
	lab.Encode(t, lab.H264(t), a.URL("live"))
	a.WaitStream("live")
	refused(t, b, "a/live")
	p := lab.Play(t, a.URL("live"), lab.TCP)
	p.Plays(time.Second)
	p.Flawless()
}

// refused fails the test unless a player gets an error, and gets it in the time that opening may take.
func refused(t *testing.T, g *lab.Gateway, name string) {
	t.Helper()
	began := time.Now()
	r, err := lab.Dial(t, g.HostPort()).Do("DESCRIBE", g.URL(name), nil, "")
	if err != nil || r.Status < 400 {
		t.Errorf("DESCRIBE %s = %d, %v, want an error", name, r.Status, err)
	}
	if d := time.Since(began); d > 20*time.Second { // open_timeout is 10 s
		t.Errorf("DESCRIBE %s is answered after %v", name, d)
	}
	t.Logf("DESCRIBE %s = %d", name, r.Status)
}

// TestOwnerIDPath plays by the owner's ID rather than its petname.
func TestOwnerIDPath(t *testing.T) {
	t.Parallel()
	a, b, c := chain(t)
	lab.Encode(t, lab.H264(t), a.URL("live"))
	a.WaitStream("live")
	for _, g := range []*lab.Gateway{b, c} {
		p := lab.Play(t, g.URL(a.ID+"/live"), lab.UDP)
		p.Plays(time.Second)
		p.Flawless()
	}
}

// TestOneFetchPerSite counts the bytes between two gateways: a second player costs none, and when the last has left the
// fetch stops after overlay.idle_after.
func TestOneFetchPerSite(t *testing.T) {
	t.Parallel()
	a, c := lab.NewGateway(t, "a"), lab.NewGateway(t, "c")
	wire := lab.NewProxy(t, a.OverlayTCP())
	a.KnowsAt(c)
	c.KnowsAt(a, wire.Multiaddr())
	a.Start()
	c.Start()
	lab.Encode(t, lab.H264(t), a.URL("live"))
	a.WaitStream("live")

	first := lab.Play(t, c.URL("a/live"), lab.TCP)
	first.Plays(time.Second)
	one := bytesPerPacket(wire, first)
	second := lab.Play(t, c.URL("a/live"), lab.UDP)
	third := lab.Play(t, c.URL("a/live"), lab.TCP)
	second.Plays(time.Second)
	third.Plays(time.Second)
	three := bytesPerPacket(wire, first)
	t.Logf("overlay bytes per packet of one player: %.0f with one, %.0f with three", one, three)
	if three > 1.25*one { // the encoder's rate varies by so much at most
		t.Errorf("three players cost %.0f bytes, one costs %.0f", three, one)
	}
	for _, p := range []*lab.Player{first, second, third} {
		p.Flawless()
		p.Stop()
	}
	lab.Eventually(t, lab.Patience, "the fetch stops", func() bool {
		before := wire.Down.Load()
		timer := time.NewTimer(time.Second)
		<-timer.C
		return wire.Down.Load()-before < 5000 // a second of the stream is 130 kB
	})
	again := lab.Play(t, c.URL("a/live"), lab.TCP)
	again.Plays(time.Second)
	again.Flawless()
}

// bytesPerPacket returns how many bytes come over the wire for each packet that a player gets.
func bytesPerPacket(wire *lab.Proxy, p *lab.Player) float64 {
	count := func() (n int) {
		for _, track := range p.Tracks {
			n += track.Stats().Packets
		}
		return n
	}
	before, from := wire.Down.Load(), count()
	p.Plays(5 * time.Second)
	return float64(wire.Down.Load()-before) / float64(count()-from)
}

// TestCutWire breaks the connection between two gateways under a player: it is made again, and the player goes on.
func TestCutWire(t *testing.T) {
	t.Parallel()
	a, c := lab.NewGateway(t, "a"), lab.NewGateway(t, "c")
	a.KnowsAt(c)
	wire := lab.NewProxy(t, a.OverlayTCP())
	c.KnowsAt(a, wire.Multiaddr(), a.Addresses()[0])
	a.Start()
	c.Start()
	lab.Encode(t, lab.H264(t), a.URL("live"))
	a.WaitStream("live")
	p := lab.Play(t, c.URL("a/live"), lab.TCP)
	p.Plays(2 * time.Second)
	wire.Cut()
	p.Plays(4 * time.Second)
	p.Connected()
	for i, track := range p.Tracks {
		s := track.Stats()
		t.Logf("track %d: %+v", i, s)
		if s.Sources != 1 || s.Late > 0 || len(s.Faults) > 0 {
			t.Errorf("track %d: %+v", i, s)
		}
	}
}
