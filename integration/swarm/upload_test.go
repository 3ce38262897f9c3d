//go:build integration

package swarm

import (
	"testing"
	"time"
)

// TestZeroUpload has a third of the members give nothing: they watch, and nobody gets anything from them.
func TestZeroUpload(t *testing.T) {
	t.Parallel()
	leaf := func(i int) bool { return i > 0 && i%3 == 0 }
	s := newStage(t, plan{
		rate: rate, congestion: "bbr", owner: link(3*ratio, 20, hop, 0), member: link(4*ratio, 20, hop, 0),
		upload: func(i int) string {
			switch {
			case leaf(i):
				return "0"
			case i == 0:
				return "4500kbit"
			}
			return "6Mbit"
		},
	})
	s.audience(s.members())
	s.wait(settle)
	before := make([]int64, len(s.sites))
	for i, a := range s.sites {
		before[i] = a.host.Access.Sent().Bytes
	}
	from := s.camera.next()
	f := s.measure(*window, s.members(), nil)
	f.watched(t)
	payload := s.bytes(from, s.camera.next())
	for i, a := range s.sites {
		given := share(int(a.host.Access.Sent().Bytes-before[i]), payload)
		t.Logf("%s, a leaf %v: sent %.2f of the payload", a.Name, leaf(i), given)
		if leaf(i) {
			atMost(t, a.Name+"'s bytes over payload, acknowledgements and control", given, 0.15)
		}
	}
	s.sound()
	target(t, "late at 1 s", f.late1, 0.0001)
}

// TestLackOfUpload has more members than the whole swarm can serve: the last are told so, with RTSP's 453, and those who watch
// are not harmed.
func TestLackOfUpload(t *testing.T) {
	t.Parallel()
	s := newStage(t, plan{
		rate: rate, congestion: "bbr", owner: link(2.6*ratio, 20, hop, 0), member: link(4*ratio, 20, hop, 0),
		upload: func(i int) string {
			if i == 0 {
				return "3900kbit" // two members and a bit
			}
			return "0"
		},
	})
	watch, late := s.members()[:2], s.members()[2:]
	s.audience(watch)
	s.wait(settle)
	f := s.measure(*window, watch, func() {
		s.spread(late, joinEvery, func(a *site) {
			began := time.Now()
			status := describe(t, a.Gateway, owner+"/cam")
			t.Logf("%s: DESCRIBE = %d after %v", a.Name, status, time.Since(began).Round(time.Millisecond))
			if slip := s.camera.slip(0); status != 453 && slip > standstill {
				t.Logf("%s: the machine stood still for %v, thus others may have lost their places", a.Name, slip)
			} else if status != 453 {
				t.Errorf("%s: DESCRIBE = %d, want 453: not enough bandwidth", a.Name, status)
			}
		})
	})
	f.watched(t)
	s.sound()
	target(t, "late at 1 s of those who watch", f.late1, 0.0001)
}

// TestOneFetchPerSite has three members behind one NAT: their site gets the channel about once.
func TestOneFetchPerSite(t *testing.T) {
	t.Parallel()
	const lan = 3
	s := newStage(t, plan{rate: rate, congestion: "bbr", owner: link(4*ratio, 20, hop, 0), member: link(4*ratio, 20, hop, 0), lan: lan})
	s.audience(s.members())
	s.wait(2 * settle) // those at home find each other
	home := s.sites[len(s.sites)-1].host.Access
	before, from := home.Received().Bytes, s.camera.next()
	f := s.measure(*window, s.members(), nil)
	f.watched(t)
	got := share(int(home.Received().Bytes-before), s.bytes(from, s.camera.next()))
	t.Logf("%d members at home: their site got %.2f of the payload", lan, got)
	s.sound()
	target(t, "what the site gets over the payload", got, 1.3)
	target(t, "late at 1 s", f.late1, 0.0001)
}
