package ledger

import (
	"context"
	"testing"
	"time"

	"peergate/overlay/chunk"
)

// cheat runs a test in which a relay has got 1000 chunks of 2000, and may serve a leaf.
func cheat(t *testing.T, f func(r *rig, relay, leaf *actor)) {
	onBoth(t, func(t *testing.T, database string) {
		r := newRig(t, database).emit(2000)
		relay, leaf := r.member(), r.member()
		r.take(relay.asks(relay.letter(relay.gets(r.l.Owner(), 0, 1000)), leaf))
		f(r, relay, leaf)
	})
}

// credited fails the test unless a leaf has been credited so many bytes.
func (r *rig) credited(a *actor, n int64) {
	r.t.Helper()
	if got := r.by()[a.id].Got; got != n {
		r.t.Errorf("%d bytes are credited, want %d", got, n)
	}
}

func TestForgedSignature(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		forger := *leaf
		forger.key = relay.key // signs in the name of the leaf
		r.take(relay.letter(forger.gets(relay.id, 0, 1000)))
		r.disputed(reasonForged, 0)
		r.credited(leaf, 0)
		if d := r.disputes()[0]; d.Sender != relay.id {
			t.Errorf("sender = %v, want the relay", d.Sender)
		}
	})
}

func TestForeignReceipt(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		thief := r.member()
		r.take(thief.letter(leaf.gets(relay.id, 0, 500)))
		r.disputed(reasonForeign, 500*size)
	})
}

func TestReplay(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		raw := leaf.gets(relay.id, 0, 500)
		for range 10 {
			r.take(relay.letter(raw))
		}
		r.disputed(reasonReplay, 500*size)
		r.credited(leaf, 500*size)
	})
}

func TestTwoBodies(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		twin := *leaf
		twin.edges = make(map[Peer]*Edge)
		r.take(relay.letter(leaf.gets(relay.id, 0, 500)))
		r.take(relay.letter(twin.gets(relay.id, 0, 600)))
		r.disputed(reasonTwoBodies, 100*size)
		r.credited(leaf, 500*size)
		reply := r.take(relay.asks(relay.letter(leaf.gets(relay.id, 600, 700)), leaf))[0]
		if len(reply.Denials) != 1 || reply.Settled[0].Reason != reasonTwoBodies {
			t.Errorf("afterwards: %+v", reply)
		}
		r.credited(leaf, 500*size)
	})
}

// TestTwoHistories continues from a window that the owner does not know.
func TestTwoHistories(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		twin := *leaf
		twin.edges = make(map[Peer]*Edge)
		twin.gets(relay.id, 0, 400)
		r.take(relay.letter(leaf.gets(relay.id, 0, 500)))
		r.take(relay.letter(twin.gets(relay.id, 400, 600)))
		r.disputed(reasonTwoBodies, 100*size)
	})
}

func TestTotalsWentBack(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		r.take(relay.letter(leaf.gets(relay.id, 0, 500)))
		leaf.edge(relay.id).r.Bytes -= 100 * size
		r.take(relay.letter(leaf.gets(relay.id, 500, 510)))
		r.disputed(reasonBackwards, 0)
	})
}

// TestInflatedTotals has a downloader acknowledge to two uploaders, together more than was emitted.
func TestInflatedTotals(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		r.take(relay.letter(relay.gets(r.l.Owner(), 1000, 2000)))
		r.take(leaf.letter(leaf.gets(r.l.Owner(), 0, 2000)))
		r.take(relay.letter(leaf.gets(relay.id, 0, 2000)))
		want := r.by()[leaf.id].Got
		if emitted := int64(2000 * size); want > emitted*106/100+64*size {
			t.Errorf("%d bytes are credited of %d emitted", want, emitted)
		}
		r.disputed(reasonInflated, 4000*size-want)
	})
}

// TestManySessions has a downloader begin anew again and again, and acknowledge everything each time.
func TestManySessions(t *testing.T) {
	cheat(t, func(r *rig, _, leaf *actor) {
		for range 10 {
			leaf.session++
			leaf.edges = make(map[Peer]*Edge)
			r.take(leaf.letter(leaf.gets(r.l.Owner(), 0, 2000)))
		}
		most := int64(2000*size*106/100 + 64*size + 9*10*100*size) // ten seconds anew each time
		if got := r.by()[leaf.id]; got.Got > most || got.Refused == 0 {
			t.Errorf("%+v, want at most %d", got, most)
		}
		r.verified()
	})
}

// TestNoIntake has an uploader and a downloader agree on more than the uploader ever got.
func TestNoIntake(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		r.take(relay.letter(leaf.gets(relay.id, 0, 2000)))
		got := r.by()[leaf.id].Got
		if got > 1000*size+margin {
			t.Errorf("%d bytes are credited, the relay has got %d", got, 1000*size)
		}
		r.disputed(reasonNoIntake, 2000*size-got)
	})
}

// TestIntakeComesLater has the leaf hand in what the relay gave it before the relay tells what it got itself.
func TestIntakeComesLater(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		r := newRig(t, database).emit(2000)
		relay, leaf := r.member(), r.member()
		raw := leaf.gets(relay.id, 0, 2000)
		if reply := r.take(leaf.letter(raw))[0]; len(reply.Settled) != 0 {
			t.Errorf("settled = %+v, want it to wait", reply.Settled)
		}
		r.take(relay.asks(relay.letter(relay.gets(r.l.Owner(), 0, 2000)), leaf))
		r.take(leaf.letter(raw))
		r.credited(leaf, 2000*size)
		if ds := r.disputes(); len(ds) > 0 {
			t.Errorf("disputes: %+v", ds)
		}
	})
}

func TestNoLease(t *testing.T) {
	cheat(t, func(r *rig, relay, _ *actor) {
		stranger := r.member()
		raw := stranger.gets(relay.id, 0, 500)
		r.take(stranger.letter(raw))
		r.now = r.now.Add(settleWithin)
		r.take(stranger.letter(raw))
		r.disputed(reasonNoLease, 500*size)
	})
}

func TestNeverEmitted(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		r.chunks = append(r.chunks, make([]byte, size))
		r.take(leaf.letter(leaf.gets(r.l.Owner(), 1990, 2001)))
		r.disputed(reasonNotEmitted, 11*size)
	})
}

func TestUnknownChannel(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		r.channel[5]++
		r.take(leaf.letter(leaf.gets(r.l.Owner(), 0, 10)))
		r.disputed(reasonUnknown, 10*size)
	})
}

// TestWrongDigest has a member acknowledge chunks that it never had.
func TestWrongDigest(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		had := r.chunks
		r.chunks = make([][]byte, len(had))
		for i := range r.chunks {
			r.chunks[i] = make([]byte, size)
		}
		r.take(leaf.letter(leaf.gets(relay.id, 0, 900)))
		r.disputed(reasonPhantom, 900*size)
		r.credited(leaf, 0)
	})
}

// TestPhantom has a member that learns the last chunk's hash from an accomplice, but has no other chunk: the audit finds it
// out, and what was credited is taken back.
func TestPhantom(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		r.l.UseAudit(r)
		reply := r.take(relay.letter(leaf.gets(relay.id, 0, 900)), leaf.letter())[1]
		r.credited(leaf, 900*size)
		if len(reply.Challenges) != 1 {
			t.Fatalf("challenges = %+v, want one", reply.Challenges)
		}
		c := reply.Challenges[0]
		l := leaf.letter()
		l.Proofs = append(l.Proofs, c.Prove(func(uint64) []byte { return nil }))
		r.take(l)
		r.credited(leaf, 0)
		r.disputed(reasonPhantom, 900*size)
		if got := r.by()[relay.id]; got.Carried != 0 || got.Earned != 0 {
			t.Errorf("relay: %+v", got)
		}
		reply = r.take(relay.asks(relay.letter(leaf.gets(relay.id, 900, 950)), leaf))[0]
		if reply.Settled[0].Reason != reasonPhantom || len(reply.Denials) != 1 {
			t.Errorf("afterwards: %+v", reply)
		}
		// It may yet come to have chunks, as one may that had a bad line.
		r.now = r.now.Add(auditEvery)
		c = r.take(leaf.letter())[0].Challenges[0]
		l = leaf.letter()
		l.Proofs = append(l.Proofs, c.Prove(func(seq uint64) []byte { return r.chunks[seq] }))
		r.take(l, relay.letter(leaf.gets(relay.id, 950, 960)))
		r.credited(leaf, 60*size) // what came since
	})
}

// TestSilentPhantom has a member that never writes to the owner.
func TestSilentPhantom(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		r.l.UseAudit(r)
		r.take(relay.letter(leaf.gets(relay.id, 0, 500)))
		r.now = r.now.Add(2*auditEvery + time.Minute)
		r.take(relay.letter(leaf.gets(relay.id, 500, 900)))
		r.disputed(reasonPhantom, 400*size)
		r.credited(leaf, 500*size)
	})
}

// Recent makes the rig what audits get chunks from.
func (r *rig) Recent(context.Context, chunk.ID, uint64) (from uint64, chunks [][]byte) {
	n := len(r.chunks)
	return uint64(n) - 500, r.chunks[n-500 : n-100]
}

func TestUnderstated(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		l := relay.letter(leaf.gets(relay.id, 0, 500))
		l.Claims[0].Missing = slack + 1<<20
		r.take(l)
		r.disputed(reasonUnderstated, 0)
		r.credited(leaf, 500*size)
	})
}

// TestColludingPair has two members that are in it together acknowledge to each other as much as they can.
func TestColludingPair(t *testing.T) {
	cheat(t, func(r *rig, a, b *actor) {
		r.take(b.asks(b.letter(), a))
		r.take(a.letter(b.gets(a.id, 0, 2000)))
		r.take(b.letter(a.gets(b.id, 0, 2000)))
		r.take(a.letter(b.gets(a.id, 0, 2000)))
		got := r.by()
		emitted := int64(2000 * size)
		for _, m := range []*actor{a, b} {
			if s := got[m.id]; s.Got > emitted*106/100+64*size || s.Refused == 0 {
				t.Errorf("%+v, want at most a little more than what was emitted, %d", s, emitted)
			}
		}
		r.verified()
	})
}
