package overlay

import (
	"math"
	"testing"
	"time"

	"peergate/media"
	"peergate/overlay/ledger"
)

// carried returns the report of a gateway's ledger by peer.
func (g *gateway) carried() map[ledger.Peer]ledger.Sum {
	g.t.Helper()
	m := make(map[ledger.Peer]ledger.Sum)
	v, err := g.node.View()
	if err != nil {
		return m
	}
	list, err := v.Report(g.t.Context(), ledger.ByPeer, time.UnixMilli(0), time.Now().Add(time.Hour))
	if err != nil {
		g.t.Fatal(err)
	}
	for _, s := range list {
		m[s.Peer] = s
	}
	return m
}

// disputes returns what a gateway's ledger has refused.
func (g *gateway) disputes() []ledger.Dispute {
	g.t.Helper()
	v, err := g.node.View()
	if err != nil {
		g.t.Fatal(err)
	}
	ds, err := v.Disputes(g.t.Context(), time.UnixMilli(0), time.Now().Add(time.Hour))
	if err != nil {
		g.t.Fatal(err)
	}
	return ds
}

// TestWhoCarriedWhat has a stream go from a over b to c, which a does not know: c's receipts reach a all the same, and say to
// the byte what came.
func TestWhoCarriedWhat(t *testing.T) {
	t.Parallel()
	a, b, c := chain(t)
	c.o.Viewers = func(media.Name) int { return 3 }
	c.stop()
	c.start()
	stop := a.film("live")
	v := c.view("a/live")
	v.watch(600)
	stop()
	v.sub.Close()
	in := func(g *gateway) (n uint64) {
		for _, ch := range g.node.Status().Channels {
			n += ch.In
		}
		return n
	}
	var gotB, gotC uint64
	eventually(t, "c has left the channel", func() bool { // on a busy machine more comes after the stop
		gotB, gotC = max(gotB, in(b)), max(gotC, in(c))
		return len(c.node.allChannels()) == 0
	})
	idB, idC := peerOf(b.id.ID), peerOf(c.id.ID)
	eventually(t, "a's ledger knows what c got", func() bool { return a.carried()[idC].Got > 0 && b.node.accounts.pouch.Len() == 0 })
	sums := a.carried()
	near := func(what string, got int64, want uint64) {
		t.Helper()
		if math.Abs(float64(got)-float64(want)) > 0.001*float64(want)+30000 { // what came after the stop
			t.Errorf("%s: %d bytes are credited, %d came", what, got, want)
		}
	}
	near("c got", sums[idC].Got, gotC)
	near("b carried", sums[idB].Carried, gotC)
	near("b got", sums[idB].Got, gotB)
	near("a carried", sums[peerOf(a.id.ID)].Carried, gotB)
	if s := sums[idC]; s.Watched != s.Got || s.Viewing <= 0 || s.Refused > 0 {
		t.Errorf("c: %+v", s)
	}
	if s := sums[idB]; s.Watched != 0 || s.Viewing != 0 {
		t.Errorf("b: %+v", s)
	}
	for _, d := range a.disputes() {
		t.Errorf("dispute: %+v", d)
	}
}
