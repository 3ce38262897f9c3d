package overlay

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestLinkLasts has two idle gateways stay linked over many pings. Once a link ended with the first.
func TestLinkLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(t, []int{1_000_000, 1_000_000})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		s.run(ctx, &wg)
		time.Sleep(time.Minute) // both dial, one of two streams goes
		a, b := s.nodes[0].node, s.nodes[1].node
		la, lb := a.link(b.ID()), b.link(a.ID())
		if la == nil || lb == nil {
			t.Fatal("no link")
		}
		before := a.host.Stats()
		time.Sleep(time.Hour)
		if a.link(b.ID()) != la || b.link(a.ID()) != lb {
			t.Errorf("the links ended: %v, %v", la.reason(), lb.reason())
		}
		if d := time.Duration(la.rtt.Load()); d < 40*time.Millisecond || d > 100*time.Millisecond {
			t.Errorf("round trip = %v, want about 40 ms", d)
		}
		if rate := float64(a.host.Stats().Out-before.Out) * 8 / 3600; rate > 100 {
			t.Errorf("an idle link takes %.0f bit/s", rate)
		}
		cancel()
		wg.Wait()
		s.net.Close()
	})
}
