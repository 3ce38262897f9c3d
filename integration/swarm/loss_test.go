//go:build integration

package swarm

import (
	"testing"
	"time"
)

// quarter is the delay of an access link when the round trip is 50 ms.
const quarter = 12500 * time.Microsecond

// TestLoss loses packets at random on every uplink, at 50 ms of round trip, with both congestion controls.
func TestLoss(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		congestion string
		late1      map[float64]float64 // share of packets that may be late at 1 s, by loss
		late2      map[float64]float64 // at 2 s
	}{
		{"bbr", map[float64]float64{0.01: 0.0001}, map[float64]float64{0.05: 0.001}},
		{"reno", map[float64]float64{0.01: 0.001}, nil},
	} {
		t.Run(tt.congestion, func(t *testing.T) {
			t.Parallel()
			l := link(4*ratio, 20, quarter, 0)
			s := newStage(t, plan{rate: rate, congestion: tt.congestion, owner: l, member: l})
			s.audience(s.members())
			for _, loss := range []float64{0.01, 0.02, 0.05} {
				if tt.late1[loss] == 0 && tt.late2[loss] == 0 && *gateways < 20 {
					continue // nothing is promised: a figure for those who ask for it
				}
				for _, a := range s.sites {
					a.host.Access.Set(link(4*ratio, 20, quarter, loss))
				}
				s.wait(settle)
				f := s.measure(*window, s.members(), nil)
				t.Logf("%s, %.0f %% loss:", tt.congestion, 100*loss)
				if loss < 0.05 && tt.congestion == "bbr" || loss == 0.01 {
					f.watched(t)
				} else {
					t.Log(&f)
				}
				if most, ok := tt.late1[loss]; ok {
					target(t, "late at 1 s", f.late1, most)
				}
				if most, ok := tt.late2[loss]; ok {
					target(t, "late at 2 s", f.late2, most)
				}
			}
			s.sound()
		})
	}
}
