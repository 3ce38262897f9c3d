package swarm

import (
	"slices"
	"time"
)

// lookBack is how many chunks before the first one that comes may still come: other parents may begin earlier.
const lookBack = 512

// chunkState is what is known of one chunk.
type chunkState struct {
	held    bool
	key     bool
	vital   bool
	size    int
	wall    time.Time // owner's clock, when held
	arrived time.Time // when held

	missed time.Time // since when it is missing
	asked  *peer     // who was asked for it; nil: nobody now
	when   time.Time // it was asked
	until  time.Time // when the answer is overdue
	tries  int
	not    [3]*peer // who has failed to give it, the last ones
}

// window knows the chunks of an epoch from low up to the highest one that has come.
type window struct {
	low    uint64
	chunks []chunkState // of low, low+1, ...
	bytes  int          // held
	held   int
}

// end returns the sequence number after the highest one held; low when none is.
func (w *window) end() uint64 { return w.low + uint64(len(w.chunks)) }

// at returns the state of a chunk within the window, else nil.
func (w *window) at(seq uint64) *chunkState {
	if seq < w.low || seq >= w.end() {
		return nil
	}
	return &w.chunks[seq-w.low]
}

func (w *window) holds(seq uint64) bool {
	c := w.at(seq)
	return c != nil && c.held
}

// grow makes the window reach the sequence number, which is not below low.
func (w *window) grow(seq uint64) *chunkState {
	if len(w.chunks) == 0 && w.held == 0 {
		w.low = max(w.low, seq-min(seq, lookBack))
	}
	for w.end() <= seq {
		w.chunks = append(w.chunks, chunkState{})
	}
	return &w.chunks[seq-w.low]
}

// hold notes a chunk that has come.
func (w *window) hold(seq uint64, c chunkState) {
	s := w.grow(seq)
	c.held, c.tries, c.asked = true, s.tries, nil
	*s = c
	w.held++
	w.bytes += c.size
}

// forget drops what is below a sequence number.
func (w *window) forget(below uint64) {
	for w.low < below && len(w.chunks) > 0 {
		if w.chunks[0].held {
			w.held--
			w.bytes -= w.chunks[0].size
		}
		w.chunks[0] = chunkState{}
		w.chunks = w.chunks[1:]
		w.low++
	}
}

// lastKey returns the newest key chunk held.
func (w *window) lastKey() (seq uint64, ok bool) {
	for i := len(w.chunks) - 1; i >= 0; i-- {
		if w.chunks[i].held && w.chunks[i].key {
			return w.low + uint64(i), true
		}
	}
	return 0, false
}

// keyBefore returns the key chunk held before another.
func (w *window) keyBefore(seq uint64) (uint64, bool) {
	for q := seq; q > w.low; {
		q--
		if c := w.at(q); c != nil && c.held && c.key {
			return q, true
		}
	}
	return 0, false
}

// nextHeld returns the first chunk held from seq on; key asks for one that players can start with.
func (w *window) nextHeld(seq uint64, key bool) (uint64, bool) {
	for q := max(seq, w.low); q < w.end(); q++ {
		if c := &w.chunks[q-w.low]; c.held && (c.key || !key) {
			return q, true
		}
	}
	return 0, false
}

// have describes what is held to others, from a sequence number on.
func (w *window) have(from uint64) Have {
	from = max(from, w.low)
	base := from
	for w.holds(base) {
		base++
	}
	h := Have{Base: base, Full: int(base - from)}
	for base > w.low && w.holds(base-uint64(h.Full)-1) {
		h.Full++
	}
	if n := w.end() - min(base, w.end()); n > 0 {
		h.Bits = make([]byte, min((n+7)/8, maxHave))
		for i := range min(n, maxHave*8) {
			if w.chunks[base+i-w.low].held {
				h.Bits[i/8] |= 1 << (i % 8)
			}
		}
	}
	return h
}

// holds tells whether the sender of h holds a chunk.
func (h *Have) holds(seq uint64) bool {
	if seq < h.Base {
		return h.Base-seq <= uint64(h.Full)
	}
	i := seq - h.Base
	return i/8 < uint64(len(h.Bits)) && h.Bits[i/8]&(1<<(i%8)) != 0
}

// end returns the sequence number after the highest one that the sender of h holds.
func (h *Have) end() uint64 {
	for i := len(h.Bits) - 1; i >= 0; i-- {
		for bit := 7; bit >= 0; bit-- {
			if h.Bits[i]&(1<<bit) != 0 {
				return h.Base + uint64(i*8+bit) + 1
			}
		}
	}
	return h.Base
}

// add notes that the sender of h holds a chunk, as far as h reaches.
func (h *Have) add(seq uint64) {
	if seq < h.Base {
		return
	}
	if i := seq - h.Base; i/8 < uint64(len(h.Bits)) {
		h.Bits[i/8] |= 1 << (i % 8)
	}
}

// remove notes that the sender of h does not hold a chunk.
func (h *Have) remove(seq uint64) {
	if seq < h.Base {
		h.Full = 0
		return
	}
	if i := seq - h.Base; i/8 < uint64(len(h.Bits)) {
		h.Bits[i/8] &^= 1 << (i % 8)
	}
}

// clone returns a copy that may be changed.
func (h Have) clone() Have {
	h.Bits = slices.Clone(h.Bits)
	return h
}
