package ledger

import (
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"peergate/overlay/chunk"
)

const (
	// markEvery is how many chunks lie between two marks at first, and maxMarks how many marks there are at most: then
	// every second one goes. Between marks the bytes are taken to grow evenly.
	markEvery = 64
	maxMarks  = 1 << 14
	// hashed is of how many chunks, the newest, the hashes are kept: three minutes of a 4 Mbit/s channel, which is longer
	// than a receipt takes to get here.
	hashed = 1 << 14
)

// Emission is what the owner has made of one epoch of a channel. It is safe for concurrent use.
type Emission struct {
	Channel chunk.ID
	Epoch   uint64

	mu     sync.Mutex // guards the fields below
	marks  []mark     // by sequence number; the first is that of sequence number 0
	stride uint64
	now    mark // of what comes next
	began  time.Time
	last   time.Time
	hashes [][sha256.Size]byte // of chunk seq at seq % hashed
	live   bool                // it is being made by this process
}

// mark says how many bytes were emitted before a sequence number.
type mark struct{ seq, bytes uint64 }

// NewEmission begins to count an epoch that this process makes, until End.
func NewEmission(ch chunk.ID, epoch uint64) *Emission {
	e := newEmission(ch, epoch)
	e.live = true
	return e
}

// End tells that no more chunks come.
func (e *Emission) End() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.live = false
}

func newEmission(ch chunk.ID, epoch uint64) *Emission {
	return &Emission{Channel: ch, Epoch: epoch, stride: markEvery, marks: []mark{{}}}
}

// Count counts the next chunk.
func (e *Emission) Count(seq uint64, raw []byte, now time.Time) {
	sum := sha256.Sum256(raw)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.began.IsZero() {
		e.began = now
	}
	e.last = now
	if len(e.hashes) < hashed {
		e.hashes = append(e.hashes, sum)
	} else {
		e.hashes[seq%hashed] = sum
	}
	e.now = mark{seq + 1, e.now.bytes + uint64(len(raw))}
	if e.now.seq-e.marks[len(e.marks)-1].seq >= e.stride {
		e.add(e.now)
	}
}

// add adds a mark. The lock is held.
func (e *Emission) add(m mark) {
	if len(e.marks) >= maxMarks {
		for i := range len(e.marks) / 2 {
			e.marks[i] = e.marks[2*i]
		}
		e.marks = e.marks[:len(e.marks)/2]
		e.stride *= 2
	}
	e.marks = append(e.marks, m)
}

// until returns the bytes emitted before a sequence number. The lock is held.
func (e *Emission) until(seq uint64) uint64 {
	if seq >= e.now.seq {
		return e.now.bytes
	}
	i, found := slices.BinarySearchFunc(e.marks, seq, func(m mark, seq uint64) int {
		switch {
		case m.seq < seq:
			return -1
		case m.seq > seq:
			return 1
		}
		return 0
	})
	if found {
		return e.marks[i].bytes
	}
	a, b := e.marks[i-1], e.now // the first mark is that of 0
	if i < len(e.marks) {
		b = e.marks[i]
	}
	return a.bytes + uint64(float64(b.bytes-a.bytes)*float64(seq-a.seq)/float64(b.seq-a.seq))
}

// between returns the bytes of the chunks from first to last, and those of one mark, by which that may be wrong.
func (e *Emission) between(first, last uint64) (sum, unsure uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.now.seq == 0 {
		return 0, 0
	}
	return e.until(last+1) - e.until(first), e.now.bytes / e.now.seq * e.stride
}

// end returns the number of the next chunk, and the bytes of all before.
func (e *Emission) end() mark {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

// rate returns the bytes a second so far; 0 unknown.
func (e *Emission) rate() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.last.Sub(e.began)
	if d < time.Second {
		return 0
	}
	return float64(e.now.bytes) / d.Seconds()
}

// hash returns the hash of a chunk, if that is still known.
func (e *Emission) hash(seq uint64) (sum [sha256.Size]byte, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if seq >= e.now.seq || e.now.seq-seq > uint64(len(e.hashes)) {
		return sum, false
	}
	return e.hashes[seq%hashed], true
}

// lives tells whether this process makes it.
func (e *Emission) lives() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.live
}
