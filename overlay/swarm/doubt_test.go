package swarm

import (
	"fmt"
	"testing"
	"time"
)

// roots makes an owner of many with a child for each of four stripes. While time flows the first ones, that are dead, say nothing.
func roots(t *testing.T) (r *rig, flow func(d time.Duration, dead int)) {
	r = newRig(t, func(cfg *Config) { cfg.Self, cfg.Upload, cfg.Stripes = "owner", 2*cfg.Rate, 4 })
	r.s.size, r.s.givers = 2*fewMembers, fewMembers
	id := func(i int) ID { return ID(fmt.Sprint("kid", i)) }
	for i := range r.s.k {
		bit := uint64(1) << i
		r.on(LinkUp{Peer: id(i), RTT: 20 * time.Millisecond})
		self := Member{ID: id(i), Addresses: []string{"/ip4/10.0.1.1/tcp/1"}, Slots: 16, Spare: 8, Home: bit, Depth: 1}
		r.say(id(i), Members{Self: self})
		r.say(id(i), Attach{Epoch: 1, Stripes: bit, Resume: true, Self: self})
	}
	seq := uint64(0)
	flow = func(d time.Duration, dead int) {
		for end := r.now.Add(d); r.now.Before(end); {
			r.on(Produced{Epoch: 1, Seq: seq, Size: 1000, Key: seq%16 == 0, Wall: r.now})
			seq++
			r.pass(50 * time.Millisecond)
			for i := dead; i < r.s.k; i++ {
				r.say(id(i), Heartbeat{Epoch: 1, Slots: 16, Spare: 8, Home: 1 << i})
				if n := uint64(r.s.k); seq > n {
					r.say(id(i), Ack{Epoch: 1, Seqs: []uint64{(seq-1-uint64(i))/n*n + uint64(i)}})
				}
			}
		}
	}
	flow(2*time.Second, 0)
	return r, flow
}

// One of the owner's children that says nothing any more soon makes room for another; when several do, the owner's own line
// may be what is slow.
func TestOwnersChildSaysNothing(t *testing.T) {
	for _, c := range []struct{ dead, soon, later int }{{1, 3, 3}, {2, 4, 2}} {
		r, flow := roots(t)
		if n := r.s.total(); n != r.s.k {
			t.Fatalf("%d stripes are served, want %d", n, r.s.k)
		}
		flow(400*time.Millisecond, c.dead)
		r.s.size, r.s.filling, r.s.doubting = 2*fewMembers, nil, 0
		if n := r.s.total(); n != c.soon {
			t.Errorf("%d of %d are silent: %d slots count as filled, want %d", c.dead, r.s.k, n, c.soon)
		}
		flow(400*time.Millisecond, c.dead)
		r.s.size, r.s.filling, r.s.doubting = 2*fewMembers, nil, 0
		if n := r.s.total(); n != c.later {
			t.Errorf("%d of %d are silent for long: %d slots count as filled, want %d", c.dead, r.s.k, n, c.later)
		}
	}
}

// What waits in the owner's own line has not reached the child.
func TestWhatWaitsInTheLineIsNotSilence(t *testing.T) {
	r, _ := roots(t)
	r.s.lineBusy = r.now.Add(500 * time.Millisecond)
	for seq := uint64(1000); seq < 1004; seq++ {
		r.on(Produced{Epoch: 1, Seq: seq, Size: 1000, Wall: r.now})
	}
	r.pass(490 * time.Millisecond)
	for _, p := range r.s.kids {
		if r.s.doubtful(p) {
			t.Errorf("%s is taken for dead while what it was sent waits here", p.id)
		}
	}
}

// A member that hears from the owner that a stripe is to be had there, which has stopped, asks for it at once; for one that
// flows it does not.
func TestStripeWithoutOwnersChild(t *testing.T) {
	for _, stopped := range []bool{true, false} {
		r := newRig(t, nil)
		r.link("a", "b")
		r.serve()
		r.link("owner")
		r.flow(10, 60)
		for q := uint64(60); q < 70; q++ { // the second stripe stops
			r.pass(20 * time.Millisecond)
			if !stopped || q%2 == 0 {
				r.arrive(r.s.stripes[q%2].parent.id, q)
			}
		}
		r.take()
		r.say("owner", Heartbeat{Epoch: 1, Slots: 16, Spare: 8, Stripes: 3, Home: 3, Paths: r.paths("owner")})
		m, asked := sent[Attach](r.take())["owner"]
		if asked != stopped || asked && m.Stripes != 2 {
			t.Errorf("Attach = %+v, %v; the stripe stopped: %v", m, asked, stopped)
		}
	}
}

// A parent without a way to the owner is left after a while, also when it passes on what it gets from others.
func TestParentWithoutAWay(t *testing.T) {
	r := newRig(t, nil)
	r.link("a")
	r.serve()
	r.flow(10, 60)
	r.link("b")
	r.flow(60, 70)
	r.take()
	r.say("a", Heartbeat{Epoch: 1, Slots: 16, Spare: 8, Stripes: 3, Home: 3, Paths: []Path{{Stripes: 3}}})
	r.flow(70, 70+uint64((orphanGrace-100*time.Millisecond)/(20*time.Millisecond)))
	if m := sent[Attach](r.take()); len(m) != 0 {
		t.Errorf("Attach = %v at once: its parent will find another first", m)
	}
	r.flow(100, 140)
	if _, ok := sent[Attach](r.take())["b"]; !ok {
		t.Errorf("it stays with a parent that has no way to the owner")
	}
}

// The owner's child acknowledges at once, others together.
func TestOwnerIsToldAtOnce(t *testing.T) {
	for _, id := range []ID{"owner", "a"} {
		r := newRig(t, nil)
		r.link(id)
		r.serve()
		r.flow(10, 40)
		r.pass(2 * ackEvery)
		r.take()
		r.arrive(id, 40)
		_, told := sent[Ack](r.take())[id]
		if told != (id == "owner") {
			t.Errorf("%s is told at once: %v", id, told)
		}
	}
}

// One who has several stripes of the owner yields them also to those with less upload, so that its death does not cost all.
func TestOwnersChildHasTooMuch(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Self, cfg.Upload, cfg.Stripes = "owner", cfg.Rate*3/2, 4 })
	join := func(id ID, slots int, mask uint64) uint64 {
		r.on(LinkUp{Peer: id, RTT: 20 * time.Millisecond})
		self := Member{ID: id, Addresses: []string{"/ip4/10.0.1.1/tcp/1"}, Slots: slots, Spare: slots, Home: r.s.all(), Depth: 1}
		r.say(id, Members{Self: self})
		r.take()
		r.say(id, Attach{Epoch: 1, Stripes: mask, Resume: true, Self: self})
		return sent[Attached](r.take())[id].Stripes
	}
	if got := join("big", 64, r.s.all()); got != r.s.all() {
		t.Fatalf("the first one is given %b, want all", got)
	}
	hear := func() {
		r.pass(2 * rootsApart)
		r.s.size, r.s.givers = 2*fewMembers, fewMembers
		for _, p := range r.s.kids {
			r.say(p.id, Heartbeat{Epoch: 1, Slots: p.slots, Spare: p.spare, Home: p.home})
		}
	}
	hear()
	if got := join("small", 16, 2); got != 2 {
		t.Errorf("one with a quarter of its slots is given %b, want 10", got)
	}
	for _, mask := range []uint64{4, 8} {
		hear()
		join(ID(fmt.Sprint("other", mask)), 16, mask)
	}
	hear()
	if got := join("late", 16, 1); got != 0 {
		t.Errorf("one with a quarter of its slots is given %b, the last that the big one has", got)
	}
}
