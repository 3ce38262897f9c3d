package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"time"
)

const (
	// windowFor and windowBytes are when a downloader signs a receipt, whichever comes first. It waits up to windowMost for
	// windowLeast bytes: with less a receipt, its copies in letters and their answers are more than a thousandth of what they are for.
	windowFor   = 10 * time.Second
	windowBytes = 8 << 20
	windowLeast = 512 << 10
	windowMost  = 25 * time.Second
	// patience and trust are how long and for how many bytes an uploader serves without a receipt: two windows and more,
	// so that one lost receipt is no harm. Up to little bytes it waits for patienceMost.
	patience     = 25 * time.Second
	trust        = 16 << 20
	little       = 2 * windowLeast
	patienceMost = 60 * time.Second
	// shortfall is the part of what was sent that need not be acknowledged, and slack the bytes that need not be in any
	// case: what was on its way when a connection broke.
	shortfall = 0.1
	slack     = 4 << 20
)

// Edge is what a downloader counts of what one uploader gives it in one epoch of a channel. It is for one goroutine.
type Edge struct {
	key    ed25519.PrivateKey
	r      Receipt // totals; of the last window
	since  time.Time
	fresh  uint64 // bytes since the last receipt, of all chunks
	last   []byte // the chunk with the greatest number
	raw    []byte // the last receipt
	silent bool   // nothing has come since it
}

// NewEdge begins a series.
func NewEdge(s Series, key ed25519.PrivateKey) *Edge {
	return &Edge{key: key, r: Receipt{Series: s}, silent: true}
}

// Fresh counts a verified chunk that was not here before. The chunk is kept until a later one comes.
func (e *Edge) Fresh(seq uint64, raw []byte, repair bool, now time.Time) {
	e.came(len(raw), now)
	if e.r.Chunks == 0 || seq < e.r.First {
		e.r.First = seq
	}
	if e.r.Chunks == 0 || seq >= e.r.Last {
		e.r.Last, e.last = seq, raw
	}
	e.r.Chunks++
	e.r.Bytes += uint64(len(raw))
	if repair {
		e.r.Repaired += uint64(len(raw))
	}
}

// Spare counts a chunk that came late or was here already.
func (e *Edge) Spare(size int, now time.Time) {
	e.came(size, now)
	e.r.Spare += uint64(size)
}

func (e *Edge) came(size int, now time.Time) {
	if e.silent {
		e.silent, e.since = false, now
	}
	e.fresh += uint64(size)
}

// Due tells whether it is time for a receipt.
func (e *Edge) Due(now time.Time) bool {
	age := now.Sub(e.since)
	return !e.silent && (e.fresh >= windowBytes || age >= windowFor && e.fresh >= windowLeast || age >= windowMost)
}

// Open tells whether something has come since the last receipt.
func (e *Edge) Open() bool { return !e.silent }

// Signed returns the last receipt as signed, or nil.
func (e *Edge) Signed() []byte { return e.raw }

// Sign ends the window: it returns the receipt for it, read and as signed. The viewing is that of all players here in this
// session and epoch.
func (e *Edge) Sign(viewing time.Duration, now time.Time) (*Receipt, []byte) {
	e.r.Window++
	e.r.Viewing, e.r.Time = viewing, now
	if e.last != nil {
		e.r.Digest = sha256.Sum256(e.last)
	}
	if e.raw != nil {
		e.r.Previous = hashOf(e.raw)
	}
	e.raw = e.r.Sign(e.key)
	e.silent, e.fresh = true, 0
	r := e.r
	return &r, e.raw
}

// Outlay is what an uploader counts of what it gives one downloader in one channel. It is for one goroutine.
type Outlay struct {
	sent  uint64 // bytes since the last receipt
	since time.Time
	total uint64  // bytes since base
	last  Receipt // Window 0: none yet
	base  uint64  // what the first receipt of the series acknowledged that this process has seen
	raw   [sha256.Size]byte
	lies  bool // two receipts contradict each other
}

// Sent counts a chunk that was written.
func (o *Outlay) Sent(size int, now time.Time) {
	if o.sent == 0 {
		o.since = now
	}
	o.sent += uint64(size)
	o.total += uint64(size)
}

// Anew forgets what waits for a receipt: it was on its way when the connection broke, and perhaps never came.
func (o *Outlay) Anew() {
	o.total -= min(o.total, o.sent)
	o.sent = 0
}

// Take takes in a receipt of the downloader. It reports false when the receipt is not newer than the last one, or
// contradicts it: then it is of no use.
func (o *Outlay) Take(r *Receipt, raw []byte) bool {
	hash := hashOf(raw)
	if r.Series == o.last.Series && o.last.Window > 0 {
		if r.Window <= o.last.Window {
			o.lies = o.lies || r.Window == o.last.Window && hash != o.raw
			return false
		}
		if r.Window == o.last.Window+1 && r.Previous != o.raw || !r.follows(&o.last) {
			o.lies = true
			return false
		}
	} else {
		o.total, o.base = 0, r.Bytes+r.Spare
	}
	o.last, o.raw, o.sent = *r, hash, 0
	return true
}

// follows tells whether no total is less than in an earlier receipt of the series.
func (r *Receipt) follows(old *Receipt) bool {
	return r.Bytes >= old.Bytes && r.Chunks >= old.Chunks && r.Repaired >= old.Repaired && r.Spare >= old.Spare &&
		r.Viewing >= old.Viewing && r.Last >= old.Last && (r.First <= old.First || old.Chunks == 0)
}

// Missing returns how many bytes were sent that no receipt acknowledges though it should.
func (o *Outlay) Missing() uint64 {
	acked := o.last.Bytes + o.last.Spare - o.base + o.sent
	if o.last.Window == 0 || o.total <= acked {
		return 0
	}
	return o.total - acked
}

// Why tells why the downloader is not to be served any more, or "".
func (o *Outlay) Why(now time.Time) string {
	switch {
	case o.lies:
		return "its receipts contradict each other"
	case o.sent > trust, o.sent > little && now.Sub(o.since) > patience, o.sent > 0 && now.Sub(o.since) > patienceMost:
		return "it does not acknowledge what it gets"
	case o.Missing() > slack+uint64(shortfall*float64(o.total)):
		return "it acknowledges less than it gets"
	}
	return ""
}
