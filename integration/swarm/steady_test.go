//go:build integration

package swarm

import (
	"testing"
	"time"

	"peergate/integration/netlab"
)

const (
	// hop is the delay of an access link: two hosts are 20 ms from each other.
	hop = 10 * time.Millisecond
	// window is how long figures are taken for.
	window = 12 * time.Second
	// rate of the camera in bit/s.
	rate = 1500 * netlab.Kbit
	// ratio is that rate in Mbit/s, the unit of links.
	ratio = float64(rate) / netlab.Mbit
)

// TestSteady has everybody watch over links that have what they need.
func TestSteady(t *testing.T) {
	s := newStage(t, plan{rate: rate, congestion: "bbr", owner: link(4*ratio, 20, hop, 0), member: link(4*ratio, 20, hop, 0)})
	s.audience(s.sites)
	p50, p95 := joins(s.members())
	t.Logf("join to first packet: p50 %v, p95 %v; at the owner %v", p50, p95, s.sites[0].reader.join)
	s.wait(settle)
	f := s.measure(window, s.members(), nil)
	t.Log(&f)
	s.sound()
	atMost(t, "join to first packet, p50", p50, 500*time.Millisecond)
	atMost(t, "join to first packet, p95", p95, time.Second)
	atMost(t, "owner's egress over payload", f.egress, 2.1)
	atMost(t, "delay p50", f.p50, 150*time.Millisecond)
	atMost(t, "delay p99", f.p99, 400*time.Millisecond)
	atMost(t, "late at 1 s", f.late1, 0.0001)
}

// TestThinOrigin has everybody watch an owner whose uplink is 1.5 times the rate: the audience carries the channel.
func TestThinOrigin(t *testing.T) {
	s := newStage(t, plan{rate: rate, congestion: "bbr", owner: link(1.5*ratio, 20, hop, 0), member: link(4*ratio, 20, hop, 0)})
	s.audience(s.members())
	p50, p95 := joins(s.members())
	t.Logf("join to first packet: p50 %v, p95 %v", p50, p95)
	s.wait(settle)
	f := s.measure(window, s.members(), nil)
	t.Log(&f)
	t.Logf("owner's queue dropped %d packets", s.sites[0].host.Access.Sent().Dropped)
	s.sound()
	atMost(t, "owner's egress over payload", f.egress, 1.3)
	atMost(t, "late at 1 s", f.late1, 0.0001)
}
