package delivery

import (
	"encoding/binary"

	"peergate/media"
)

const (
	// frameHeader is the size in bytes of what precedes an interleaved packet: "$", channel, length (RFC 2326 §10.12).
	frameHeader = 4
	// maxSegments is how many datagrams one UDP_SEGMENT message may become: UDP_MAX_SEGMENTS of Linux up to 6.8.
	maxSegments = 64
	// maxRun is the greatest size in bytes of such a message: an IPv4 packet's 65,535 less headers and options.
	maxRun = 65_000
	// rtpHeader is the size in bytes of an RTP header without contributing sources (RFC 3550 §5.1).
	rtpHeader = 12
)

// layout says which tracks a player gets, and how.
type layout struct {
	tracks    uint16           // a bit for each
	datagrams bool             // over UDP, else interleaved
	channels  [maxTracks]uint8 // for RTP, of the tracks that have a bit
}

func (l *layout) has(track int) bool { return track < maxTracks && l.tracks&(1<<track) != 0 }

// form is the packets of a batch marshalled for a layout: interleaved ones framed and in order of arrival, datagrams
// without anything between them and ordered by track.
type form struct {
	layout  layout
	buf     []byte
	packets []span
	runs    []run // of datagrams
	sums    [maxTracks]sum
}

// span is one packet of a form.
type span struct {
	end    int // in buf
	octets int // of payload
	track  int
}

// run is a number of datagrams that one system call can send: all of one track and size, but that the last one may be
// shorter.
type run struct {
	first, last int // the packets are first..last-1
	size        int // of a datagram
}

// sum counts packets.
type sum struct{ packets, octets, bytes uint32 }

// sealFunc appends the sealed packet of a track to dst; what it cannot seal it leaves out.
type sealFunc func(dst []byte, track int, packet []byte) []byte

// build fills the form with those of the packets that the layout has. The packets are sealed unless seal is nil.
func (f *form) build(l *layout, packets []media.Packet, seal sealFunc) {
	f.layout, f.buf, f.packets, f.runs = *l, f.buf[:0], f.packets[:0], f.runs[:0]
	f.sums = [maxTracks]sum{}
	if !l.datagrams {
		for i := range packets {
			if p := &packets[i]; l.has(p.Track) {
				f.add(p, seal)
			}
		}
		return
	}
	for track := 0; l.tracks>>track != 0; track++ {
		if !l.has(track) {
			continue
		}
		for i := range packets {
			if p := &packets[i]; p.Track == track {
				f.add(p, seal)
			}
		}
	}
	f.cut()
}

// add appends one packet.
func (f *form) add(p *media.Packet, seal sealFunc) {
	if !f.layout.datagrams {
		f.buf = append(f.buf, '$', f.layout.channels[p.Track], 0, 0)
	}
	start := len(f.buf)
	if seal == nil {
		f.buf = append(f.buf, p.Data...)
	} else {
		f.buf = seal(f.buf, p.Track, p.Data)
	}
	size := len(f.buf) - start
	if size == 0 || size > 0xffff {
		f.buf = f.buf[:f.start(len(f.packets))]
		return
	}
	if !f.layout.datagrams {
		binary.BigEndian.PutUint16(f.buf[start-2:], uint16(size))
	}
	octets := len(p.Payload())
	f.packets = append(f.packets, span{end: len(f.buf), octets: octets, track: p.Track})
	s := &f.sums[p.Track]
	s.packets++
	s.octets += uint32(octets)
	s.bytes += uint32(size)
}

// start returns where packet i begins in buf, with its header.
func (f *form) start(i int) int {
	if i == 0 {
		return 0
	}
	return f.packets[i-1].end
}

// size returns how long RTP packet i is.
func (f *form) size(i int) int {
	n := f.packets[i].end - f.start(i)
	if !f.layout.datagrams {
		n -= frameHeader
	}
	return n
}

// cut finds the runs.
func (f *form) cut() {
	for i := 0; i < len(f.packets); {
		r := run{first: i, size: f.size(i)}
		bytes := r.size
		for i++; i < len(f.packets); i++ {
			n := f.size(i)
			if i-r.first == maxSegments || f.packets[i].track != f.packets[r.first].track ||
				n > r.size || bytes+n > maxRun || f.size(i-1) < r.size {
				break
			}
			bytes += n
		}
		r.last = i
		f.runs = append(f.runs, r)
	}
}

// total returns the sums of the packets from..to-1 of a track.
func (f *form) total(track, from, to int) sum {
	if from == 0 && to == len(f.packets) {
		return f.sums[track]
	}
	var s sum
	for i := from; i < to; i++ {
		if p := &f.packets[i]; p.track == track {
			s.packets++
			s.octets += uint32(p.octets)
			s.bytes += uint32(f.size(i))
		}
	}
	return s
}

// at returns the packet that holds byte off of buf.
func (f *form) at(off int) int {
	lo, hi := 0, len(f.packets)
	for lo < hi {
		if mid := (lo + hi) / 2; f.packets[mid].end <= off {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
