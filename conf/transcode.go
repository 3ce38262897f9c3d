package conf

import "time"

// Transcode is about renditions, streams made from others.
type Transcode struct {
	IdleAfter time.Duration `yaml:"idle_after"` // how long a rendition outlives its last subscriber
}

func defaultTranscode() Transcode { return Transcode{IdleAfter: 10 * time.Second} }

func (c *Transcode) check(f faults) { atLeast(f, "transcode.idle_after", c.IdleAfter, 0) }
