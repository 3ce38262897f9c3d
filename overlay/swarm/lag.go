package swarm

import "time"

// estimate smooths a duration and its deviation, as RFC 6298 does round trips.
type estimate struct {
	mean, dev time.Duration
	set       bool
}

func (e *estimate) add(d time.Duration) {
	if !e.set {
		e.mean, e.dev, e.set = d, d/2, true
		return
	}
	diff := d - e.mean
	e.mean += diff / 8
	if diff < 0 {
		diff = -diff
	}
	e.dev += (diff - e.dev) / 4
}

// average is a mean over the latest values, about.
type average struct {
	mean time.Duration
	n    int
}

func (a *average) add(d time.Duration) {
	a.n = min(a.n+1, averageOver)
	a.mean += (d - a.mean) / time.Duration(a.n)
}

const (
	averageOver = 40 // values: ten seconds of a stripe, with several key pictures, that take longer
	averageSome = 8  // from which on it counts
)

// Resolution and range of a histogram.
const (
	bucket     = 10 * time.Millisecond
	buckets    = 800   // 8 s
	centre     = 200   // the first value comes here
	halveAfter = 4_000 // values, about a minute: old ones count less and less
)

// histogram counts lags, relative to the first, since clocks differ by an unknown amount.
type histogram struct {
	first  time.Duration
	counts [buckets]uint32
	n      uint32
}

func (h *histogram) add(d time.Duration) {
	if h.n == 0 {
		h.first = d
	}
	i := int((d-h.first)/bucket) + centre
	h.counts[max(0, min(i, buckets-1))]++
	if h.n++; h.n >= halveAfter {
		h.n = 0
		for i := range h.counts {
			h.counts[i] /= 2
			h.n += h.counts[i]
		}
	}
}

// quantile returns the value that the part q of the values does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	left := uint32(float64(h.n) * q)
	for i := range h.counts {
		if h.counts[i] > left {
			return h.first + time.Duration(i-centre+1)*bucket
		}
		left -= h.counts[i]
	}
	return h.first + (buckets-centre)*bucket
}

// meter measures bytes a second: over two seconds, which evens out the usual group of pictures, and steadily over ten.
type meter struct {
	from      time.Time
	bytes     int
	perSecond int
	steady    int
	last      [meterWindows]int
	n         int
}

const (
	meterWindow  = 2 * time.Second
	meterWindows = 5
)

func (m *meter) add(n int, now time.Time) {
	if d := now.Sub(m.from); d >= meterWindow {
		if d < 2*meterWindow {
			m.perSecond = int(int64(m.bytes) * int64(time.Second) / int64(d))
			m.last[m.n%meterWindows] = m.perSecond
			if m.n++; m.n >= meterWindows {
				sum := 0
				for _, v := range m.last {
					sum += v
				}
				m.steady = sum / meterWindows
			}
		}
		m.from, m.bytes = now, 0
	}
	m.bytes += n
}

// tokens limits bytes a second with a burst.
type tokens struct {
	left float64
	at   time.Time
}

// take takes n bytes when they are there.
func (t *tokens) take(n int, perSecond float64, burst int, now time.Time) bool {
	if t.at.IsZero() {
		t.left = float64(burst)
	} else {
		t.left = min(t.left+now.Sub(t.at).Seconds()*perSecond, float64(burst))
	}
	t.at = now
	if t.left < float64(n) {
		return false
	}
	t.left -= float64(n)
	return true
}
