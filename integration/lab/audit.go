//go:build integration

package lab

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Stats is what an audit of a track has found so far.
type Stats struct {
	Packets int
	Bytes   int
	Missing int // sequence numbers that never came
	Late    int // packets behind a later one, or twice
	Sources int // SSRCs, 1 for a stream that is one
	Reports int // RTCP sender reports
	Bye     bool
	Played  time.Duration // how far the timestamps went on, a gap of more than a second counting as one
	Pause   time.Duration // the longest time without a packet
	First   time.Time     // arrival of the first packet since PLAY
	Last    time.Time     // arrival of the newest packet
	Faults  []string      // whatever else is wrong, in words, the first 10
}

// Audit checks the packets of one track.
type Audit struct {
	announced string // SSRC in the Transport header, in hex, "" if there was none
	types     []string
	rate      int

	mu       sync.Mutex // guards the fields below
	s        Stats
	fresh    bool // no packet since PLAY
	paused   bool // since PAUSE
	promised int  // first sequence number by RTP-Info, -1 unknown
	seq      uint16
	ts       uint32
	ssrc     uint32
	each     func(b []byte, arrived time.Time)
}

func newAudit(section []string) *Audit {
	a := &Audit{fresh: true, promised: -1, rate: 90000}
	for _, l := range section {
		if strings.HasPrefix(l, "m=") {
			a.types = strings.Fields(l)[3:]
			if strings.HasPrefix(l, "m=audio") {
				a.rate = 8000 // of most static types (RFC 3551 §6); others have an rtpmap
			}
		}
		if v, ok := strings.CutPrefix(l, "a=rtpmap:"); ok {
			if p := strings.Split(v, "/"); len(p) > 1 {
				a.rate, _ = strconv.Atoi(p[1])
			}
		}
	}
	return a
}

// Each has every RTP packet handed to f, too.
func (a *Audit) Each(f func(b []byte, arrived time.Time)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.each = f
}

// Stats returns what was found so far.
func (a *Audit) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.s
	s.Faults = append([]string(nil), s.Faults...)
	return s
}

// restart expects a new beginning: packets before PLAY's answer are faults then.
func (a *Audit) restart() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fresh, a.paused, a.promised = true, false, -1
}

// pause expects no packets, so that reports have none to be compared with.
func (a *Audit) pause() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.paused = true
}

// promise notes the first sequence number of RTP-Info. Over UDP the packet may have been faster than the answer.
func (a *Audit) promise(seq uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fresh {
		a.promised = int(seq)
	}
}

func (a *Audit) fault(format string, args ...any) {
	if len(a.s.Faults) < 10 {
		a.s.Faults = append(a.s.Faults, fmt.Sprintf(format, args...))
	}
}

// take checks one packet.
func (a *Audit) take(b []byte, control bool) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if control {
		a.control(b, now)
		return
	}
	if len(b) < 12 || b[0]>>6 != 2 {
		a.fault("%d bytes that are no RTP packet", len(b))
		return
	}
	pt := strconv.Itoa(int(b[1] & 0x7f))
	known := false
	for _, t := range a.types {
		known = known || t == pt
	}
	if !known {
		a.fault("payload type %s, not in the description", pt)
	}
	a.follow(binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]), now)
	a.s.Packets++
	a.s.Bytes += len(b)
	if a.each != nil {
		a.each(b, now)
	}
}

// follow checks that a packet follows the one before.
func (a *Audit) follow(seq uint16, ts, ssrc uint32, now time.Time) {
	if a.s.Sources == 0 || ssrc != a.ssrc {
		a.s.Sources++
		if a.announced != "" && !strings.EqualFold(fmt.Sprintf("%08x", ssrc), a.announced) {
			a.fault("SSRC %08x, the Transport header said %s", ssrc, a.announced)
		}
		a.ssrc, a.seq, a.ts = ssrc, seq-1, ts
	}
	if a.fresh {
		if a.promised >= 0 && seq != uint16(a.promised) {
			a.fault("first packet is %d, RTP-Info said %d", seq, a.promised)
		}
		a.seq, a.ts, a.s.First, a.s.Last = seq-1, ts, now, now
		a.fresh = false
	}
	a.s.Pause = max(a.s.Pause, now.Sub(a.s.Last))
	a.s.Last = now
	step := int16(seq - a.seq)
	if step <= 0 {
		a.s.Late++
		return
	}
	a.s.Missing += int(step) - 1
	if int32(ts-a.ts) < 0 {
		a.fault("timestamp goes back by %d at packet %d", a.ts-ts, seq)
	}
	a.s.Played += min(time.Duration(max(0, int32(ts-a.ts)))*time.Second/time.Duration(max(a.rate, 1)), time.Second)
	a.seq, a.ts = seq, ts
}

// reportSlack is how far a sender report's clock may be from ours: one machine, and packets that wait in queues. An encoder that
// stood still for seconds on a busy machine, and catches up, says so in its reports.
const reportSlack = 10 * time.Second

// control checks an RTCP packet: a sender report must relate the timestamps to the clock of this machine.
func (a *Audit) control(b []byte, now time.Time) {
	for len(b) >= 8 {
		size := 4 + 4*int(binary.BigEndian.Uint16(b[2:]))
		if size > len(b) {
			a.fault("RTCP packet of %d bytes says it has %d", len(b), size)
			return
		}
		switch b[1] {
		case 200:
			a.s.Reports++
			a.report(b, now)
		case 203:
			a.s.Bye = true
		}
		b = b[size:]
	}
}

func (a *Audit) report(b []byte, now time.Time) {
	if len(b) < 28 || a.fresh || a.paused {
		return
	}
	const epoch = 2208988800 // seconds from 1900 to 1970
	sec, frac := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
	wall := time.Unix(int64(sec)-epoch, int64(frac)*1e9>>32)
	if d := now.Sub(wall); d < -reportSlack || d > reportSlack {
		a.fault("sender report's clock is %v behind", d)
	}
	// Its timestamp is of now, however long ago the newest packet came.
	ticks := int32(binary.BigEndian.Uint32(b[16:]) - a.ts)
	d := time.Duration(ticks)*time.Second/time.Duration(max(a.rate, 1)) - now.Sub(a.s.Last)
	if d < -reportSlack || d > reportSlack {
		a.fault("sender report's timestamp is %v from what the newest packet's would be now", d)
	}
}
