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
		r.fails(leaf, reply.Challenges[0], wrongMost)
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
		c := r.take(leaf.letter())[0].Challenges[0]
		l := leaf.letter()
		l.Proofs = append(l.Proofs, c.Prove(func(seq uint64) []byte { return r.chunks[seq] }))
		r.take(l, relay.letter(leaf.gets(relay.id, 950, 960)))
		r.credited(leaf, 60*size) // what came since
	})
}

// fails has a member answer a challenge, and those that follow, without any chunk, so many in all.
func (r *rig) fails(a *actor, c Challenge, times int) {
	r.t.Helper()
	for {
		l := a.letter()
		l.Proofs = append(l.Proofs, c.Prove(func(uint64) []byte { return nil }))
		r.take(l)
		if times--; times == 0 {
			return
		}
		r.now = r.now.Add(auditAgain)
		challenges := r.take(a.letter())[0].Challenges
		if len(challenges) != 1 {
			r.t.Fatalf("challenges = %+v, want another one", challenges)
		}
		c = challenges[0]
	}
}

// TestLateJoiner has a member that has just begun anew asked for what was before. Once it called an honest gateway a liar.
func TestLateJoiner(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		r.l.UseAudit(r)
		r.take(relay.letter(leaf.gets(relay.id, 0, 900)))
		r.fails(leaf, r.take(leaf.letter())[0].Challenges[0], wrongMost-1)
		r.now = r.now.Add(auditAgain)
		c := r.take(leaf.letter())[0].Challenges[0]
		l := leaf.letter()
		l.Proofs = append(l.Proofs, c.Prove(func(seq uint64) []byte { return r.chunks[seq] }))
		r.take(l)
		r.credited(leaf, 900*size)
		if ds := r.disputes(); len(ds) > 0 {
			t.Errorf("disputes: %+v", ds)
		}
		r.now = r.now.Add(auditAgain)
		if reply := r.take(leaf.letter())[0]; len(reply.Challenges) != 0 {
			t.Errorf("it is challenged again: %+v", reply.Challenges)
		}
	})
}

// TestBothEndsHandIn has both ends of an edge hand in each receipt, as they do. Once that was noted as a replay.
func TestBothEndsHandIn(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		for at := 0; at < 1000; at += 50 {
			raw := leaf.gets(relay.id, at, at+50)
			r.take(leaf.letter(raw), relay.letter(raw))
		}
		r.credited(leaf, 1000*size)
		if ds := r.disputes(); len(ds) > 0 {
			t.Errorf("disputes: %+v", ds)
		}
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

// TestFlaggedPair has two members at one place give each other all that they get: nothing is refused, but the owner is told.
func TestFlaggedPair(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		r := newRig(t, database).emit(flagFrom/size + 2000)
		r.l.UseAudit(r)
		a, b := r.member(), r.member()
		r.take(a.asks(a.letter(), b), b.asks(b.letter(), a))
		half, all := len(r.chunks)/2, len(r.chunks)
		r.take(a.letter(a.gets(r.l.Owner(), 0, half)), b.letter(b.gets(r.l.Owner(), half, all)))
		r.take(a.letter(a.gets(b.id, half, all)), b.letter(b.gets(a.id, 0, half)))
		r.take(a.letter(a.gets(b.id, all, all)), b.letter(b.gets(a.id, half, half))) // nothing more, and not noted again
		reasons := make(map[string]int64)
		for _, d := range r.disputes() {
			reasons[d.Reason]++
			if d.Bytes != 0 || d.Sender != r.l.Owner() {
				t.Errorf("%+v, want nothing refused", d)
			}
		}
		if len(reasons) != 2 || reasons[reasonPair] != 1 || reasons[reasonSubnet] != 1 {
			t.Errorf("noted: %v, want a pair and its subnet once each", reasons)
		}
		r.verified()
	})
}

// TestDistrustSurvives has the owner's gateway begin anew after one member has not passed an audit and another has
// contradicted itself: neither is trusted then, and the audits go on where they were.
func TestDistrustSurvives(t *testing.T) {
	cheat(t, func(r *rig, relay, leaf *actor) {
		r.l.UseAudit(r)
		liar := r.member()
		twin := *liar
		twin.edges = make(map[Peer]*Edge)
		r.take(relay.asks(relay.letter(), liar))
		r.take(relay.letter(liar.gets(relay.id, 0, 300), twin.gets(relay.id, 0, 400), leaf.gets(relay.id, 0, 900)))
		r.fails(leaf, r.take(leaf.letter())[0].Challenges[0], wrongMost)
		if err := r.l.Close(); err != nil {
			t.Fatal(err)
		}
		r.open()
		r.l.UseAudit(r)
		if err := r.l.Begin(t.Context(), r.e, Terms{Name: "live"}); err != nil {
			t.Fatal(err)
		}
		reply := r.take(relay.asks(relay.letter(leaf.gets(relay.id, 900, 950)), leaf, liar))[0]
		if len(reply.Denials) != 2 || reply.Settled[0].Reason != reasonPhantom {
			t.Errorf("after a restart: %+v, want two denials and the receipt refused", reply)
		}
		if reply := r.take(leaf.letter())[0]; len(reply.Challenges) != 0 {
			t.Errorf("it is challenged again at once: %+v", reply.Challenges)
		}
		r.now = r.now.Add(auditEvery)
		if reply := r.take(leaf.letter())[0]; len(reply.Challenges) != 1 {
			t.Errorf("challenges = %+v, want one when it is time", reply.Challenges)
		}
	})
}

// Subnet has everybody in the same network.
func (r *rig) Subnet(Peer) string { return "203.0.113.0/24" }

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

// TestColludingPair has two members that are in it together acknowledge the whole stream to each other, step by step, so that
// each seems to have what it gives.
func TestColludingPair(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		r := newRig(t, database).emit(2000)
		a, b := r.member(), r.member()
		r.take(a.asks(a.letter(), b), b.asks(b.letter(), a))
		for at := 0; at < 2000; at += 100 {
			r.take(a.letter(b.gets(a.id, at, at+100)), b.letter(a.gets(b.id, at, at+100)))
		}
		got := r.by()
		emitted := int64(2000 * size)
		sum := got[a.id].Got + got[b.id].Got
		if most := emitted*105/100 + 64*size + margin; sum > most || sum < emitted {
			t.Errorf("%d bytes are credited between two, of %d emitted, want at most %d", sum, emitted, most)
		}
		refused := int64(0)
		for _, d := range r.disputes() {
			if d.Reason == reasonPair {
				refused += d.Bytes
			}
		}
		if refused != 2*emitted-sum {
			t.Errorf("%d bytes are refused as those of a pair, want all others", refused)
		}
		r.verified()
	})
}
