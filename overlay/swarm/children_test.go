package swarm

import (
	"testing"
	"time"
)

func TestQueueToAChild(t *testing.T) {
	for _, c := range []struct {
		name string
		late time.Duration // what a chunk takes longer than at first, by the child's clock
		shed bool
	}{
		{"all come soon", 150 * time.Millisecond, false},
		{"a queue on the way", 700 * time.Millisecond, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			r.link("owner")
			r.serve()
			r.flow(10, 30)
			r.say("kid", Attach{Epoch: 1, Stripes: 3, Self: Member{ID: "kid", Depth: -1}})
			r.take()
			const ahead = time.Hour // the child's clock
			for q := uint64(30); q < 500; q++ {
				r.flow(q, q+1)
				if q < 40 {
					continue
				}
				came := r.now.Add(ahead - 180*time.Millisecond) // 20 ms after it was pushed
				if q >= 60 {
					came = came.Add(c.late)
				}
				r.say("kid", Ack{Epoch: 1, Seqs: []uint64{q - 10}, Last: q - 10, Stamp: uint64(came.UnixMicro())})
			}
			d, shed := sent[Detach](r.take())["kid"]
			if shed != c.shed || shed && (d.Stripes != 2 || d.After != 500) {
				t.Errorf("Detach = %+v, %v, want one stripe shed: %v", d, shed, c.shed)
			}
			if st := r.s.Stats(); st.Dropped > 0 != c.shed {
				t.Errorf("dropped %d chunks", st.Dropped)
			}
		})
	}
}

// An answer to an Attach of an older epoch once undid the newer one: the child closed the push stream and opened it
// again without an Attach, and starved, each believing that the other knew.
func TestAnswerToAnOlderAttachChangesNothing(t *testing.T) {
	r := newRig(t, nil)
	r.link("owner")
	old := sent[Attach](r.take())["owner"]
	r.on(Described{Epoch: 2, Stripes: 2, Rate: 400_000})
	r.say("owner", Heartbeat{Epoch: 2, Slots: 16, Spare: 8, Stripes: 3, Home: 3, Paths: r.paths("owner")})
	m, ok := sent[Attach](r.take())["owner"]
	if !ok || m.Epoch != 2 || m.Number == old.Number {
		t.Fatalf("Attach = %+v, after %+v, want one of epoch 2 with another number", m, old)
	}
	r.say("owner", Refused{Reason: RefusedOrphan, Number: old.Number, Stripes: 3})
	if s := did[Shut](r.take()); len(s) != 0 {
		t.Errorf("the old refusal shuts the push stream: %v", s)
	}
	r.say("owner", Attached{Epoch: 2, Number: m.Number, Stripes: 3, Paths: r.paths("owner")})
	acts := r.take()
	if o := did[Open](acts); len(o) != 0 || r.s.lacks() != 0 {
		t.Errorf("Open = %v, lacks %b, want to be attached on the stream that is open", o, r.s.lacks())
	}
}

func TestChildWhoseStreamBrokeIsTold(t *testing.T) {
	r := newRig(t, nil)
	r.link("owner")
	r.serve()
	r.say("kid", Attach{Epoch: 1, Stripes: 3, Self: Member{ID: "kid", Depth: -1}})
	r.take()
	r.on(Broken{Peer: "kid"})
	if d := sent[Detach](r.take())["kid"]; d.Stripes != 3 {
		t.Errorf("Detach = %+v, want both stripes, so that it attaches anew", d)
	}
}

func TestOnlyParentThatIsSilentIsAskedAnew(t *testing.T) {
	r := newRig(t, nil)
	r.link("owner")
	r.serve()
	r.flow(10, 30)
	r.take()
	for range 30 { // it lives, and says that it goes on
		r.pass(100 * time.Millisecond)
		r.say("owner", Heartbeat{Epoch: 1, Slots: 16, Spare: 8, Stripes: 3, Home: 3, Have: Have{Base: 60, Full: 50}})
		if m, ok := sent[Attach](r.take())["owner"]; ok {
			if !m.Resume || m.Have.Base != 30 || m.Stripes == 0 {
				t.Errorf("Attach = %+v, want to go on from 30", m)
			}
			return
		}
	}
	t.Error("the parent is not asked again within 3 s")
}

// What a child never acknowledged, because it came between two parents, once looked like a queue for ever, so that
// nothing more was pushed and nothing acknowledged.
func TestUnacknowledgedChunksDoNotStopPushes(t *testing.T) {
	r := newRig(t, nil)
	r.link("owner")
	r.serve()
	r.flow(10, 30)
	r.say("kid", Attach{Epoch: 1, Stripes: 3, Self: Member{ID: "kid", Depth: -1}})
	alive := func(first, end uint64) {
		for q := first; q < end; q++ {
			r.flow(q, q+1)
			r.say("kid", Heartbeat{Epoch: 1})
		}
	}
	alive(30, 300) // 5 s
	r.take()
	alive(300, 400) // 2 s
	if p := did[Push](r.take()); len(p) == 0 {
		t.Error("nothing is pushed any more to a child that lives")
	}
}

// TestRateToldTooLow has a channel described with a tenth of its rate, as after its camera has stood still: within seconds the
// owner offers no more slots than it can serve.
func TestRateToldTooLow(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Self, c.Rate, c.Upload = c.Owner, 40_000, 1_000_000 })
	before := r.s.Stats().Slots
	for q := range uint64(120) {
		r.pass(20 * time.Millisecond)
		r.on(Produced{Epoch: 1, Seq: q, Size: 1000, Key: q%10 == 0, Wall: r.now}) // 400 kbit/s
	}
	if now := r.s.Stats().Slots; now != 4 || before < 20 {
		t.Errorf("%d slots, at first %d, want 4 of 2 stripes and at first 20 or more", now, before)
	}
}
