package load

import (
	"math/bits"
	"time"
)

const (
	subBits = 5  // buckets of a doubling, as a power of two: a percentile is at most 1/32 too high
	octaves = 36 // nanoseconds up to 2^36, 68 s
)

// Histogram counts times. The zero value is empty.
type Histogram struct {
	n      uint64
	counts [octaves << subBits]uint32
}

// Add counts a time; a negative one counts as nothing at all.
func (h *Histogram) Add(d time.Duration) {
	h.n++
	h.counts[bucket(uint64(max(0, d)))]++
}

// Count returns how many times were counted.
func (h *Histogram) Count() uint64 { return h.n }

// Percentile returns the time that a share p of all, 0 to 1, did not exceed: the upper end of its bucket; 0 when empty.
func (h *Histogram) Percentile(p float64) time.Duration {
	rank, seen := uint64(p*float64(h.n)), uint64(0)
	for i, c := range h.counts {
		if seen += uint64(c); c > 0 && (seen > rank || seen == h.n) {
			return upper(i)
		}
	}
	return 0
}

// bucket returns where a number of nanoseconds is counted.
func bucket(v uint64) int {
	if v < 1<<subBits {
		return int(v)
	}
	e := bits.Len64(v) - subBits - 1
	return min(e<<subBits+int(v>>e), octaves<<subBits-1)
}

// upper returns the largest time of a bucket.
func upper(i int) time.Duration {
	if i < 2<<subBits {
		return time.Duration(i)
	}
	e := i>>subBits - 1
	m := i&(1<<subBits-1) | 1<<subBits
	return time.Duration((m+1)<<e - 1)
}
