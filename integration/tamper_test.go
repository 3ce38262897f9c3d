//go:build integration

package integration

import (
	"testing"
	"time"

	"peergate/integration/lab"
)

// TestTamperedChunks has a player two hops away get its stream through a gateway that changes a byte in each chunk after a
// while. Nothing of that reaches the player: the liar is banned, and an honest gateway takes its place.
func TestTamperedChunks(t *testing.T) {
	t.Parallel()
	a, liar, b, c := lab.NewGateway(t, "a"), lab.NewGateway(t, "liar"), lab.NewGateway(t, "b"), lab.NewGateway(t, "c")
	liar.Program = lab.Build(t, "lab/tamper")
	a.Knows(b, liar)
	liar.Knows(a, c)
	b.Knows(a, c)
	c.Knows(liar, b)
	c.KnowsAt(a) // a does not list c
	a.Start()
	liar.Start()
	c.Start()
	lab.Encode(t, lab.H264(t), a.URL("live"))
	a.WaitStream("live")
	near, far := lab.Open(t, a.URL("live"), lab.TCP), lab.Open(t, c.URL("a/live"), lab.TCP)
	sent, got := make([]*packets, len(near.Tracks)), make([]*packets, len(near.Tracks))
	for i := range near.Tracks {
		sent[i], got[i] = collect(near.Tracks[i]), collect(far.Tracks[i])
	}
	near.Resume()
	far.Resume()
	far.Plays(time.Second) // the liar is honest yet, and the only way
	c.WaitLog(0, "peer banned", "peer=liar")
	b.Start()
	far.Plays(5 * time.Second)
	far.Connected()
	near.Connected()
	for i := range sent {
		equal, different := sent[i].same(got[i])
		t.Logf("track %d: %d packets are equal at a and c", i, equal)
		if equal < 20 || different > 0 {
			t.Errorf("track %d: %d packets equal, %d different at a and c", i, equal, different)
		}
		if s := far.Tracks[i].Stats(); s.Late > 0 || s.Sources != 1 || len(s.Faults) > 0 {
			t.Errorf("track %d: %+v", i, s)
		}
	}
}
