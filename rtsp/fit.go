package rtsp

import (
	"encoding/binary"
	"fmt"
	"log/slog"

	"peergate/media"
)

const (
	// maxPacket is the largest RTP packet in bytes that players get: what UDP over IPv4 has room for on Ethernet. A
	// publisher that has its packets interleaved can send larger ones, which no player over UDP would ever see.
	maxPacket = 1500 - 20 - 8
	// cutPayload is the payload in bytes into which larger ones are cut: it leaves room for IPv6, SRTP and tunnels.
	cutPayload = 1350
	rtpHeader  = 12 // bytes, without contributing sources (RFC 3550 §5.1)
)

// fitter cuts packets of one track that are too large. It is for one goroutine.
type fitter struct {
	codec string
	log   *slog.Logger
	added uint16 // how many more packets went out than came
	told  bool   // that packets cannot be cut
}

func newFitter(t *media.Track, log *slog.Logger) *fitter {
	return &fitter{codec: t.Codec(), log: log}
}

// fit calls write with a packet, or with those into which it was cut. Sequence numbers count on; gaps stay gaps.
func (f *fitter) fit(b []byte, write func([]byte)) {
	if len(b) < rtpHeader || len(b) <= maxPacket && f.added == 0 {
		write(b)
		return
	}
	seq := binary.BigEndian.Uint16(b[2:]) + f.added
	if len(b) <= maxPacket {
		binary.BigEndian.PutUint16(b[2:], seq)
		write(b)
		return
	}
	parts := f.cut(payloadOf(b))
	if len(parts) == 0 {
		if !f.told {
			f.told = true
			f.log.Warn("packets not taken: let the publisher send smaller ones", "err",
				fmt.Sprintf("%d bytes are more than the %d that UDP has room for, and %q cannot be cut", len(b), maxPacket, f.codec))
		}
		return
	}
	for i, p := range parts {
		out := append(make([]byte, 0, rtpHeader+len(p)), b[:rtpHeader]...)
		out[0] = 0x80 // no padding, extension or contributing sources
		if i < len(parts)-1 {
			out[1] &= 0x7f // the marker is the last one's
		}
		binary.BigEndian.PutUint16(out[2:], seq+uint16(i))
		write(append(out, p...))
	}
	f.added += uint16(len(parts) - 1)
}

// payloadOf returns the payload of an RTP packet, or nil when it is malformed.
func payloadOf(b []byte) []byte {
	n := rtpHeader + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 && len(b) >= n+4 {
		n += 4 + 4*int(binary.BigEndian.Uint16(b[n+2:]))
	}
	end := len(b)
	if b[0]&0x20 != 0 {
		end -= int(b[len(b)-1])
	}
	if n > end {
		return nil
	}
	return b[n:end]
}

// cut returns the payloads into which one is cut, or nothing when it cannot be.
func (f *fitter) cut(b []byte) [][]byte {
	switch {
	case len(b) < 4:
		return nil
	case f.codec == "H264":
		return cutH264(b)
	case f.codec == "H265":
		return cutH265(b)
	}
	return nil
}

// cutH264 cuts a NAL unit or a fragment of one, or takes an aggregation apart (RFC 6184 §5.7, §5.8).
func cutH264(b []byte) [][]byte {
	switch t := b[0] & 0x1f; {
	case t >= 1 && t <= 23:
		return fragments([]byte{b[0]&0xe0 | 28}, 0x80|t|0x40, b[1:])
	case t == 24: // STAP-A
		return apart(b[1:], 1, cutH264)
	case t == 28: // FU-A
		return fragments(b[:1], b[1], b[2:])
	}
	return nil
}

// cutH265 does the same with the units of RFC 7798 §4.4, whose header has two bytes.
func cutH265(b []byte) [][]byte {
	switch t := b[0] >> 1 & 0x3f; {
	case t < 48:
		return fragments([]byte{b[0]&0x81 | 49<<1, b[1]}, 0x80|0x40|t, b[2:])
	case t == 48: // aggregation packet
		return apart(b[2:], 2, cutH265)
	case t == 49: // fragmentation unit
		return fragments(b[:2], b[2], b[3:])
	}
	return nil
}

// fragments cuts data into fragmentation units. The header's start bit is the first one's, its end bit the last one's.
func fragments(indicator []byte, header byte, data []byte) [][]byte {
	var all [][]byte
	start, end := header&0x80, header&0x40
	for first := true; len(data) > 0; first = false {
		n := min(len(data), cutPayload)
		h := header &^ 0xc0
		if first {
			h |= start
		}
		if n == len(data) {
			h |= end
		}
		p := append(append(make([]byte, 0, len(indicator)+1+n), indicator...), h)
		all = append(all, append(p, data[:n]...))
		data = data[n:]
	}
	return all
}

// apart returns the units of an aggregation, each after its 16-bit size, as payloads of their own.
func apart(b []byte, header int, cut func([]byte) [][]byte) [][]byte {
	var all [][]byte
	for len(b) > 2 {
		n := int(b[0])<<8 | int(b[1])
		if b = b[2:]; n <= header || n > len(b) {
			return nil
		}
		if n > cutPayload {
			all = append(all, cut(b[:n])...)
		} else {
			all = append(all, b[:n])
		}
		b = b[n:]
	}
	return all
}
