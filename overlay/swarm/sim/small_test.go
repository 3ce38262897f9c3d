package sim

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"peergate/overlay/swarm"
)

// watched returns a run of members with the given uplinks, joined one after the other, after 30 s of watching.
func watched(cfg Config, uplinks ...float64) *Sim {
	cfg.Ramp, cfg.Settle, cfg.Length = 5*time.Second, 10*time.Second, 20*time.Second
	s := New(cfg)
	for i, u := range uplinks {
		s.at(time.Duration(i)*time.Second, func() { s.member(u) })
	}
	s.Until(s.to + 5*time.Second)
	return s
}

// Most users have a handful of gateways: every member has every chunk soon, whatever the uplinks, where the
// uplinks suffice at all.
func TestSmallSwarms(t *testing.T) {
	for _, c := range []struct {
		name    string
		cfg     Config
		uplinks []float64
		egress  float64 // at most
	}{
		{"two gateways, the owner's uplink is the rate", Config{Owner: 1.2}, []float64{0}, 1.05},
		{"two gateways, no limits", Config{Owner: -1}, []float64{-1}, 1.05},
		{"three, all without limits", Config{Owner: -1}, []float64{-1, -1}, 2.1},
		{"three, the owner's uplink is 1.2 of the rate", Config{Owner: 1.2}, []float64{2, 2}, 1.2},
		{"three, each gives the rate", Config{Owner: 1.3}, []float64{1.3, 1.3}, 1.3},
		{"three, one gives nothing", Config{Owner: 1.3}, []float64{2, 0}, 1.3},
		{"three, the leaf came first", Config{Owner: 1.3}, []float64{0, 2}, 1.3},
		{"three, only the owner gives", Config{Owner: 3}, []float64{0, 0}, 2.1},
		{"five, of all kinds", Config{Owner: 2.5}, []float64{0, 1.2, 3, 0.5}, 2.4},
		{"five, each gives a little more than the rate", Config{Owner: 1.5}, []float64{1.4, 1.4, 1.4, 1.4}, 1.5},
		{"five, each gives less than the rate", Config{Owner: 2.8}, []float64{0.8, 0.8, 0.8, 0.8}, 2.4},
		{"five, sound alone", Config{Owner: 3, Rate: 64_000}, []float64{3, 3, 0, 3}, 2.1},
		{"five, 20 Mbit/s", Config{Owner: 2, Rate: 20_000_000}, []float64{2, 2, 2, 0}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := watched(c.cfg, c.uplinks...)
			r := s.Result()
			one, _ := r.OnTime()
			if r.Members != len(c.uplinks) || r.Unjoined > 0 || r.Expected == 0 || one < 0.99 || r.Skips > 0 {
				t.Errorf("%d members, %d without media, %d chunks due, %.4f on time at 1 s, %d skips", r.Members, r.Unjoined, r.Expected, one, r.Skips)
				for _, n := range s.nodes {
					st := n.m.Stats()
					t.Logf("%s: %v %v, slots %d used %d, lacks/parents %v, %+v", n.id, n.state, n.why, st.Slots, st.Used, st.Parents, st.Stripes)
				}
			}
			if e := r.Egress(); e > c.egress {
				t.Errorf("the owner sent %.2f times the payload, want at most %.2f", e, c.egress)
			}
		})
	}
}

// Where upload lacks, who comes too late is told so, and who watches goes on.
func TestUploadLacks(t *testing.T) {
	for _, c := range []struct {
		name    string
		owner   float64
		uplinks []float64
		joined  int
	}{
		{"the owner gives nothing", 0.001, []float64{1}, 0},
		{"the owner gives half the rate", 0.5, []float64{1}, 0},
		{"two leaves at an uplink for one", 1.3, []float64{0, 0}, 1},
		{"four leaves at uplinks for two", 1.3, []float64{0, 1.3, 0, 0, 0}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := watched(Config{Owner: c.owner}, c.uplinks...)
			joined := 0
			for _, n := range s.nodes[1:] {
				if n.state == swarm.Joined && n.first > 0 {
					joined++
					if st := n.m.Stats(); st.Skips > 0 {
						t.Errorf("%s, who watches, has %d skips", n.id, st.Skips)
					}
				} else if n.state != swarm.Waiting || n.why != swarm.RefusedCapacity && n.why != swarm.RefusedFull {
					t.Errorf("%s is %v because %q, want waiting for upload", n.id, n.state, n.why)
				}
			}
			if joined != c.joined {
				t.Errorf("%d watch, want %d", joined, c.joined)
			}
		})
	}
}

// C cannot reach A, and watches through B.
func TestChain(t *testing.T) {
	s := New(Config{Owner: -1})
	b := s.member(-1)
	c := s.add("c", -1)
	s.Until(time.Second)
	s.owner.natted = true
	c.demand(1)
	c.handle(swarm.Candidates{Members: []swarm.Member{b.member()}, Keep: true})
	s.Until(10 * time.Second)
	if st := c.m.Stats(); st.Depth != 2 || st.Released < 100 {
		t.Errorf("C is %v, at depth %d, has %d chunks", c.state, st.Depth, st.Released)
	}
}

// The parent of a member dies without a word, or with one, and another carries it on.
func TestParentDies(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprint("silent ", silent), func(t *testing.T) {
			s := New(Config{Owner: 1.3})
			b := s.member(3)
			s.Until(2 * time.Second)
			c := s.member(3)
			d := s.member(3)
			s.Until(10 * time.Second)
			if silent {
				b.die()
			} else {
				b.handle(swarm.Go{})
			}
			s.Until(20 * time.Second)
			for _, n := range []*node{c, d} {
				if st := n.m.Stats(); st.Skips > 0 || st.Released < 300 || n.state != swarm.Joined {
					t.Errorf("%s is %v with %d chunks and %d skips", n.id, n.state, st.Released, st.Skips)
				}
			}
		})
	}
}

func TestOwnerBeginsANewEpoch(t *testing.T) {
	s := New(Config{Owner: 3})
	var ns []*node
	for range 5 {
		ns = append(ns, s.member(2))
	}
	s.Until(10 * time.Second)
	s.renew()
	s.Until(15 * time.Second)
	for _, n := range ns {
		if st := n.m.Stats(); st.Epoch != 2 || n.lastEpoch != 2 || n.last < 100 {
			t.Errorf("%s is in epoch %d, released %d of epoch %d", n.id, st.Epoch, n.last, n.lastEpoch)
		}
	}
}

func TestSeedRepeatsARun(t *testing.T) {
	cfg := Config{Members: 30, Seed: 7, Ramp: 5 * time.Second, Settle: time.Second, Length: 5 * time.Second, Loss: 0.01, Churn: time.Minute}
	a, b := Run(cfg), Run(cfg)
	if !reflect.DeepEqual(a, b) {
		t.Errorf("two runs differ:\n%+v\n%+v", a, b)
	}
	cfg.Seed = 8
	if c := Run(cfg); reflect.DeepEqual(a, c) {
		t.Error("another seed gives the same run")
	}
}

// A site fetches a channel once: its members have it from each other, whoever came first.
func TestOneFetchPerSite(t *testing.T) {
	s := New(Config{Owner: -1, Sites: 3, Seed: 5})
	for range 8 { // the owner and two of its site, and two other sites
		s.member(2)
	}
	s.Until(20 * time.Second)
	for _, site := range []int{1, 2} {
		outside := make(map[int]int) // parents elsewhere, by stripe
		for _, n := range s.nodes {
			if n.site != site {
				continue
			}
			st := n.m.Stats()
			if st.Skips > 0 || n.state != swarm.Joined {
				t.Errorf("%s of site %d is %v, has %d skips", n.id, site, n.state, st.Skips)
			}
			for i, x := range st.Stripes {
				if p := s.byID[x.Parent]; p != nil && p.site != site {
					outside[i]++
				}
			}
		}
		for i := range s.cfg.Stripes {
			if outside[i] != 1 {
				t.Errorf("stripe %d comes to site %d %d times, want once", i, site, outside[i])
			}
		}
	}
}
