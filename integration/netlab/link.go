//go:build integration

package netlab

import (
	"math/rand/v2"
	"time"
)

// Way is one direction of a link.
type Way struct {
	Rate   int           // bits a second, IP headers counted; 0 has no limit
	Queue  time.Duration // how long a packet may wait for the line, later ones are dropped; 0 is 200 ms, a home router's
	Delay  time.Duration // from one end to the other
	Jitter time.Duration // added to the delay, anything from 0 to this; packets stay in order
	Loss   float64       // share of the packets that are lost at random
}

// defaultQueue is the longest wait for a line that does not say another.
const defaultQueue = 200 * time.Millisecond

// Link is an access link: Up leads from the site to the core.
type Link struct{ Up, Down Way }

// Both returns a link that is the same both ways.
func Both(w Way) Link { return Link{Up: w, Down: w} }

// Traffic counts what one direction of a link has carried. Bytes are those of IP packets, with their headers.
type Traffic struct {
	Packets, Bytes int64 // put on the line: what a site's provider would bill
	Lost           int64 // packets lost at random, after the line
	Dropped        int64 // packets for which the queue was full; they are not in Packets
	Cut            int64 // packets that a split, an unplugged link or an address of nobody has swallowed
}

// line is one direction at work: a pure function of the times given to it and of its seed.
type line struct {
	way     Way
	rand    *rand.Rand
	free    time.Duration // when it has sent all that it was given
	last    time.Duration // arrival of its newest packet
	traffic Traffic
}

func newLine(w Way, seed uint64) *line {
	return &line{way: w, rand: rand.New(rand.NewPCG(seed, 1))}
}

// send takes a packet of n bytes and returns when it arrives, or false when it never does.
func (l *line) send(now time.Duration, n int) (time.Duration, bool) {
	sent := max(now, l.free)
	if l.way.Rate > 0 {
		queue := l.way.Queue
		if queue == 0 {
			queue = defaultQueue
		}
		if sent-now > queue {
			l.traffic.Dropped++
			return 0, false
		}
		sent += time.Duration(int64(n) * 8 * int64(time.Second) / int64(l.way.Rate))
		l.free = sent
	}
	l.traffic.Packets++
	l.traffic.Bytes += int64(n)
	if l.way.Loss > 0 && l.rand.Float64() < l.way.Loss {
		l.traffic.Lost++
		return 0, false
	}
	at := sent + l.way.Delay
	if l.way.Jitter > 0 {
		at += time.Duration(l.rand.Int64N(int64(l.way.Jitter)))
	}
	l.last = max(l.last, at)
	return l.last, true
}
