package swarm

import (
	"slices"
	"testing"
	"time"
)

func TestJoin(t *testing.T) {
	r := newRig(t, nil)
	r.on(Candidates{Members: []Member{{ID: "owner", Addresses: []string{"/ip4/10.0.9.1/tcp/1"}}}, Keep: true})
	if c := did[Connect](r.take()); len(c) != 1 || c[0].Peer != "owner" || len(c[0].Addresses) != 1 {
		t.Fatalf("Connect = %v, want one to the owner", c)
	}
	r.on(LinkUp{Peer: "owner", RTT: 20 * time.Millisecond})
	acts := r.take()
	if _, ok := sent[Find](acts)["owner"]; !ok {
		t.Errorf("after LinkUp it does not ask the owner for members: %v", acts)
	}
	if _, ok := sent[Report](acts)["owner"]; !ok {
		t.Errorf("after LinkUp it does not report to the owner: %v", acts)
	}
	r.say("owner", Plan{Every: 5000, Size: 2, Givers: 1, Stripes: 3})
	r.say("owner", Members{Self: r.member("owner"), Members: []Member{r.member("b")}})
	acts = r.take()
	if m := sent[Attach](acts)["owner"]; m.Stripes != 3 || m.Resume {
		t.Errorf("Attach = %+v, want both stripes from the start", m)
	}
	if o := did[Open](acts); len(o) != 1 {
		t.Errorf("Open = %v, want one before the Attach", o)
	}
	if c := did[Connect](acts); len(c) != 1 || c[0].Peer != "b" {
		t.Errorf("Connect = %v, want one to the member that the owner named", c)
	}
	r.say("owner", Attached{Epoch: 1, Number: sent[Attach](acts)["owner"].Number, Stripes: 3, Paths: r.paths("owner")})
	if a := did[Admission](r.take()); len(a) != 1 || a[0].State != Joined {
		t.Errorf("Admission = %v, want joined", a)
	}
	if st := r.s.Stats(); st.Depth != 1 || !slices.Equal(st.Parents, []ID{"owner"}) || st.State != Joined {
		t.Errorf("Stats = %+v", st)
	}
}

func TestReleaseInOrderFromAKeyChunk(t *testing.T) {
	r := newRig(t, nil)
	r.link("a", "b")
	r.serve()
	r.flow(13, 24)
	if got := released(r.take()); !slices.Equal(got, []uint64{20, 21, 22, 23}) {
		t.Errorf("released %v, want 20 to 23", got)
	}
}

func TestMissingChunkIsAskedForAndHoldsBack(t *testing.T) {
	r := newRig(t, nil)
	r.link("a", "b")
	r.serve()
	r.flow(10, 30)
	r.take()
	r.flow(30, 34, 31)
	r.pass(2 * repairSlack)
	acts := r.take()
	if got := released(acts); !slices.Equal(got, []uint64{30}) {
		t.Errorf("released %v, want 30 alone", got)
	}
	parent := r.s.stripes[1].parent.id
	if w := sent[Want](acts)[parent]; !slices.Equal(w.Seqs, []uint64{31}) {
		t.Errorf("Want to the parent, which has gone on, = %v, want 31", w.Seqs)
	}
	r.say(parent, Lack{Epoch: 1, Seqs: []uint64{31}})
	r.pass(3 * guessAfter)
	wants := sent[Want](r.take())
	if len(wants) != 1 || wants[parent].Seqs != nil {
		t.Fatalf("after Lack, Want = %v, want one to another", wants)
	}
	for id := range wants {
		r.arrive(id, 31)
	}
	if got := released(r.take()); !slices.Equal(got, []uint64{31, 32, 33}) {
		t.Errorf("released %v, want 31 to 33", got)
	}
	if st := r.s.Stats(); st.Repaired != 1 || st.Skips != 0 {
		t.Errorf("repaired %d, skips %d, want 1, 0", st.Repaired, st.Skips)
	}
}

func TestGapIsSkippedToTheNextKeyChunk(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Delay = 300 * time.Millisecond })
	r.link("a", "b")
	r.serve()
	r.flow(10, 20)
	r.take()
	r.flow(20, 33, 21) // 22 comes 40 ms after 20, 33 after 260 ms
	if got := released(r.take()); !slices.Equal(got, []uint64{20}) {
		t.Fatalf("released %v, want 20 alone until the deadline", got)
	}
	r.pass(300 * time.Millisecond)
	acts := r.take()
	if s := did[Skip](acts); len(s) != 1 || s[0] != (Skip{1, 21, 30}) {
		t.Errorf("Skip = %v, want 21 to 30", s)
	}
	if got := released(acts); !slices.Equal(got, []uint64{30, 31, 32}) {
		t.Errorf("released %v, want 30 to 32", got)
	}
}

func TestParentThatDiesIsReplacedAtOnce(t *testing.T) {
	r := newRig(t, nil)
	r.link("a", "b")
	first := r.serve()[0]
	r.flow(10, 30)
	r.take()
	r.on(LinkDown{Peer: first})
	acts := r.take()
	other := ID("a")
	if first == "a" {
		other = "b"
	}
	m, ok := sent[Attach](acts)[other]
	if !ok || m.Stripes != 3 || !m.Resume || m.Have.Base != 30 {
		t.Errorf("Attach to the other = %+v, want both stripes from 30 on", m)
	}
}

func TestSilentParentIsReplaced(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers bool // the parent lives: it answers heartbeats, as of a source that is silent itself
		want    bool
	}{
		{"a dead one", false, true},
		{"one that has nothing either", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			r.link("a", "b")
			first := r.serve()[0]
			r.flow(10, 60)
			r.take()
			var asked bool
			begin := r.now
			for r.now.Sub(begin) < time.Second && !asked {
				r.pass(20 * time.Millisecond)
				acts := r.take()
				_, asked = anyTo[Attach](acts, first)
				if m := sent[Heartbeat](acts)[first]; m.Ask && c.answers {
					r.say(first, Heartbeat{Epoch: 1, Slots: 16, Spare: 8, Stripes: 3, Echo: m.Stamp})
				}
			}
			if asked != c.want {
				t.Errorf("within a second another was asked: %v, want %v", asked, c.want)
			}
			if took := r.now.Sub(begin); asked && took > 700*time.Millisecond {
				t.Errorf("the other was asked after %v, want 250 ms and what a ping takes", took)
			}
		})
	}
}

// anyTo returns a message of a type to somebody else.
func anyTo[M Message](acts Actions, but ID) (ID, bool) {
	for to := range sent[M](acts) {
		if to != but {
			return to, true
		}
	}
	return "", false
}

func TestSilentStripeIsReplacedWhileOthersFlow(t *testing.T) {
	r := newRig(t, nil)
	r.link("a", "b", "c")
	r.serve()
	r.flow(10, 60)
	r.take()
	parent := r.s.stripes[1].parent.id
	begin := r.now
	for q := uint64(60); q < 120; q++ {
		if r.pass(20 * time.Millisecond); q%2 == 0 {
			r.arrive(r.s.stripes[0].parent.id, q)
		}
		acts := r.take()
		if to, ok := anyTo[Attach](acts, parent); ok {
			if took := r.now.Sub(begin); took > 400*time.Millisecond {
				t.Errorf("asked after %v, want about 250 ms", took)
			}
			r.say(to, Attached{Epoch: 1, Number: sent[Attach](acts)[to].Number, Stripes: 2, Paths: r.paths(to)})
			if d := sent[Detach](r.take())[parent]; d.Stripes != 2 {
				t.Errorf("Detach to the silent one = %+v, want stripe 1", d)
			}
			return
		}
	}
	t.Error("nobody else was asked within 1.2 s")
}

func TestChildIsServed(t *testing.T) {
	r := newRig(t, nil)
	r.link("owner")
	r.serve()
	r.flow(10, 25)
	r.take()
	r.on(LinkUp{Peer: "kid"})
	r.say("kid", Attach{Epoch: 1, Stripes: 3, Self: Member{ID: "kid", Depth: -1}})
	acts := r.take()
	m := sent[Attached](acts)["kid"]
	if m.Stripes != 3 || m.Head != 25 || len(m.Paths) != 1 || !slices.Equal(m.Paths[0].Hops, []uint64{ID("owner").Hop()}) {
		t.Errorf("Attached = %+v, want both stripes by the owner", m)
	}
	var pushed []uint64
	for _, p := range did[Push](acts) {
		pushed = append(pushed, p.Seq)
	}
	if !slices.Equal(pushed, []uint64{20, 21, 22, 23, 24}) {
		t.Errorf("pushed %v, want from the last key chunk, 20, on", pushed)
	}
	r.flow(25, 26)
	if p := did[Push](r.take()); len(p) != 1 || p[0].Seq != 25 || p[0].To != "kid" {
		t.Errorf("Push = %v, want 25 on its coming", p)
	}
	r.say("kid", Want{Epoch: 1, Seqs: []uint64{12, 99}})
	acts = r.take()
	if g := did[Give](acts); len(g) != 1 || g[0].Seq != 12 {
		t.Errorf("Give = %v, want 12", g)
	}
	if l := sent[Lack](acts)["kid"]; !slices.Equal(l.Seqs, []uint64{99}) {
		t.Errorf("Lack = %v, want 99", l.Seqs)
	}
}

func TestAttachIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Config)
		from ID
		want Reason
	}{
		{"on the path", nil, "owner", RefusedLoop},
		{"no slots", func(c *Config) { c.Upload = 0 }, "kid", RefusedFull},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.edit)
			r.link("owner")
			r.serve()
			r.on(LinkUp{Peer: c.from})
			r.say(c.from, Attach{Epoch: 1, Stripes: 3, Self: Member{ID: c.from}})
			if m := sent[Refused](r.take())[c.from]; m.Reason != c.want || m.Stripes != 3 {
				t.Errorf("Refused = %+v, want %v", m, c.want)
			}
		})
	}
}

func TestAttachWaitsForTheParentsParent(t *testing.T) {
	r := newRig(t, nil)
	r.on(LinkUp{Peer: "kid"})
	ask := Attach{Epoch: 1, Stripes: 3, Self: Member{ID: "kid", Depth: -1}}
	r.say("kid", ask)
	if m := sent[Refused](r.take()); len(m) != 0 {
		t.Fatalf("Refused = %v at once, want it to wait", m)
	}
	r.link("owner")
	r.serve()
	if m := sent[Attached](r.take())["kid"]; m.Stripes != 3 {
		r.pass(time.Millisecond)
		if m = sent[Attached](r.take())["kid"]; m.Stripes != 3 {
			t.Errorf("Attached = %+v, want both stripes once there is a parent", m)
		}
	}

	r = newRig(t, nil)
	r.on(LinkUp{Peer: "kid"})
	r.say("kid", ask)
	r.pass(attachHold + 10*time.Millisecond)
	if m := sent[Refused](r.take())["kid"]; m.Reason != RefusedOrphan {
		t.Errorf("after %v Refused = %+v, want that there is no parent", attachHold, m)
	}
}

// A race of two switches makes a loop; the lowest hop on it leaves.
func TestLoopIsLeft(t *testing.T) {
	r := newRig(t, nil)
	r.link("a", "b")
	parent := r.serve()[0]
	r.take()
	r.say(parent, Heartbeat{Epoch: 1, Spare: 8, Slots: 16, Stripes: 3, Paths: []Path{{Stripes: 3, Rooted: true, Hops: []uint64{ID("me").Hop(), 1}}}})
	_, left := sent[Detach](r.take())[parent]
	if want := ID("me").Hop() < parent.Hop(); left != want {
		t.Errorf("it left the loop: %v, want %v, since its hop is %#x, the other's %#x", left, want, ID("me").Hop(), parent.Hop())
	}
}

func TestLeaveTellsChildrenAndServesThemOn(t *testing.T) {
	r := newRig(t, nil)
	r.link("owner", "b")
	r.serve()
	r.flow(10, 20)
	r.say("kid", Attach{Epoch: 1, Stripes: 3, Self: Member{ID: "kid", Depth: -1}})
	r.take()
	r.on(Go{})
	acts := r.take()
	if m, ok := sent[Leave](acts)["kid"]; !ok || m.After != 500 || len(m.Backups) == 0 {
		t.Errorf("Leave = %+v, want others named, 500 ms ahead", m)
	}
	r.flow(20, 22)
	acts = r.take()
	if p := did[Push](acts); len(p) != 2 {
		t.Errorf("pushed %v while leaving, want 20 and 21", p)
	}
	r.pass(time.Second)
	acts = r.take()
	if c := did[Closed](acts); len(c) != 1 || c[0] != (Closed{}) {
		t.Errorf("Closed = %v, want one", c)
	}
	if !r.wake.IsZero() {
		t.Errorf("after Closed it wants to be woken at %v", r.wake)
	}
}

func TestIdleMemberLeaves(t *testing.T) {
	r := newRig(t, nil)
	r.link("owner")
	r.serve()
	r.on(Demand{})
	r.pass(9 * time.Second)
	if c := did[Closed](r.take()); len(c) != 0 {
		t.Fatalf("Closed after 9 s, want 10")
	}
	r.on(Demand{Relay: true})
	r.pass(20 * time.Second)
	if c := did[Closed](r.take()); len(c) != 0 {
		t.Fatalf("Closed although it relays")
	}
	r.on(Demand{})
	r.pass(11 * time.Second)
	acts := r.take()
	if c := did[Closed](acts); len(c) != 1 || !c[0].Idle {
		t.Errorf("Closed = %v, want idle", c)
	}
	if d := sent[Detach](acts)["owner"]; d.Stripes != 3 {
		t.Errorf("Detach = %+v, want both stripes", d)
	}
}

func TestEpoch(t *testing.T) {
	r := newRig(t, nil)
	r.link("owner", "b")
	r.serve()
	r.flow(10, 20)
	r.take()
	r.say("owner", Heartbeat{Epoch: 2, Slots: 16, Spare: 8, Stripes: 3})
	if f := did[Fetch](r.take()); len(f) != 1 || f[0] != (Fetch{"owner", 2}) {
		t.Fatalf("Fetch = %v, want epoch 2 of the owner", f)
	}
	r.on(Described{Epoch: 2, Stripes: 2, Rate: 400_000})
	acts := r.take()
	if m := sent[Attach](acts)["owner"]; m.Epoch != 2 || m.Stripes != 3 {
		t.Errorf("Attach = %+v, want both stripes of epoch 2", m)
	}
	if m := sent[Heartbeat](acts)["b"]; m.Epoch != 2 {
		t.Errorf("Heartbeat to the neighbour = %+v, want epoch 2 told", m)
	}
	if f := did[Forget](acts); len(f) != 1 || f[0] != (Forget{2, 0}) {
		t.Errorf("Forget = %v, want all of epoch 1", f)
	}
	r.say("owner", Attached{Epoch: 2, Number: sent[Attach](acts)["owner"].Number, Stripes: 3, Paths: r.paths("owner")})
	r.flow(0, 3)
	if got := did[Release](r.take()); len(got) != 3 || got[0] != (Release{2, 0}) {
		t.Errorf("Release = %v, want 0 to 2 of epoch 2", got)
	}
	r.on(Arrived{From: "owner", Epoch: 1, Seq: 20, Size: 1000})
	if acts := r.take(); len(did[Keep](acts)) != 0 {
		t.Errorf("a chunk of epoch 1 is kept")
	}
}

func TestEndedChannelIsToldAndClosed(t *testing.T) {
	r := newRig(t, nil)
	r.link("owner")
	r.serve()
	r.say("kid", Attach{Epoch: 1, Stripes: 3, Self: Member{ID: "kid", Depth: -1}})
	r.take()
	r.on(Described{Epoch: 2, Stripes: 2, Ended: true})
	if m := sent[Heartbeat](r.take())["kid"]; m.Epoch != 2 {
		t.Errorf("Heartbeat to the child = %+v, want epoch 2, so that it fetches the descriptor", m)
	}
	r.pass(3 * time.Second)
	if c := did[Closed](r.take()); len(c) != 1 || !c[0].Ended {
		t.Errorf("Closed = %v, want ended", c)
	}
}

func TestSteadyReleasesByTheOwnersClock(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Steady, c.Delay = true, 600*time.Millisecond })
	r.link("owner")
	r.serve()
	const ahead = 5 * time.Second // the owner's clock
	for range 200 {
		r.pass(10 * time.Millisecond)
		if m := sent[Heartbeat](r.take())["owner"]; m.Ask {
			r.now = r.now.Add(10 * time.Millisecond)
			r.say("owner", Heartbeat{
				Epoch: 1, Slots: 16, Spare: 8, Stripes: 3, Echo: m.Stamp,
				Wall: uint64(r.now.Add(ahead - 5*time.Millisecond).UnixMicro()),
			})
		}
	}
	if st := r.s.Stats(); (st.Clock-ahead).Abs() > st.Error || st.Error < 0 || st.Error > 20*time.Millisecond {
		t.Fatalf("Clock = %v ± %v, want %v within 20 ms", st.Clock, st.Error, ahead)
	}
	r.take()
	made := r.now
	r.on(Arrived{From: "owner", Epoch: 1, Seq: 10, Size: 100, Key: true, Wall: made.Add(ahead)})
	for r.now.Sub(made) < time.Second {
		r.pass(time.Millisecond)
		if len(did[Release](r.take())) > 0 {
			break
		}
	}
	if d := r.now.Sub(made); d < 585*time.Millisecond || d > 615*time.Millisecond {
		t.Errorf("released %v after it was made, want 600 ms within the clock's error", d)
	}
}

func TestWaitingTellsWhy(t *testing.T) {
	r := newRig(t, nil)
	r.link("owner")
	for range 40 {
		for _, a := range r.take() {
			if s, ok := a.(Send); ok {
				if m, ok := s.Message.(Attach); ok {
					r.say(s.To, Refused{Reason: RefusedCapacity, Number: m.Number, Stripes: m.Stripes})
				}
			}
			if a, ok := a.(Admission); ok && a.State == Waiting {
				if a.Why != RefusedCapacity {
					t.Errorf("Why = %v, want that upload lacks", a.Why)
				}
				return
			}
		}
		r.pass(100 * time.Millisecond)
	}
	t.Error("it is not said that it waits")
}
