//go:build !race

// The race detector makes these ten times as long, and one goroutine cannot race: ./test runs them without it.

package sim

import (
	"testing"
	"time"
)

// Many who come at once to an owner that can send the channel once do not stand in each other's way: what few of them have
// already goes on to all.
func TestCrowdAtAThinOwner(t *testing.T) {
	for seed := range uint64(2) {
		s := New(Config{Owner: 1.5, Seed: seed})
		for range 80 {
			s.at(time.Duration(s.rng.Int64N(int64(8*time.Second))), s.join)
		}
		s.Until(15 * time.Second)
		waiting := 0
		for _, n := range s.nodes[1:] {
			if n.first == 0 {
				waiting++
			}
		}
		if joins := s.Result().Joins; waiting > 0 || quantile(joins, 0.5) > time.Second {
			t.Errorf("seed %d: 7 s after the last of 80 came, %d have nothing; half of the others waited for %v", seed, waiting, quantile(joins, 0.5))
		}
	}
}

// Those who give most come near the owner, also when they are the last to come.
func TestLargeUplinksComeFirst(t *testing.T) {
	s := New(Config{Owner: 1.5, Seed: 1})
	var small, large []*node
	for i := range 50 {
		s.at(time.Duration(i)*100*time.Millisecond, func() { small = append(small, s.member(1.2)) })
	}
	for range 6 {
		s.at(15*time.Second, func() { large = append(large, s.member(10)) })
	}
	s.Until(60 * time.Second)
	depth := func(ns []*node) (mean float64) {
		for _, n := range ns {
			for _, st := range n.m.Stats().Stripes {
				mean += float64(st.Depth) / float64(len(ns)*s.cfg.Stripes)
			}
		}
		return mean
	}
	if l, m := depth(large), depth(small); l > 2.5 || l > m-0.7 {
		t.Errorf("members with much upload are %.1f hops from the owner, the others %.1f", l, m)
	}
}

// Machines that stand still half of the time, as busy ones do, are not taken for full lines, and who is behind catches up before
// others come.
func TestBusyMachines(t *testing.T) {
	var due, late int64
	for seed := range uint64(16) {
		r := Run(Config{
			Members: 19, Rate: 1_500_000, Owner: 4, Uplinks: []Uplink{{1, 4}}, Near: 20 * time.Millisecond, Far: 20 * time.Millisecond,
			Ramp: 3 * time.Second, Settle: 4 * time.Second, Length: 6 * time.Second, Handshakes: 3,
			Queue: 200 * time.Millisecond, Stalled: 0.5, Seed: seed,
		})
		due, late = due+r.Expected, late+r.Expected-r.One
	}
	if late*100 > 3*due {
		t.Errorf("%d of %d chunks come later than after 1 s", late, due)
	}
}

// The death of one of the owner's children, below whom all others are, is a pause, not a collapse.
func TestOwnersChildDies(t *testing.T) {
	var due, late int64
	for _, seed := range []uint64{1, 2} {
		r := Run(Config{
			Members: 50, Seed: seed, Owner: 1.5, Loss: 0.01, Ramp: 5 * time.Second, Settle: 8 * time.Second, Length: 30 * time.Second,
			Roots: 5 * time.Second,
		})
		due, late = due+r.Expected, late+r.Expected-r.Two
	}
	if part := float64(late) / float64(due); part > 0.004 {
		t.Errorf("%.2f %% of %d chunks came after more than 2 s, while six of the owner's children died", 100*part, due)
	} else {
		t.Logf("%.3f %% of %d chunks came after more than 2 s", 100*part, due)
	}
}
