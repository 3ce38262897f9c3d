package transcode

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"peergate/transcode/process"
)

// progress is what ffmpeg tells of its work by -progress: lines key=value in blocks.
type progress struct {
	mu     sync.Mutex // guards the fields below
	frames uint64
	speed  float64       // of the media's clock; 0 unknown
	made   time.Duration // of the output's own time
	words  process.Words // of the log
}

// tell takes a line of -progress. Values that ffmpeg does not know yet are N/A.
func (p *progress) tell(line string) {
	key, value, _ := strings.Cut(line, "=")
	value = strings.TrimSpace(value)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch key {
	case "frame":
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			p.frames = n
		}
	case "out_time_us":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 && n <= int64(maxMade/time.Microsecond) {
			p.made = time.Duration(n) * time.Microsecond
		}
	case "speed":
		if v, err := strconv.ParseFloat(strings.TrimSuffix(value, "x"), 64); err == nil && v >= 0 && v < maxSpeed {
			p.speed = v
		}
	}
}

const (
	// maxMade bounds the time that ffmpeg may claim to have made: a century.
	maxMade = 100 * 365 * 24 * time.Hour
	// maxSpeed bounds the speed that it may claim.
	maxSpeed = 1e6
)

// read returns the frames and the time made and the speed.
func (p *progress) read() (frames uint64, made time.Duration, speed float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frames, p.made, p.speed
}
