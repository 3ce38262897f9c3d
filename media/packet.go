package media

import (
	"encoding/binary"
	"errors"
	"time"
)

// rtpHeader is the size in bytes of an RTP header without contributing sources (RFC 3550 §5.1).
const rtpHeader = 12

var errNotRTP = errors.New("not an RTP packet of version 2")

// Packet is one RTP packet of a track, or a sender report about it. It is immutable once published.
type Packet struct {
	Track   int       // index into Stream.Tracks
	Data    []byte    // an RTP packet (RFC 3550 §5.1) or, when Report, an RTCP sender report (§6.4.1)
	Report  bool      // Data is a sender report in the owner's clock
	Key     bool      // a decoder can start here: the first packet of a key frame with its parameter sets
	Arrived time.Time // when it came to this gateway
}

// Sequence returns the RTP sequence number. Like its siblings it must not be asked of a report.
func (p *Packet) Sequence() uint16 { return binary.BigEndian.Uint16(p.Data[2:]) }

// Timestamp returns the RTP timestamp in units of the track's clock rate.
func (p *Packet) Timestamp() uint32 { return binary.BigEndian.Uint32(p.Data[4:]) }

// SSRC returns the synchronization source.
func (p *Packet) SSRC() uint32 { return binary.BigEndian.Uint32(p.Data[8:]) }

// Marker reports whether the marker bit is set: for video, the last packet of a frame.
func (p *Packet) Marker() bool { return p.Data[1]&0x80 != 0 }

// PayloadType returns the RTP payload type.
func (p *Packet) PayloadType() uint8 { return p.Data[1] & 0x7f }

// Payload returns what follows the RTP header, its contributing sources and extension, without padding.
func (p *Packet) Payload() []byte { return rtpPayload(p.Data) }

// checkRTP tells whether b is an RTP packet whose header, extension and padding fit in it.
func checkRTP(b []byte) error {
	if len(b) < rtpHeader || b[0]>>6 != 2 {
		return errNotRTP
	}
	n := rtpHeader + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 {
		if len(b) < n+4 {
			return errNotRTP
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(b[n+2:]))
	}
	if b[0]&0x20 != 0 {
		if len(b) <= n || int(b[len(b)-1]) > len(b)-n {
			return errNotRTP
		}
	}
	if len(b) < n {
		return errNotRTP
	}
	return nil
}

// rtpPayload returns the payload of a packet that checkRTP accepts.
func rtpPayload(b []byte) []byte {
	n := rtpHeader + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 {
		n += 4 + 4*int(binary.BigEndian.Uint16(b[n+2:]))
	}
	end := len(b)
	if b[0]&0x20 != 0 {
		end -= int(b[len(b)-1])
	}
	return b[n:end]
}
