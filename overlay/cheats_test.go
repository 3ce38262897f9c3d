package overlay

import (
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"peergate/overlay/chunk"
	"peergate/overlay/ledger"
)

// ring is a stream that goes from a over b to c, and two gateways that only connect to a. All but a are modified to lie when a
// test says so: they write to a what a sound gateway would not, over their own links and with their own keys.
type ring struct {
	t             *testing.T
	a, b, c, d, e *gateway
	channel       chunk.ID
	epoch         uint64
	last          *chunk.Chunk // that b has
	bytes         uint64       // of chunks that b has got at least
}

// runRing makes the gateways, and waits until c watches.
func runRing(t *testing.T) *ring {
	t.Helper()
	k := &ring{t: t, d: newGateway(t, "d"), e: newGateway(t, "e")}
	k.a, k.b, k.c = newGateway(t, "a"), newGateway(t, "b"), newGateway(t, "c")
	k.a.knowsAt(k.b).knowsAt(k.d).knowsAt(k.e).start()
	k.b.knows(k.a).knowsAt(k.c).start()
	k.c.knows(k.b).knowsAt(k.a).start()
	k.d.knows(k.a).start()
	k.e.knows(k.a).start()
	k.a.film("live")
	k.c.view("a/live").watch(200)
	eventually(t, "the ledger is open", func() bool {
		_, err := k.a.node.View()
		return err == nil
	})
	ch := k.b.node.channel(channelID(k.a.id.ID, "live"))
	k.channel = ch.id
	done := make(chan struct{})
	ch.box.put(func() {
		defer close(done)
		for _, h := range ch.store.kept {
			k.bytes += uint64(len(h.chunk.Raw))
			if k.last == nil || h.chunk.Seq > k.last.Seq {
				k.last, k.epoch = h.chunk, h.chunk.Epoch
			}
		}
	})
	<-done
	k.leased(k.b, k.c)
	return k
}

// leased has a gateway ask for the leave to serve another one. What it writes next comes after that.
func (k *ring) leased(up, down *gateway) {
	k.says(up, &ledger.Letter{Requests: []ledger.Request{{Channel: k.channel, Epoch: k.epoch, Downloader: peerOf(down.id.ID)}}})
}

// receipt returns one for all chunks so far, of so many bytes.
func (k *ring) receipt(up, down *gateway, session, bytes uint64) *ledger.Receipt {
	return &ledger.Receipt{
		Series: ledger.Series{
			Channel: k.channel, Epoch: k.epoch, Uploader: peerOf(up.id.ID), Downloader: peerOf(down.id.ID), Session: session,
		},
		Window: 1, Bytes: bytes, Chunks: k.last.Seq + 1, Last: k.last.Seq, Digest: sha256.Sum256(k.last.Raw), Time: time.Now(),
	}
}

// says has a gateway write a letter to the owner.
func (k *ring) says(g *gateway, l *ledger.Letter) {
	l.Owner, l.Sender, l.Number, l.Time = peerOf(k.a.id.ID), peerOf(g.id.ID), rand.Uint64(), time.Now()
	g.node.accounts.pass(&post{owner: k.a.id.ID, number: l.Number, letter: l.Sign(g.id.Key)}, "")
}

// claims has a gateway hand in receipts.
func (k *ring) claims(g *gateway, raws ...[]byte) {
	l := new(ledger.Letter)
	for _, raw := range raws {
		l.Claims = append(l.Claims, ledger.Claim{Raw: raw})
	}
	k.says(g, l)
}

// found waits for a dispute about what a gateway has handed in.
func (k *ring) found(reason string, sender *gateway) {
	k.t.Helper()
	eventually(k.t, reason+" is found", func() bool {
		return slices.ContainsFunc(k.a.disputes(), func(d ledger.Dispute) bool {
			return d.Reason == reason && d.Sender == peerOf(sender.id.ID)
		})
	})
}

// TestCheats has modified gateways cheat the owner over the wire. Each time it is found, within seconds, and the honest player
// is not harmed.
func TestCheats(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		cheat func(k *ring)
	}{
		{"forged signature", func(k *ring) {
			k.claims(k.b, k.receipt(k.b, k.c, 1, 1000).Sign(k.b.id.Key))
			k.found("forged", k.b)
		}},
		{"another's receipt", func(k *ring) {
			k.claims(k.d, k.receipt(k.b, k.c, 1, 1000).Sign(k.c.id.Key))
			k.found("not its own", k.d)
		}},
		{"replay", func(k *ring) {
			raw := k.receipt(k.b, k.c, 1, 1000).Sign(k.c.id.Key)
			for range 10 {
				k.claims(k.b, raw)
			}
			k.found("replay", k.b)
		}},
		{"two bodies for one window", func(k *ring) {
			k.claims(k.b, k.receipt(k.b, k.c, 1, 1000).Sign(k.c.id.Key))
			k.claims(k.b, k.receipt(k.b, k.c, 1, 2000).Sign(k.c.id.Key))
			k.found("two bodies", k.b)
		}},
		{"totals that shrink", func(k *ring) {
			r := k.receipt(k.b, k.c, 1, 2000)
			raw := r.Sign(k.c.id.Key)
			k.claims(k.b, raw)
			r.Window, r.Bytes, r.Previous = 2, 1000, sha256.Sum256(raw)
			k.claims(k.b, r.Sign(k.c.id.Key))
			k.found("totals went back", k.b)
		}},
		{"inflated totals", func(k *ring) {
			r := k.receipt(k.a, k.d, 1, 0)
			r.Bytes = r.Chunks * chunk.MaxSize
			k.claims(k.d, r.Sign(k.d.id.Key))
			k.found("inflated totals", k.d)
		}},
		{"chunks that are not made yet", func(k *ring) {
			r := k.receipt(k.a, k.d, 1, 1000)
			r.Last += 1_000_000
			k.claims(k.d, r.Sign(k.d.id.Key))
			k.found("never emitted", k.d)
		}},
		{"no intake", func(k *ring) {
			k.leased(k.d, k.e)
			k.claims(k.d, k.receipt(k.d, k.e, 1, k.bytes+1<<20).Sign(k.e.id.Key))
			k.found("no intake", k.d)
		}},
		{"no lease", func(k *ring) {
			k.claims(k.e, k.receipt(k.e, k.d, 1, 1000).Sign(k.d.id.Key))
			k.found("no lease", k.e)
		}},
		{"a chunk that it never saw", func(k *ring) {
			r := k.receipt(k.a, k.d, 1, 1000)
			r.Digest[0]++
			k.claims(k.d, r.Sign(k.d.id.Key))
			k.found("never had the data", k.d)
		}},
		{"under-reporting", func(k *ring) {
			k.says(k.b, &ledger.Letter{Claims: []ledger.Claim{{Raw: k.receipt(k.b, k.c, 1, 1000).Sign(k.c.id.Key), Missing: 20 << 20}}})
			k.found("under-reported", k.b)
		}},
		{"a phantom", func(k *ring) { // d carries no chunk, and so cannot answer the audit that it gets with its next letter
			k.leased(k.b, k.d)
			k.claims(k.b, k.receipt(k.b, k.d, 1, 1000).Sign(k.d.id.Key))
			k.claims(k.d, k.receipt(k.a, k.d, 1, 1000).Sign(k.d.id.Key))
			wrote := time.Now()
			within(k.t, time.Minute, "the audit has found it", func() bool { // which asks three times
				if time.Since(wrote) > time.Second { // there must be chunks that it should have
					wrote = time.Now()
					k.says(k.d, new(ledger.Letter))
				}
				return slices.ContainsFunc(k.a.disputes(), func(d ledger.Dispute) bool {
					return d.Reason == "never had the data" && d.Downloader == peerOf(k.d.id.ID) && d.Bytes == 1000
				})
			})
			if s := k.a.carried()[peerOf(k.d.id.ID)]; s.Got != 0 {
				k.t.Errorf("%d bytes are still credited", s.Got)
			}
		}},
		{"a pair", func(k *ring) { // each has what it gives by the other's word
			k.leased(k.d, k.e)
			k.leased(k.e, k.d)
			var previous [2][]byte
			for n := uint64(1); n <= 40; n++ {
				for i, p := range [][2]*gateway{{k.d, k.e}, {k.e, k.d}} {
					r := k.receipt(p[0], p[1], 1, n*100_000)
					r.Window = n
					if n > 1 {
						r.Previous = sha256.Sum256(previous[i])
					}
					previous[i] = r.Sign(p[1].id.Key)
					k.claims(p[0], previous[i])
				}
			}
			eventually(k.t, "it is bounded", func() bool {
				return slices.ContainsFunc(k.a.disputes(), func(d ledger.Dispute) bool {
					return d.Reason == "reciprocal pair" || d.Reason == "inflated totals" || d.Reason == "no intake"
				})
			})
			sums := k.a.carried() // what b has is about what was emitted until then; the sums may be off by some chunks
			if got := sums[peerOf(k.d.id.ID)].Got + sums[peerOf(k.e.id.ID)].Got; got > 2*int64(k.bytes)+1<<20 {
				k.t.Errorf("%d bytes are credited between two, %d were emitted", got, k.bytes)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := runRing(t)
			c.cheat(k)
			v := k.c.view("a/live")
			if v.watch(100); v.gap > 0 {
				t.Errorf("%d packets are missing at who watches", v.gap)
			}
			view, err := k.a.node.View()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := view.Verify(t.Context()); err != nil {
				t.Errorf("Verify = %v", err)
			}
		})
	}
}

// TestGivenBeforeARestart has a gateway hand in a receipt for what it gave before it began anew, without a lease: once nobody asked
// for that, and an honest gateway's receipt was refused.
func TestGivenBeforeARestart(t *testing.T) {
	t.Parallel()
	k := runRing(t)
	r := k.receipt(k.b, k.d, 1, 1000)
	k.b.node.accounts.keep(k.a.id.ID, r, r.Sign(k.d.id.Key), 0)
	k.b.node.accounts.hurry(k.a.id.ID)
	eventually(t, "it is credited", func() bool { return k.a.carried()[peerOf(k.d.id.ID)].Got == 1000 })
	for _, d := range k.a.disputes() {
		t.Errorf("dispute: %+v", d)
	}
}
