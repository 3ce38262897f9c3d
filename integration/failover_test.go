//go:build integration

package integration

import (
	"testing"
	"time"

	"peergate/integration/lab"
)

// longestGap is how long a player may see nothing while its gateway finds another way: half a second to notice, and
// what a busy machine adds.
const longestGap = 5 * time.Second

// TestRelayDies kills the gateway that a stream comes through; another way exists. The player at c goes on over its
// connection, and ffmpeg beside it decodes on.
func TestRelayDies(t *testing.T) {
	t.Parallel()
	clip := lab.H264(t)
	a, b, c, d := lab.NewGateway(t, "a"), lab.NewGateway(t, "b"), lab.NewGateway(t, "c"), lab.NewGateway(t, "d")
	a.Knows(b, d)
	b.Knows(a, c)
	c.Knows(b, d)
	c.KnowsAt(a) // a does not list c: it has to come through b or d
	d.Knows(a, c)
	a.Start()
	b.Start()
	c.Start()
	lab.Encode(t, clip, a.URL("live"))
	a.WaitStream("live")
	p := lab.Play(t, c.URL("a/live"), lab.TCP) // through b, d is not there yet
	w := lab.FFmpeg("tcp").Watch(t, c.URL("a/live"), 500)
	p.Plays(2 * time.Second)
	p.Flawless()
	d.Start()
	c.WaitLog(0, "peer connected", "peer=d")
	p.Plays(2 * time.Second)
	b.Kill()
	p.Plays(6 * time.Second)
	p.Connected()
	checkGap(t, p, 0)
	mark := len(c.Log())
	b.Start() // back again: and now the other
	c.WaitLog(mark, "peer connected", "peer=b")
	p.Plays(2 * time.Second)
	d.Kill()
	p.Plays(6 * time.Second)
	p.Connected()
	checkGap(t, p, 0)
	if got := w.Pictures(); len(got) < 500 {
		t.Errorf("ffmpeg decoded %d pictures, want 500", len(got))
	}
}

// TestOwnersAddressByExchange kills the relay when c has learned from it how to reach the owner itself.
func TestOwnersAddressByExchange(t *testing.T) {
	t.Parallel()
	a, b, c := lab.NewGateway(t, "a"), lab.NewGateway(t, "b"), lab.NewGateway(t, "c")
	a.Knows(b)
	a.KnowsAt(c)
	b.Knows(a, c)
	c.Knows(b)
	c.KnowsAt(a)
	a.Start()
	b.Start()
	c.Start()
	lab.Encode(t, lab.H264(t), a.URL("live"))
	a.WaitStream("live")
	p := lab.Play(t, c.URL("a/live"), lab.UDP)
	p.Plays(2 * time.Second)
	c.WaitLog(0, "peer connected", "peer=a")
	b.Kill()
	p.Plays(6 * time.Second)
	p.Connected()
	checkGap(t, p, 0)
}

// checkGap fails the test when a player has seen more than a bounded gap in one stream, or anything strange.
func checkGap(t *testing.T, p *lab.Player, late int) {
	t.Helper()
	for i, track := range p.Tracks {
		s := track.Stats()
		t.Logf("%s track %d: %d packets, %d missing, %d late, longest pause %v", p.URL, i, s.Packets, s.Missing, s.Late, s.Pause)
		if s.Pause > longestGap || s.Late > late || s.Sources != 1 || len(s.Faults) > 0 || s.Bye {
			t.Errorf("%s track %d: %+v", p.URL, i, s)
		}
	}
}

// TestPublisherReturns kills the encoder and starts it again: the players at the owner and two hops away go on over their
// connections, with the same SSRC and no step back in sequence or time.
func TestPublisherReturns(t *testing.T) {
	t.Parallel()
	clip := lab.H264(t)
	a, _, c := chain(t)
	encoder := lab.Encode(t, clip, a.URL("live"))
	a.WaitStream("live")
	players := []*lab.Player{
		lab.Play(t, a.URL("live"), lab.TCP), lab.Play(t, a.URL("live"), lab.UDP),
		lab.Play(t, c.URL("a/live"), lab.TCP), lab.Play(t, c.URL("a/live"), lab.UDP),
	}
	near, far := lab.FFmpeg("tcp").Watch(t, a.URL("live"), 300), lab.FFmpeg("udp").Watch(t, c.URL("a/live"), 300)
	for _, p := range players {
		p.Plays(3 * time.Second)
		p.Flawless()
	}
	encoder.Kill()
	lab.Encode(t, clip, a.URL("live"))
	for _, p := range players {
		p.Plays(3 * time.Second)
		p.Connected()
		checkGap(t, p, 0)
	}
	for _, w := range []*lab.Watching{near, far} {
		if got := w.Pictures(); len(got) < 300 {
			t.Errorf("ffmpeg decoded %d pictures, want 300", len(got))
		}
	}
}

// TestOwnerReturns kills the owner itself and starts it again: the player at c recovers over its connection, and players
// at the owner can connect anew.
func TestOwnerReturns(t *testing.T) {
	t.Parallel()
	clip := lab.H264(t)
	a, _, c := chain(t)
	encoder := lab.Encode(t, clip, a.URL("live"))
	a.WaitStream("live")
	near := lab.Play(t, a.URL("live"), lab.TCP)
	far := lab.Play(t, c.URL("a/live"), lab.TCP)
	near.Plays(2 * time.Second)
	far.Plays(2 * time.Second)
	a.Kill()
	<-near.Conn.Gone()
	a.Start()
	encoder.Kill()
	lab.Encode(t, clip, a.URL("live"))
	a.WaitStream("live")
	again := lab.Play(t, a.URL("live"), lab.TCP)
	again.Plays(2 * time.Second)
	again.Flawless()
	far.Plays(4 * time.Second)
	far.Connected()
	for i, track := range far.Tracks {
		s := track.Stats()
		t.Logf("c track %d: %+v", i, s)
		if s.Sources != 1 || s.Bye || len(s.Faults) > 0 {
			t.Errorf("c track %d: %+v", i, s)
		}
	}
}
