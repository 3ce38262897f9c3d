package ingest

import (
	"testing"
	"time"
)

// TestClock puts the times of a source whose clock jumps on one timeline.
func TestClock(t *testing.T) {
	const ms = time.Millisecond
	now := time.Now()
	var c clock
	for i, s := range []struct{ dts, after, want time.Duration }{
		{7000 * ms, 0, 0},
		{7040 * ms, 40 * ms, 40 * ms},
		{7020 * ms, 0, 20 * ms},            // of another track
		{8040 * ms, 1000 * ms, 1040 * ms},  // packets were lost
		{100 * ms, 500 * ms, 1540 * ms},    // the encoder began anew
		{140 * ms, 40 * ms, 1580 * ms},     //
		{90000 * ms, 2000 * ms, 3580 * ms}, // its clock was set
	} {
		now = now.Add(s.after)
		if got := c.follow(s.dts, now); got != s.want {
			t.Errorf("time %d = %v, want %v", i, got, s.want)
		}
	}
	c.splice(5000*ms, 4000*ms)
	if got := c.read(5040 * ms); got != 4040*ms {
		t.Errorf("the second unit of the next file is at %v, want 4040 ms", got)
	}
}

// TestTicks converts without overflow.
func TestTicks(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		rate int
		want uint32
	}{
		{time.Second, 90000, 90000},
		{1024 * time.Second / 44100, 44100, 1024},
		{48 * time.Hour, 90000, uint32(48 * 3600 * 90000 % (1 << 32))},
		{-time.Second, 90000, 1<<32 - 90000},
	} {
		if got := ticks(c.d, c.rate); got != c.want {
			t.Errorf("ticks(%v, %d) = %d, want %d", c.d, c.rate, got, c.want)
		}
	}
}
