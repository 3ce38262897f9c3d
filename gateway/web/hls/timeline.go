package hls

import (
	"time"

	"peergate/media"
)

const (
	// farthest is a jump of timestamps that no pause explains: the muxer begins anew.
	farthest = 10 * time.Second
	// leastShift is how far sound and pictures must be apart, by the owner's clock, to be brought together: clocks that only
	// the arrival of packets sets are not more exact.
	leastShift = 30 * time.Millisecond
)

// timeline turns the timestamps of a track, which wrap, into presentation times in units of its clock rate from the beginning
// of the muxer on.
type timeline struct {
	rate    int
	started bool
	last    uint32 // timestamp of the last frame
	pts     int64  // and its time
	highest int64  // of all
}

// begin sets the time of a timestamp.
func (l *timeline) begin(ts uint32, at time.Duration) {
	l.started, l.last = true, ts
	l.pts = int64(at.Seconds() * float64(l.rate))
	l.highest = l.pts
}

// next returns the time of a timestamp; ok is false when it is too far from the last one.
func (l *timeline) next(ts uint32) (pts int64, ok bool) {
	d := int64(int32(ts - l.last))
	l.last = ts
	l.pts += d
	l.highest = max(l.highest, l.pts)
	far := int64(farthest.Seconds()) * int64(l.rate)
	return l.pts, d < far && d > -far
}

// at returns the time of the last frame.
func (l *timeline) at() time.Duration {
	return time.Duration(float64(l.pts) / float64(l.rate) * float64(time.Second))
}

// shift moves all that follows.
func (l *timeline) shift(d time.Duration) { l.pts += int64(d.Seconds() * float64(l.rate)) }

// apart returns how much later a track's frames are, by its clock, than the muxer has them; zero is when that began.
func (l *timeline) apart(c media.Clock, zero time.Time) time.Duration {
	return c.At(l.last).Sub(zero) - l.at()
}
