package swarm

import (
	"testing"
	"time"
)

// TestPreferContributors has a member without room asked by one that has carried, while it serves one that has not.
func TestPreferContributors(t *testing.T) {
	for _, c := range []struct {
		name           string
		prefer         bool
		has, asks      int // standings
		granted, moved uint64
	}{
		{"who came first", false, 0, 100, 0, 0},
		{"who has carried more", true, 30, 100, 3, 3},
		{"hardly more", true, 90, 100, 0, 0},
		{"less", true, 100, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(cfg *Config) { cfg.Prefer, cfg.Upload = c.prefer, 650_000 }) // for two stripes of 200 kbit/s
			r.link("owner")
			r.serve()
			r.flow(10, 30)
			r.say("idler", Attach{Epoch: 1, Stripes: 3, Self: Member{ID: "idler", Depth: -1}})
			if m := sent[Attached](r.take())["idler"]; m.Stripes != 3 {
				t.Fatalf("Attached = %+v, want both stripes", m)
			}
			r.say("giver", Find{})
			r.on(Standing{"idler", c.has}, Standing{"giver", c.asks})
			r.say("giver", Attach{Epoch: 1, Stripes: 3, Self: Member{ID: "giver", Depth: -1}})
			acts := r.take()
			if m := sent[Attached](acts)["giver"]; m.Stripes != c.granted {
				t.Errorf("Attached = %+v, want stripes %b", m, c.granted)
			}
			var moved uint64
			for _, a := range did[Send](acts) {
				if d, ok := a.Message.(Detach); ok && a.To == "idler" {
					moved |= d.Stripes
				}
			}
			if moved != c.moved {
				t.Errorf("%b are moved away, want %b", moved, c.moved)
			}
			r.pass(time.Second)
			if st := r.s.Stats(); st.Used > st.Slots {
				t.Errorf("%d of %d slots are used", st.Used, st.Slots)
			}
		})
	}
}
