package ingest

import (
	"errors"
	"io"
)

const (
	// packetSize is the size in bytes of a packet of a transport stream (ISO/IEC 13818-1 §2.4.3.2).
	packetSize = 188
	syncByte   = 0x47
	pids       = 1 << 13 // PIDs have 13 bits
	// maxUnit bounds a unit in bytes: a picture of 8K has less.
	maxUnit = 16 << 20
	// maxUnits bounds what is collected of all units in bytes.
	maxUnits = 48 << 20
	// maxSearch bounds what is read in bytes until the stream has told its program: 1 s at 64 Mbit/s.
	maxSearch = 8 << 20
)

var errNoProgram = errors.New("is no MPEG-TS, or tells neither its program nor the parameters of its sound")

// filter passes the packets of a transport stream. It finds where they begin, tells what is missing, and lets no unit grow
// without bound.
type filter struct {
	from   io.Reader
	raw    []byte // as it came, from the place where the next packet may begin
	ready  []byte // whole packets
	search int    // bytes that may still be read in search for the program; -1: it is known
	failed error  // what ended it
	lost   uint64 // packets, as far as their counters tell
	pids   [pids]pidState
	open   int // bytes of units that are not complete
}

// pidState is what the filter knows of the packets of one PID.
type pidState struct {
	seen    bool
	counter uint8 // of the last packet
	gap     bool  // something is missing since it was last asked
	size    int   // bytes of the unit that is not complete
}

func newFilter(from io.Reader) *filter {
	return &filter{from: from, raw: make([]byte, 0, 64<<10), search: maxSearch}
}

// Read reads packets. They are cut by whoever reads.
func (f *filter) Read(b []byte) (int, error) {
	for len(f.ready) == 0 {
		if f.search == 0 {
			f.failed = errNoProgram
			return 0, f.failed
		}
		n, err := f.from.Read(f.raw[len(f.raw):cap(f.raw)])
		f.raw = f.raw[:len(f.raw)+n]
		if f.search > 0 {
			f.search = max(0, f.search-n)
		}
		f.cut()
		if len(f.ready) == 0 && err != nil {
			f.failed = err
			return 0, err
		}
	}
	n := copy(b, f.ready)
	f.ready = f.ready[n:]
	return n, nil
}

// cut takes whole packets from what has come. A packet is one that begins with the mark and is followed by another one, if
// that has come.
func (f *filter) cut() {
	f.ready = f.ready[:0]
	i := 0
	for len(f.raw)-i >= packetSize {
		if f.raw[i] != syncByte || len(f.raw)-i > packetSize && f.raw[i+packetSize] != syncByte {
			i++
			continue
		}
		if p := f.raw[i : i+packetSize]; f.pass(p) {
			f.ready = append(f.ready, p...)
		}
		i += packetSize
	}
	f.raw = append(f.raw[:0], f.raw[i:]...)
}

// pass looks at a packet's header (ISO/IEC 13818-1 §2.4.3.3) and reports whether it is of use.
func (f *filter) pass(p []byte) bool {
	if p[1]&0x80 != 0 || p[3]&0x10 == 0 { // broken on its way, or without payload
		return false
	}
	s := &f.pids[int(p[1]&0x1f)<<8|int(p[2])]
	announced := p[3]&0x20 != 0 && p[4] > 0 && p[5]&0x80 != 0 // a discontinuity that is meant
	counter := p[3] & 0x0f
	if missing := (counter - s.counter - 1) & 0x0f; s.seen && !announced && missing != 0 && counter != s.counter {
		s.gap = true
		f.lost += uint64(missing)
	}
	s.seen, s.counter = true, counter
	if p[1]&0x40 != 0 { // a unit begins
		f.open -= s.size
		s.size = 0
	}
	if s.size+packetSize > maxUnit || f.open+packetSize > maxUnits {
		s.gap = true
		return false
	}
	s.size += packetSize
	f.open += packetSize
	return true
}

// gap reports whether something of a PID is missing since the last call.
func (f *filter) gap(pid uint16) bool {
	s := &f.pids[pid&(pids-1)]
	was := s.gap
	s.gap = false
	return was
}
