package transcode

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxLine bounds a line of ffmpeg's in bytes; those of -progress have fewer than 40, those of its log seldom 200.
const maxLine = 1024

// lines cuts what a program writes into lines. One that is too long is cut off.
type lines struct {
	part []byte
	line func(string)
}

// Write takes what the program has written next. It never fails.
func (l *lines) Write(b []byte) (int, error) {
	n := len(b)
	for {
		i := bytes.IndexAny(b, "\r\n")
		rest := b
		if i >= 0 {
			rest = b[:i]
		}
		l.part = append(l.part, rest[:min(len(rest), maxLine-len(l.part))]...)
		if i < 0 {
			return n, nil
		}
		if len(l.part) > 0 {
			l.line(string(l.part))
			l.part = l.part[:0]
		}
		b = b[i+1:]
	}
}

// progress is what ffmpeg tells of its work by -progress: lines key=value in blocks.
type progress struct {
	mu     sync.Mutex // guards the fields below
	frames uint64
	speed  float64       // of the media's clock; 0 unknown
	made   time.Duration // of the output's own time
	words  []string      // the last lines of the log
}

// keptWords is how many lines of ffmpeg's log are kept: the first of them tells the cause, the rest what follows of it.
const keptWords = 8

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

// log takes a line of ffmpeg's log.
func (p *progress) log(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.words) < keptWords {
		p.words = append(p.words, line)
	}
}

// read returns the frames and the time made and the speed.
func (p *progress) read() (frames uint64, made time.Duration, speed float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frames, p.made, p.speed
}

// reason returns what ffmpeg has complained of, in one line and without the secrets of URLs.
func (p *progress) reason() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return secret.ReplaceAllString(strings.Join(p.words, "; "), "")
}
