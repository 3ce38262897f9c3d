package swarm

import (
	"fmt"
	"testing"
	"time"
)

// TestOwnerAsksAndServes has members whose upload would suffice for all, if they could reach each other. The owner once took
// from them what it had upload for, and they stood still for seconds until it gave it again.
func TestOwnerAsksAndServes(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Self, cfg.Upload = "owner", 20*cfg.Rate })
	all := r.s.all()
	const kids = 6
	for i := range kids {
		id := ID(fmt.Sprint("kid", i))
		r.on(LinkUp{Peer: id, RTT: 20 * time.Millisecond})
		self := Member{ID: id, Addresses: []string{"/ip4/10.0.1.1/tcp/1"}, Slots: 16, Spare: 8, Home: all, Depth: -1}
		r.say(id, Report{Self: self, Lacks: all})
		r.say(id, Attach{Epoch: 1, Stripes: all, Self: self})
	}
	served := func() (n int) {
		for _, p := range r.s.kids {
			if p.down == all && p.moving == 0 {
				n++
			}
		}
		return n
	}
	if n := served(); n != kids {
		t.Fatalf("%d members are served, want all %d", n, kids)
	}
	asked := make(map[ID]int)
	for range 60 {
		r.pass(time.Second)
		for id, d := range sent[Detach](r.take()) {
			if !d.Asks {
				t.Fatalf("%s is sent away", id)
			}
			asked[id]++
		}
		for i := range kids {
			id := ID(fmt.Sprint("kid", i))
			r.say(id, Heartbeat{Epoch: 1, Slots: 16, Spare: 8, Home: all})
			r.say(id, Report{Self: Member{ID: id, Slots: 16, Spare: 8, Home: all, Depth: 1}})
		}
	}
	most := 0
	for _, n := range asked {
		most = max(most, n)
	}
	if served() != kids || len(asked) == 0 || most > 3 { // after 10, 20 and 40 s
		t.Errorf("after a minute %d are served, want %d; asked to look elsewhere: %v, want some, three times at most", served(), kids, asked)
	}
}

// TestChildThatIsAskedToLookElsewhere stays when there is nobody, and goes when there is.
func TestChildThatIsAskedToLookElsewhere(t *testing.T) {
	r := newRig(t, nil)
	r.link("owner")
	r.serve()
	r.flow(10, 30)
	r.take()
	r.say("owner", Detach{Stripes: 3, Asks: true})
	r.flow(30, 330)
	if acts := r.take(); r.s.lacks() != 0 || len(sent[Attach](acts)) != 0 {
		t.Fatalf("alone with the owner it lacks %b and asks %v", r.s.lacks(), sent[Attach](acts))
	}
	r.link("far")
	r.flow(330, 350)
	if m := sent[Attach](r.take()); len(m) != 0 {
		t.Errorf("Attach = %v to one that is no better, long after the owner's question", m)
	}
	r.say("owner", Detach{Stripes: 3, Asks: true})
	m, ok := sent[Attach](r.take())["far"]
	if !ok || m.Stripes != 3 {
		t.Fatalf("Attach = %+v, want both stripes of the other one", m)
	}
	r.say("far", Attached{Epoch: 1, Number: m.Number, Stripes: 3, Paths: r.paths("far")})
	_, told := sent[Detach](r.take())["owner"]
	if left := r.s.peers["owner"].up; !told || left != 0 || r.s.lacks() != 0 {
		t.Errorf("the owner is told: %v, and brings stripes %b; lacks %b, want it rid of both", told, left, r.s.lacks())
	}
}

func TestSlotsOfAKnownUpload(t *testing.T) {
	for _, c := range []struct {
		times float64 // the upload, of the rate
		want  int
	}{
		{1, 1}, {10, 16}, {100, 168}, {1000, 2 * mostChildren}, {-1, 2 * unlimitedChildren},
	} {
		s := New(Config{Self: "me", Owner: "owner", Epoch: 1, Stripes: 2, Rate: 400_000, Upload: Unlimited})
		if c.times >= 0 {
			s.upload = int(c.times * 400_000)
		}
		if got := s.slots(); got < c.want-1 || got > c.want+1 {
			t.Errorf("with %g times the rate %d slots, want about %d", c.times, got, c.want)
		}
	}
}

// TestNearlyFullParentsAreAvoided has two peers as far from the owner and from here, one of which has hardly room.
func TestNearlyFullParentsAreAvoided(t *testing.T) {
	r := newRig(t, nil)
	r.link("a", "b")
	r.serve()
	a, b := r.s.peers["a"], r.s.peers["b"]
	for _, c := range []struct {
		spare  int // of 16 slots
		parent bool
		more   time.Duration
	}{
		{8, false, 0}, {4, false, 0}, {2, false, 20 * time.Millisecond}, {0, false, 40 * time.Millisecond}, {1, true, 20 * time.Millisecond},
	} {
		a.spare = c.spare
		if got := a.laden(c.parent); got != c.more {
			t.Errorf("with %d of 16 slots left it costs %v more, want %v", c.spare, got, c.more)
		}
	}
	a.spare, a.rtt, a.routes = 0, b.rtt, b.routes
	s := r.s
	for i := range s.stripes {
		s.stripes[i].parent, a.up, b.up, a.fresh, b.fresh = nil, 0, 0, 0, 0
		if p := s.choose(i, nil); p != b {
			t.Errorf("stripe %d is asked of the one whose line is full", i)
		}
	}
}

// TestCatchUpOnAFullLine has a child of one stripe behind while pushes queue: a tenth more than the stripe's rate once let all
// who had it through that child lag for ten times as long.
func TestCatchUpOnAFullLine(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Self, cfg.Upload = "owner", 3*cfg.Rate/2 })
	s := r.s
	s.now = r.now
	stripe := s.stripeRate()
	for _, c := range []struct {
		stripes uint64
		behind  int
		want    float64 // of a stripe's rate
	}{
		{1, 1, 2}, {3, 1, 3}, {1, 4, 1.25}, {3, 8, 2.2},
	} {
		s.kids = nil
		for range c.behind {
			s.kids = append(s.kids, &peer{child: child{down: c.stripes, backlog: []uint64{1}}})
		}
		p := s.kids[0]
		p.heard, p.waits, p.flight = s.now, time.Second, []flying{{seq: 1, at: s.now}}
		if got := s.pace(p) / stripe; got < c.want-0.01 || got > c.want+0.01 {
			t.Errorf("%d behind, stripes %b: %.2f stripes a second's worth, want %.2f", c.behind, c.stripes, got, c.want)
		}
	}
}
