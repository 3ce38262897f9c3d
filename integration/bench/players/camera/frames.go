// Package camera makes a stream like that of an H.264 encoder, whose packets say when they were sent and which they are,
// and publishes it.
//
// Every RTP packet ends with
//
//	+--------+--------+
//	| 8      | 4      |  bytes, big endian
//	+--------+--------+
//	| sent   | number |
//	+--------+--------+
//
// sent is nanoseconds of the machine's monotonic clock, number counts the packets of the stream from 0.
package camera

import (
	"encoding/binary"
	"fmt"
)

const (
	header      = 12    // bytes of an RTP header (RFC 3550 §5.1)
	trailer     = 8 + 4 // bytes at the end of each packet
	clockRate   = 90000 // RTP clock of H.264 (RFC 6184 §8.2.1)
	payloadType = 96
	keySize     = 4 // a key frame is so many times as large as any other
	ssrc        = 0xcafe0001
	interleaved = 4 // bytes ahead of an interleaved packet (RFC 2326 §10.12)
)

// H.264 NAL unit types and the types that RFC 6184 §5.2 adds.
const (
	typeSlice = 1
	typeIDR   = 5
	typeSEI   = 6
	typeSPS   = 7
	typeSTAPA = 24
	typeFUA   = 28
)

// The parameter sets of a baseline stream of 640x480; nobody decodes it.
var (
	sps = []byte{0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x03, 0xc5, 0x68, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0c, 0x03, 0xc5, 0x8b, 0x92}
	pps = []byte{0x68, 0xcb, 0x8c, 0xb2}
)

// SDP describes the stream.
const SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=bench\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n" +
	"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" +
	"a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==; profile-level-id=42C01E\r\n" +
	"a=control:track0\r\n"

// Format says what the stream is like.
type Format struct {
	Bitrate   int // bits of payload a second
	FrameRate int // frames a second
	KeyEvery  int // frames from one key frame to the next
	Payload   int // bytes of payload of a full packet
}

// Check reports what cannot be.
func (f Format) Check() error {
	switch {
	case f.FrameRate < 1 || f.KeyEvery < 1:
		return fmt.Errorf("%d frames a second with a key frame every %d: both must be at least 1", f.FrameRate, f.KeyEvery)
	case f.Payload < 100 || f.Payload > 1460:
		return fmt.Errorf("packets of %d bytes: must be 100 to 1460", f.Payload)
	case f.Bitrate/8/f.FrameRate < f.Payload:
		return fmt.Errorf("%d bit/s: a frame must have a packet of %d bytes at least", f.Bitrate, f.Payload)
	}
	return nil
}

// frame returns the bytes of a frame's payload.
func (f Format) frame(key bool) int {
	n := f.Bitrate / 8 * f.KeyEvery / f.FrameRate / (f.KeyEvery - 1 + keySize)
	if key {
		return n * keySize
	}
	return n
}

// Frames makes one frame after the other.
type Frames struct {
	f      Format
	frame  uint32 // number of the next
	number uint32 // of the next packet
	buf    []byte
	sizes  []int // of the packets in buf
}

// NewFrames returns the maker of a stream.
func NewFrames(f Format) *Frames { return &Frames{f: f} }

// Number returns the number of the next packet.
func (fr *Frames) Number() uint32 { return fr.number }

// Next makes the next frame, sent now. It is valid until the call after it.
func (fr *Frames) Next(now int64) *Frame {
	key := fr.frame%uint32(fr.f.KeyEvery) == 0
	fr.buf, fr.sizes = fr.buf[:0], fr.sizes[:0]
	unit := byte(0x40 | typeSlice)
	if key {
		unit = 0x60 | typeIDR
		fr.parameters(now)
	}
	for left, first := fr.f.frame(key), true; left > 0; first = false {
		n := min(left, fr.f.Payload)
		left -= n
		fr.fragment(unit, first, left <= 0, n, now)
	}
	fr.frame++
	return (*Frame)(fr)
}

// open begins a packet of size bytes after its RTP header and returns that part.
func (fr *Frames) open(size int, marker bool) []byte {
	at := len(fr.buf)
	fr.buf = append(fr.buf, make([]byte, interleaved+header+size)...)
	b := fr.buf[at:]
	b[0] = '$'
	binary.BigEndian.PutUint16(b[2:], uint16(header+size))
	b = b[interleaved:]
	b[0], b[1] = 0x80, payloadType
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], uint16(fr.number))
	binary.BigEndian.PutUint32(b[4:], fr.frame*uint32(clockRate/fr.f.FrameRate))
	binary.BigEndian.PutUint32(b[8:], ssrc)
	fr.sizes = append(fr.sizes, header+size)
	return b[header:]
}

// close ends a packet with its trailer.
func (fr *Frames) close(b []byte, now int64) {
	b = b[len(b)-trailer:]
	binary.BigEndian.PutUint64(b, uint64(now))
	binary.BigEndian.PutUint32(b[8:], fr.number)
	fr.number++
}

// parameters adds the packet of the parameter sets, in which the trailer is the end of an SEI message.
func (fr *Frames) parameters(now int64) {
	const (
		uuid     = 16
		userData = 5 // payload type of the SEI message (H.264 §D.1.7)
	)
	sei := 3 + uuid + trailer
	b := fr.open(1+2+len(sps)+2+len(pps)+2+sei, false)
	p := append(b[:0], 0x60|typeSTAPA, 0, byte(len(sps)))
	p = append(append(p, sps...), 0, byte(len(pps)))
	p = append(append(p, pps...), 0, byte(sei), typeSEI, userData, uuid+trailer)
	copy(b[len(p):], "peergate's bench")
	fr.close(b, now)
}

// fragment adds a fragment of n bytes of a NAL unit.
func (fr *Frames) fragment(unit byte, first, last bool, n int, now int64) {
	n = max(n, 2+trailer)
	b := fr.open(n, last)
	b[0], b[1] = unit&0x60|typeFUA, unit&0x1f
	if first {
		b[1] |= 0x80
	}
	if last {
		b[1] |= 0x40
	}
	for i := 2; i < n-trailer; i++ {
		b[i] = byte(i) | 1 // nothing that looks like a start code
	}
	fr.close(b, now)
}

// Frame is the packets of one frame.
type Frame Frames

// Interleaved returns all packets as they go over channel 0 of a connection (RFC 2326 §10.12).
func (f *Frame) Interleaved() []byte { return f.buf }

// Packets appends all packets to b, one behind the other, and their sizes to s.
func (f *Frame) Packets(b []byte, s []int) ([]byte, []int) {
	at := 0
	for _, n := range f.sizes {
		at += interleaved
		b = append(b, f.buf[at:at+n]...)
		at += n
	}
	return b, append(s, f.sizes...)
}

// Sent returns when a packet was sent and its number; false when it is too short to be ours.
func Sent(packet []byte) (at int64, number uint32, ok bool) {
	if len(packet) < header+trailer {
		return 0, 0, false
	}
	b := packet[len(packet)-trailer:]
	return int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:]), true
}

// StartsKeyFrame reports whether a packet of the stream is the first of a key frame: its parameter sets, or the first
// fragment of an IDR picture where a server has taken the sets away.
func StartsKeyFrame(packet []byte) bool {
	if len(packet) < header+4 {
		return false
	}
	switch b := packet[header:]; b[0] & 0x1f {
	case typeSTAPA:
		return b[3]&0x1f == typeSPS
	case typeFUA:
		return b[1]&0x80 != 0 && b[1]&0x1f == typeIDR
	case typeSPS:
		return true
	}
	return false
}
