package swarm

import (
	"testing"
	"time"
)

// rig is a member under test and the world around it, which the test plays.
type rig struct {
	t    *testing.T
	s    *Swarm
	now  time.Time
	wake time.Time
	acts Actions // since the last call of take
}

func newRig(t *testing.T, edit func(*Config)) *rig {
	t.Helper()
	cfg := Config{
		Self: "me", Owner: "owner", Addresses: []string{"/ip4/10.0.0.1/tcp/1"}, Epoch: 1, Stripes: 2, Rate: 400_000,
		Upload: Unlimited, IdleAfter: 10 * time.Second, Seed: 1,
	}
	if edit != nil {
		edit(&cfg)
	}
	r := &rig{t: t, s: New(cfg), now: time.Unix(1_700_000_000, 0)}
	r.on(Demand{Players: 1})
	return r
}

// on gives the member events at the present time.
func (r *rig) on(evs ...Event) {
	r.t.Helper()
	for _, ev := range evs {
		r.wake = r.s.Handle(ev, r.now, &r.acts)
		if !r.s.closed && !r.wake.After(r.now) {
			r.t.Fatalf("after %#v it wants to be woken at once", ev)
		}
	}
}

// pass lets time pass, waking the member when it wants to be.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	end := r.now.Add(d)
	for !r.s.closed && !r.wake.After(end) {
		r.now = r.wake
		r.on(nil)
	}
	r.now = end
}

// take returns the actions since the last call.
func (r *rig) take() Actions {
	a := r.acts
	r.acts = nil
	return a
}

// link makes links to peers that say they are rooted members with room, at a distance.
func (r *rig) link(ids ...ID) {
	r.t.Helper()
	for _, id := range ids {
		r.on(LinkUp{Peer: id, RTT: 20 * time.Millisecond})
		if id == "owner" {
			r.say(id, Plan{Every: 5000, Size: 3, Givers: 2, Stripes: r.s.all()})
		}
		r.say(id, Members{Self: r.member(id)})
		r.say(id, Heartbeat{Epoch: r.s.epoch, Slots: 16, Spare: 8, Stripes: r.s.all(), Home: r.s.all(), Paths: r.paths(id)})
	}
}

func (r *rig) member(id ID) Member {
	m := Member{ID: id, Addresses: []string{"/ip4/10.0.1.1/tcp/1"}, Slots: 16, Spare: 8, Stripes: r.s.all(), Home: r.s.all(), Depth: 1}
	if id == "owner" {
		m.Depth = 0
	}
	return m
}

func (r *rig) paths(id ID) []Path {
	if id == "owner" {
		return []Path{{Stripes: r.s.all(), Rooted: true}}
	}
	return []Path{{Stripes: r.s.all(), Rooted: true, Hops: []uint64{ID("owner").Hop()}}}
}

func (r *rig) say(from ID, m Message) {
	r.t.Helper()
	r.on(Received{from, m})
}

// serve lets time pass until the member has attached, and grants what it asked for.
func (r *rig) serve() (by []ID) {
	r.t.Helper()
	for range 50 {
		for _, a := range r.take() {
			if s, ok := a.(Send); ok {
				if m, ok := s.Message.(Attach); ok {
					by = append(by, s.To)
					r.say(s.To, Attached{Epoch: m.Epoch, Number: m.Number, Stripes: m.Stripes, Paths: r.paths(s.To)})
				}
			}
		}
		if r.s.lacks() == 0 {
			return by
		}
		r.pass(10 * time.Millisecond)
	}
	r.t.Fatalf("it has no parents: lacks %b", r.s.lacks())
	return nil
}

// arrive lets a chunk come from its parent, or from another peer as a repair; every tenth is a key chunk.
func (r *rig) arrive(from ID, seq uint64) {
	r.t.Helper()
	r.on(Arrived{
		From: from, Epoch: r.s.epoch, Seq: seq, Size: 1000, Key: seq%10 == 0, Wall: r.now.Add(-50 * time.Millisecond),
		Repair: r.s.stripes[seq%uint64(r.s.k)].parent != r.s.peers[from],
	})
}

// flow lets the chunks of [first, end) come from whoever is the parent, 20 ms apart, but those in without.
func (r *rig) flow(first, end uint64, without ...uint64) {
	r.t.Helper()
next:
	for q := first; q < end; q++ {
		r.pass(20 * time.Millisecond)
		for _, w := range without {
			if q == w {
				continue next
			}
		}
		if p := r.s.stripes[q%uint64(r.s.k)].parent; p != nil {
			r.arrive(p.id, q)
		}
	}
}

// sent returns the messages of a type among the actions, by receiver.
func sent[M Message](acts Actions) map[ID]M {
	m := make(map[ID]M)
	for _, a := range acts {
		if s, ok := a.(Send); ok {
			if v, ok := s.Message.(M); ok {
				m[s.To] = v
			}
		}
	}
	return m
}

// did returns the actions of a type.
func did[A Action](acts Actions) (of []A) {
	for _, a := range acts {
		if v, ok := a.(A); ok {
			of = append(of, v)
		}
	}
	return of
}

// released returns the sequence numbers that were released.
func released(acts Actions) (seqs []uint64) {
	for _, a := range did[Release](acts) {
		seqs = append(seqs, a.Seq)
	}
	return seqs
}
