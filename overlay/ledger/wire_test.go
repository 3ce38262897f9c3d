package ledger

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"peergate/overlay/chunk"
)

// sampleReceipt is one with all fields.
func sampleReceipt(t testing.TB) (*Receipt, []byte) {
	key := newKey(t)
	r := &Receipt{
		Series: Series{chunk.ID{1}, 2, Peer{3}, publicOf(key), 4}, Window: 5, Bytes: 6000, Chunks: 7, Repaired: 800, Spare: 900,
		First: 10, Last: 110, Digest: [32]byte{12}, Viewing: 13 * time.Second, Time: time.UnixMilli(14), Previous: [32]byte{15},
	}
	return r, r.Sign(key)
}

func TestReceipt(t *testing.T) {
	want, raw := sampleReceipt(t)
	got, err := ParseReceipt(raw)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseReceipt = %+v, %v, want %+v", got, err, want)
	}
	t.Logf("a receipt has %d bytes", len(raw))
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		if _, err := ParseReceipt(bad); !errors.Is(err, ErrFormat) && !errors.Is(err, ErrSignature) {
			t.Errorf("ParseReceipt with byte %d changed = %v", i, err)
		}
	}
}

func TestLetter(t *testing.T) {
	key := newKey(t)
	want := &Letter{
		Owner: Peer{1}, Sender: publicOf(key), Number: 2, Time: time.UnixMilli(3),
		Requests: []Request{{chunk.ID{4}, 5, Peer{6}, 7}}, Claims: []Claim{{[]byte("receipt"), 8}},
		Proofs: []Proof{{chunk.ID{9}, 10, [32]byte{11}, [Samples][32]byte{{12}}}}, Query: &Query{time.UnixMilli(13), time.UnixMilli(14)},
	}
	raw := want.Sign(key)
	got, err := ParseLetter(raw)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseLetter = %+v, %v, want %+v", got, err, want)
	}
	raw[len(raw)/2] ^= 1
	if _, err := ParseLetter(raw); err == nil {
		t.Error("ParseLetter of a changed letter succeeds")
	}
}

func TestReply(t *testing.T) {
	key := newKey(t)
	want := &Reply{
		Owner: publicOf(key), To: Peer{1}, Number: 2, Leases: [][]byte{[]byte("lease")}, Denials: []Denial{{chunk.ID{3}, Peer{4}, "no"}},
		Settled: []Settled{{[32]byte{5}, 6, "why"}}, Head: Head{7, [32]byte{8}},
		Challenges: []Challenge{{chunk.ID{9}, 10, [32]byte{11}, 12, 13}}, Statement: []byte("{}"),
	}
	got, err := ParseReply(want.Sign(key))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseReply = %+v, %v, want %+v", got, err, want)
	}
}

// TestOneIsNotTheOther takes what was signed as one thing for another.
func TestOneIsNotTheOther(t *testing.T) {
	key := newKey(t)
	if _, err := ParseReply((&Letter{Owner: publicOf(key), Sender: publicOf(key)}).Sign(key)); !errors.Is(err, ErrSignature) {
		t.Errorf("ParseReply of a letter = %v", err)
	}
	le := &Lease{Uploader: Peer{1}, Downloader: Peer{2}, Issued: time.UnixMilli(1), Expires: time.UnixMilli(2)}
	if _, err := ParseLease(le.Sign(newKey(t)), publicOf(key)); !errors.Is(err, ErrSignature) {
		t.Errorf("ParseLease of another owner's = %v", err)
	}
	got, err := ParseLease(le.Sign(key), publicOf(key))
	if err != nil || !reflect.DeepEqual(got, le) {
		t.Errorf("ParseLease = %+v, %v, want %+v", got, err, le)
	}
}

func FuzzReceipt(f *testing.F) {
	_, raw := sampleReceipt(f)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, _, _, err := decodeReceipt(b); err == nil && (r.Chunks > r.Last-r.First+1 || r.Uploader == r.Downloader) {
			t.Errorf("decodeReceipt = %+v", r)
		}
	})
}

func FuzzLetter(f *testing.F) {
	key := newKey(f)
	f.Add((&Letter{Owner: Peer{1}, Sender: publicOf(key), Claims: []Claim{{[]byte("receipt"), 8}}, Proofs: make([]Proof, 1)}).Sign(key))
	f.Add((&Reply{Owner: publicOf(key), Challenges: make([]Challenge, 1), Denials: make([]Denial, 1)}).Sign(key))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, _, _, err := decodeLetter(b); err == nil && len(l.Claims) > MaxClaims {
			t.Errorf("decodeLetter = %+v", l)
		}
		if r, _, _, err := decodeReply(b); err == nil {
			for i := range r.Challenges {
				r.Challenges[i].Prove(func(uint64) []byte { return nil })
			}
		}
	})
}

func FuzzPouch(f *testing.F) {
	r, raw := sampleReceipt(f)
	p := &Pouch{kept: make(map[Series]*kept)}
	p.Put(Peer{1}, r, raw, 2)
	f.Add(p.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = (&Pouch{kept: make(map[Series]*kept)}).decode(b)
	})
}

// TestCounting counts chunks, which happens for each, without memory.
func TestCounting(t *testing.T) {
	key := newKey(t)
	e := NewEdge(Series{Uploader: Peer{1}, Downloader: publicOf(key)}, key)
	var o Outlay
	raw, now, seq := make([]byte, 1000), time.Now(), uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		e.Fresh(seq, raw, false, now)
		e.Spare(len(raw), now)
		o.Sent(len(raw), now)
		seq++
	}); n > 0 {
		t.Errorf("counting a chunk allocates %v times", n)
	}
}

func TestWindows(t *testing.T) {
	key := newKey(t)
	now := time.UnixMilli(1e12)
	e := NewEdge(Series{Uploader: Peer{1}, Downloader: publicOf(key)}, key)
	if e.Due(now.Add(time.Hour)) {
		t.Error("a receipt is due before anything has come")
	}
	e.Spare(10, now)
	if e.Due(now.Add(windowMost-1)) || !e.Due(now.Add(windowMost)) {
		t.Errorf("a receipt for a little is not due after %v", windowMost)
	}
	e.Spare(windowLeast, now)
	if e.Due(now.Add(windowFor-1)) || !e.Due(now.Add(windowFor)) {
		t.Errorf("a receipt is not due after %v", windowFor)
	}
	e.Sign(0, now)
	big := make([]byte, chunk.MaxSize)
	seq := uint64(0)
	for ; !e.Due(now); seq++ {
		e.Fresh(seq, big, true, now)
	}
	if n := seq * chunk.MaxSize; n < windowBytes || n > windowBytes+chunk.MaxSize {
		t.Errorf("a receipt is due after %d bytes", n)
	}
	if r, _ := e.Sign(0, now); r.Window != 2 || r.Repaired != r.Bytes || r.Spare != windowLeast+10 {
		t.Errorf("receipt = %+v", r)
	}
}

// TestOutlay has an uploader serve downloaders that acknowledge well, badly and not at all.
func TestOutlay(t *testing.T) {
	now := time.UnixMilli(1e12)
	key := newKey(t)
	pair := func() (*Outlay, *Edge) {
		return new(Outlay), NewEdge(Series{Uploader: Peer{1}, Downloader: publicOf(key)}, key)
	}
	raw := make([]byte, chunk.MaxSize)
	o, e := pair()
	for seq := range uint64(1000) {
		o.Sent(len(raw), now)
		e.Fresh(seq, raw, false, now)
		if e.Due(now) {
			r, signed := e.Sign(0, now)
			if !o.Take(r, signed) || o.Take(r, signed) {
				t.Fatalf("Take of window %d", r.Window)
			}
		}
		if why := o.Why(now); why != "" {
			t.Fatalf("after chunk %d: %s", seq, why)
		}
	}
	o, _ = pair()
	o.Sent(1, now)
	if why := o.Why(now.Add(patienceMost)); why != "" {
		t.Errorf("a little, at once: %s", why)
	}
	if why := o.Why(now.Add(patienceMost + 1)); why == "" {
		t.Error("a silent downloader is served on for a little")
	}
	o.Sent(little, now)
	if why := o.Why(now.Add(patience)); why != "" {
		t.Errorf("at once: %s", why)
	}
	if why := o.Why(now.Add(patience + 1)); why == "" {
		t.Error("a silent downloader is served on")
	}
	o.Anew()
	if why := o.Why(now.Add(time.Hour)); why != "" {
		t.Errorf("anew: %s", why)
	}
	o, e = pair()
	stopped := -1
	for seq := range 2000 {
		o.Sent(len(raw), now)
		if seq%2 == 0 {
			e.Fresh(uint64(seq), raw, false, now)
		}
		if e.Due(now) {
			o.Take(e.Sign(0, now))
		}
		if o.Why(now) != "" {
			stopped = seq
			break
		}
	}
	if n := stopped * chunk.MaxSize; stopped < 0 || n > 3*trust {
		t.Errorf("one who acknowledges half is served %d bytes", n)
	}
	o, e = pair()
	_, twin := pair()
	e.Spare(5, now)
	twin.Spare(6, now)
	o.Take(e.Sign(0, now))
	o.Take(twin.Sign(0, now))
	if o.Why(now) == "" {
		t.Error("one with two bodies for a window is served on")
	}
}
