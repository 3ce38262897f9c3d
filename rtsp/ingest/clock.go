package ingest

import "time"

const (
	// maxJump is how far a clock may go on at once; beyond it, the source is taken to have set it.
	maxJump = 3 * time.Second
	// maxBack is how far it may go back: tracks are interleaved within less.
	maxBack = time.Second
	// seam is the time between the last unit before a set clock and the first one after it, where nothing tells: a picture.
	seam = 40 * time.Millisecond
)

// clock makes one timeline, which begins at 0 and only goes on, of a source's clock, which may be set.
type clock struct {
	started bool
	shift   time.Duration // to add to the source's times
	last    time.Duration // the latest time so far
	at      time.Time     // when that came, by the clock of this machine
}

// follow returns the time of a unit that has come now, from a source that sends as time goes by.
func (c *clock) follow(dts time.Duration, now time.Time) time.Duration {
	t := c.time(dts, max(seam, now.Sub(c.at)))
	if t >= c.last {
		c.last, c.at = t, now
	}
	return t
}

// read returns the time of a unit of a file.
func (c *clock) read(dts time.Duration) time.Duration {
	t := c.time(dts, seam)
	c.last = max(c.last, t)
	return t
}

// time puts a time of the source on the timeline; across a jump of the source's clock the given time passes.
func (c *clock) time(dts, passes time.Duration) time.Duration {
	if !c.started {
		c.started, c.shift = true, -dts
	}
	t := dts + c.shift
	if t > c.last+maxJump || t < c.last-maxBack {
		c.shift += c.last + passes - t
		t = c.last + passes
	}
	return t
}

// splice begins a further file, whose first unit has the given time, at a time of the timeline.
func (c *clock) splice(first, at time.Duration) {
	c.started, c.shift = true, at-first
	c.last = max(c.last, at)
}
