package conf

import "time"

// HLS is what browsers, phones and television sets read over HTTP.
type HLS struct {
	Listen      string        `yaml:"listen"`       // host:port; "" is no HLS
	Segment     time.Duration `yaml:"segment"`      // least time of a segment, which ends before a key frame
	Part        time.Duration `yaml:"part"`         // least time of a part of a segment, for players that know Low-Latency HLS
	Segments    int           `yaml:"segments"`     // kept for players that are behind
	IdleAfter   time.Duration `yaml:"idle_after"`   // how long segments are made though nobody asks for them
	AllowOrigin string        `yaml:"allow_origin"` // web pages that may read: *, one origin such as https://example.org, or "" for the gateway's own
}

func defaultHLS() HLS {
	return HLS{
		Listen: ":8888", Segment: time.Second, Part: 200 * time.Millisecond, Segments: 7, IdleAfter: 20 * time.Second, AllowOrigin: "*",
	}
}

const (
	// leastSegments is what a playlist of Low-Latency HLS must have.
	leastSegments = 7
	// leastPart has several pictures.
	leastPart = 100 * time.Millisecond
)

func (c *HLS) check(f faults) {
	if c.Listen != "" {
		listenAddress(f, "hls.listen", c.Listen)
	}
	atLeast(f, "hls.segment", c.Segment, 500*time.Millisecond)
	atLeast(f, "hls.part", c.Part, leastPart)
	if c.Part > c.Segment {
		f.fault("hls.part", "is %v, must not be more than hls.segment", c.Part)
	}
	atLeast(f, "hls.segments", c.Segments, leastSegments)
	atLeast(f, "hls.idle_after", c.IdleAfter, 5*time.Second)
}
