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
	// handOn is how often an owner hands on one of the newcomers that it has served at once.
	handOn = time.Second
	// rate of the camera in bit/s.
	rate = 1500 * netlab.Kbit
	// ratio is that rate in Mbit/s, the unit of links.
	ratio = float64(rate) / netlab.Mbit
)

// TestSteady has everybody watch over links that have what they need.
func TestSteady(t *testing.T) {
	t.Parallel()
	s := newStage(t, plan{rate: rate, congestion: "bbr", owner: link(4*ratio, 20, hop, 0), member: link(4*ratio, 20, hop, 0)})
	s.audience(s.sites)
	p50, p95 := joins(s.members())
	t.Logf("join to first packet: p50 %v, p95 %v; at the owner %v", p50, p95, s.sites[0].reader.join)
	s.wait(time.Duration(len(s.sites)) * handOn) // steady is when the joins are over
	before := s.told()
	f := s.measure(*window, s.members(), nil)
	f.watched(t)
	control, duplicates := overhead(before, s.told())
	t.Logf("control %.2f %%, duplicates %.2f %% of the chunks", 100*control, 100*duplicates)
	s.sound()
	target(t, "control over chunks", control, 0.03)
	target(t, "duplicates over chunks", duplicates, 0.02)
	target(t, "join to first packet, p50", p50, 500*time.Millisecond)
	target(t, "join to first packet, p95", p95, time.Second)
	target(t, "owner's egress over payload", f.egress, 2.1)
	target(t, "delay p50", f.p50, 150*time.Millisecond)
	target(t, "delay p99", f.p99, 400*time.Millisecond)
	target(t, "late at 1 s", f.late1, 0.0001)
}

// TestThinOrigin has everybody watch an owner whose uplink is 1.5 times the rate: the audience carries the channel.
func TestThinOrigin(t *testing.T) {
	t.Parallel()
	s := newStage(t, plan{rate: rate, congestion: "bbr", owner: link(1.5*ratio, 20, hop, 0), member: link(4*ratio, 20, hop, 0)})
	s.audience(s.members())
	p50, p95 := joins(s.members())
	t.Logf("join to first packet: p50 %v, p95 %v", p50, p95)
	s.wait(settle)
	f := s.measure(*window, s.members(), nil)
	f.watched(t)
	t.Logf("owner's queue dropped %d packets", s.sites[0].host.Access.Sent().Dropped)
	s.sound()
	target(t, "owner's egress over payload", f.egress, 1.3)
	target(t, "late at 1 s", f.late1, 0.0001)
}

// TestInStep has everybody play in step with the owner's clock.
func TestInStep(t *testing.T) {
	t.Parallel()
	s := newStage(t, plan{
		rate: rate, congestion: "bbr", owner: link(4*ratio, 20, hop, 0), member: link(4*ratio, 20, hop, 0),
		overlay: []string{"steady: true", "delay: 800ms"},
	})
	s.audience(s.members())
	s.wait(settle)
	from := s.camera.next()
	f := s.measure(*window, s.members(), nil)
	f.watched(t)
	apart := s.apart(s.members(), from, s.camera.next()-int(2*f.payload/8/packetSize))
	p50, p95 := percentile(apart, 0.5), percentile(apart, 0.95)
	t.Logf("first and last player get a packet within p50 %v, p95 %v", p50, p95)
	s.sound()
	target(t, "time between the first and the last player, p95", p95, 40*time.Millisecond)
	target(t, "late at 1 s", f.late1, 0.0001)
}

// apart returns for each packet the time from the first player that got it to the last, over those that all have.
func (s *stage) apart(sites []*site, from, to int) []time.Duration {
	first, last := sites[0].reader.when(from, to), sites[0].reader.when(from, to)
	for _, a := range sites[1:] {
		for i, at := range a.reader.when(from, to) {
			switch {
			case at.IsZero() || first[i].IsZero():
				first[i] = time.Time{}
			case at.Before(first[i]):
				first[i] = at
			case at.After(last[i]):
				last[i] = at
			}
		}
	}
	var all []time.Duration
	for i := range first {
		if !first[i].IsZero() {
			all = append(all, last[i].Sub(first[i]))
		}
	}
	return all
}

// catchUp is what a player that begins with the last key picture, 2 s ago at most, needs to catch up where only a third of the
// rate is to spare.
const catchUp = 8 * time.Second

// TestSmall has the smallest swarms, with uplinks about the rate, below it, and none.
func TestSmall(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		size          int
		owner, member float64 // uplinks, over the rate
	}{
		{"two, one without upload", 2, 1.4, 0},
		{"three with hardly more than the rate", 3, 1.4, 1.4},
		{"five with less than the rate", 5, 3.8, 0.8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, plan{
				rate: rate, congestion: "bbr", owner: link(tt.owner*ratio, 20, hop, 0), member: link(max(tt.member, 1)*ratio, 20, hop, 0),
				size: tt.size, upload: func(i int) string {
					if i == 0 {
						return bits(tt.owner)
					}
					return bits(tt.member)
				},
			})
			s.audience(s.members())
			s.wait(catchUp)
			f := s.measure(*window, s.members(), nil)
			f.watched(t)
			s.sound()
			target(t, "late at 1 s", f.late1, 0.0001)
		})
	}
}
