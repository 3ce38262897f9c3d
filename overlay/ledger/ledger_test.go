package ledger

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCredits follows a stream from the owner to a relay and from there to a leaf, over two epochs of the ledger's life.
func TestCredits(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		r := newRig(t, database).emit(3000)
		relay, leaf := r.member(), r.member()
		leaf.viewing = 90 * time.Second
		first := relay.gets(r.l.Owner(), 0, 2000)
		replies := r.take(
			relay.asks(relay.letter(first), leaf),
			leaf.letter(leaf.gets(relay.id, 100, 1900)),
		)
		if n := len(replies[0].Leases); n != 1 {
			t.Fatalf("%d leases, want 1: %+v", n, replies[0].Denials)
		}
		le, err := ParseLease(replies[0].Leases[0], r.l.Owner())
		if err != nil || le.Uploader != relay.id || le.Downloader != leaf.id || le.Expires.Sub(r.now) != LeaseFor {
			t.Errorf("lease = %+v, %v", le, err)
		}
		if got := replies[0].Settled; len(got) != 1 || got[0].Receipt != hashOf(first) || got[0].Reason != "" {
			t.Errorf("settled = %+v", got)
		}
		r.l.Close()
		r.open()
		leaf.viewing = 3 * time.Minute
		next := leaf.gets(relay.id, 1900, 2000)
		r.take(relay.letter(next), leaf.letter(next), relay.letter(first)) // twice, and one that is old
		got := r.by()
		if s := got[relay.id]; s.Carried != 1900*size || s.Got != 2000*size || s.Watched != 0 || s.Charge != 0 || s.Earned != 1_900_000 {
			t.Errorf("relay: %+v", s)
		}
		// 1.9 MB at 2 for each GB, 3 minutes at 3.6 for each hour
		if s := got[leaf.id]; s.Got != 1900*size || s.Watched != 1900*size || s.Viewing != 3*time.Minute || s.Charge != 3_800_000+180_000_000 {
			t.Errorf("leaf: %+v", s)
		}
		if s := got[r.l.Owner()]; s.Carried != 2000*size || s.Earned != 0 {
			t.Errorf("owner: %+v", s)
		}
		if ds := r.disputes(); len(ds) > 0 {
			t.Errorf("disputes: %+v", ds)
		}
		if v := r.verified(); v.Receipts != 3 || v.Leases != 1 || v.Owner != r.l.Owner() {
			t.Errorf("verified: %+v", v)
		}
	})
}

func TestReports(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		r := newRig(t, database).emit(1000)
		m, n := r.member(), r.member()
		r.take(m.asks(m.letter(m.gets(r.l.Owner(), 0, 500)), n), n.letter(n.gets(m.id, 0, 400)))
		before := r.now
		r.now = r.now.Add(24 * time.Hour)
		r.take(m.letter(m.gets(r.l.Owner(), 500, 1000)))
		v, all := r.l.View(), r.now.Add(time.Hour)
		chs, err := v.Report(t.Context(), ByChannel, time.UnixMilli(0), all)
		if err != nil || len(chs) != 1 || chs[0].Channel != "live" || chs[0].Given != 1000*size || chs[0].Carried != 400*size || chs[0].Got != 1400*size {
			t.Errorf("by channel: %+v, %v", chs, err)
		}
		days, err := v.Report(t.Context(), ByDay, time.UnixMilli(0), all)
		if err != nil || len(days) != 2 || days[0].Day != before.UTC().Format(time.DateOnly) || days[0].Got != 900*size || days[1].Got != 500*size {
			t.Errorf("by day: %+v, %v", days, err)
		}
		if _, err := v.Report(t.Context(), "moon", time.UnixMilli(0), all); err == nil {
			t.Error("Report by moon succeeds")
		}
		s, err := v.Statement(t.Context(), m.id, time.UnixMilli(0), r.now) // without the second day
		if err != nil || s.Total.Got != 500*size || s.Total.Carried != 400*size || len(s.Channels) != 1 || len(s.Proofs) != 2 {
			t.Fatalf("Statement = %+v, %v", s, err)
		}
		if err := s.Check(); err != nil {
			t.Errorf("Check = %v", err)
		}
		s.Peer = r.member().id
		if err := s.Check(); err == nil {
			t.Error("Check of another one's statement succeeds")
		}
	})
}

// TestOtherOwner opens a ledger with another gateway's key.
func TestOtherOwner(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		r := newRig(t, database)
		r.l.Close()
		r.o.Key = newKey(t)
		if _, err := Open(t.Context(), r.o); err == nil || !strings.Contains(err.Error(), "another gateway") {
			t.Errorf("Open = %v", err)
		}
	})
}

// TestTamperedLedger changes one thing after the other in the database.
func TestTamperedLedger(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		r := newRig(t, database).emit(1000)
		m, n := r.member(), r.member()
		r.take(m.asks(m.letter(m.gets(r.l.Owner(), 0, 500)), n))
		r.take(n.letter(n.gets(m.id, 0, 400)), m.letter([]byte("no receipt")))
		r.verified()
		view, err := OpenView(t.Context(), database, r.o.Head)
		if err != nil {
			t.Fatal(err)
		}
		defer view.Close()
		exec := func(q string) {
			t.Helper()
			if _, err := r.l.db.Exec(q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
		for _, tt := range []struct{ do, undo string }{
			{"UPDATE credits SET bytes = bytes + 1 WHERE entry = 5", "UPDATE credits SET bytes = bytes - 1 WHERE entry = 5"},
			{"UPDATE credits SET earned = 0 - earned - 1", "UPDATE credits SET earned = 0 - earned - 1"},
			{"UPDATE entries SET at = at + 1 WHERE id = 3", "UPDATE entries SET at = at - 1 WHERE id = 3"},
			{"UPDATE disputes SET reason = 'x' || reason", "UPDATE disputes SET reason = substr(reason, 2)"},
			{"UPDATE entries SET kind = 2 WHERE id = 4", "UPDATE entries SET kind = 4 WHERE id = 4"},
			{
				"INSERT INTO credits SELECT 2, at, channel, epoch, uploader, downloader, bytes, watched, viewing, refused, charge, earned FROM credits WHERE entry = 5",
				"DELETE FROM credits WHERE entry = 2",
			},
		} {
			exec(tt.do)
			if _, err := view.Verify(t.Context()); !errors.Is(err, ErrTampered) {
				t.Errorf("Verify after %s = %v", tt.do, err)
			}
			exec(tt.undo)
			r.verified()
		}
		exec("DELETE FROM disputes")
		exec("DELETE FROM entries WHERE id = (SELECT MAX(id) FROM entries)")
		if _, err := view.Verify(t.Context()); !errors.Is(err, ErrTampered) {
			t.Errorf("Verify without the last entry = %v", err)
		}
	})
}

// TestAcrossRestart has the ledger forget all that is in memory between two receipts of all kinds.
func TestAcrossRestart(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		r := newRig(t, database).emit(2000)
		if err := r.l.Mark(t.Context(), r.now); err != nil {
			t.Fatal(err)
		}
		r.emit(1000) // was not written when the owner was killed
		m, n := r.member(), r.member()
		m1, n1 := m.gets(r.l.Owner(), 0, 1000), n.gets(m.id, 0, 900)
		r.take(m.asks(m.letter(m1, n1), n))
		m2, n2 := m.gets(r.l.Owner(), 1000, 3000), n.gets(m.id, 900, 2950)
		r.l.Close()
		r.open()
		r.take(m.letter(m2, n2, m1))
		got := r.by()
		if got[m.id].Got != 3000*size || got[m.id].Carried != 2950*size || got[n.id].Got != 2950*size {
			t.Errorf("report: %+v", got)
		}
		if ds := r.disputes(); len(ds) > 0 {
			t.Errorf("disputes: %+v", ds)
		}
		r.verified()
	})
}

// TestLostDatabase has writes fail: nothing is acknowledged, and all is well when they succeed again.
func TestLostDatabase(t *testing.T) {
	r := newRig(t, shared.database(t)).emit(100)
	m := r.member()
	l := m.letter(m.gets(r.l.Owner(), 0, 100))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.l.Take(ctx, []*Letter{l}, r.now); err == nil {
		t.Error("Take succeeds without a database")
	}
	r.take(l)
	if got := r.by()[m.id].Got; got != 100*size {
		t.Errorf("got %d bytes, want %d", got, 100*size)
	}
	r.verified()
}

func TestPouch(t *testing.T) {
	r := newRig(t, shared.database(t)).emit(100)
	path := t.TempDir() + "/receipts"
	p, err := OpenPouch(path)
	if err != nil {
		t.Fatal(err)
	}
	a, b := r.member(), r.member()
	put := func(raw []byte, missing uint64) {
		t.Helper()
		rec, err := ParseReceipt(raw)
		if err != nil {
			t.Fatal(err)
		}
		p.Put(r.l.Owner(), rec, raw, missing)
	}
	old, up := a.gets(r.l.Owner(), 0, 10), b.gets(a.id, 0, 10)
	newest := a.gets(r.l.Owner(), 10, 20)
	put(up, 5)
	put(newest, 0)
	put(old, 0)
	if err := p.Save(); err != nil {
		t.Fatal(err)
	}
	if p, err = OpenPouch(path); err != nil {
		t.Fatal(err)
	}
	got, _ := p.Claims(r.l.Owner(), a.id, 10, r.now)
	if len(got) != 2 || !bytes.Equal(got[0].Raw, newest) || !bytes.Equal(got[1].Raw, up) || got[1].Missing != 5 {
		t.Errorf("Claims = %+v", got)
	}
	if owners := p.Owners(); !slices.Equal(owners, []Peer{r.l.Owner()}) {
		t.Errorf("Owners = %v", owners)
	}
	p.Settle(hashOf(old))
	p.Settle(hashOf(newest))
	if n := p.Len(); n != 1 {
		t.Errorf("%d receipts wait, want 1", n)
	}
	if late, _ := p.Claims(r.l.Owner(), a.id, 10, r.now.Add(keepUnsent+time.Hour)); len(late) != 0 {
		t.Errorf("Claims after a year = %+v", late)
	}
}

// TestStanding has a member carry for another one: leases for it tell so, also after a restart, until that is taken back.
func TestStanding(t *testing.T) {
	onBoth(t, func(t *testing.T, database string) {
		r := newRig(t, database)
		r.now = time.Now()
		r.emit(2000)
		r.l.UseAudit(r)
		relay, leaf := r.member(), r.member()
		r.take(relay.asks(relay.letter(relay.gets(r.l.Owner(), 0, 1000)), leaf))
		r.take(relay.letter(leaf.gets(relay.id, 0, 800)))
		told := func(a *actor) uint64 {
			t.Helper()
			le, err := ParseLease(r.take(leaf.asks(leaf.letter(), a))[0].Leases[0], r.l.Owner())
			if err != nil {
				t.Fatal(err)
			}
			return le.Standing
		}
		if got := r.l.Saved(r.channel); got != 800*size {
			t.Errorf("%d bytes are saved, want those that the relay has given", got)
		}
		for range 2 {
			if got := told(relay); got != 80 {
				t.Errorf("standing of the relay = %d, want 80 percent", got)
			}
			if got := r.l.Standing(leaf.id); got != 0 {
				t.Errorf("standing of the leaf = %d, want 0", got)
			}
			if err := r.l.Close(); err != nil {
				t.Fatal(err)
			}
			r.open()
		}
	})
}
