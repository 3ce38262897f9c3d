package transcode

import (
	"encoding/binary"

	"peergate/media"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/g711"
)

// maxPayload is the largest RTP payload in bytes that is sent: samples of 8 bits become twice as large as L16, and the
// packet must still fit into an Ethernet frame.
const maxPayload = 1400

// converter turns the packets of one audio track into another encoding. Timestamps stay; sequence numbers go their own
// way once a packet had to be split.
type converter struct {
	from, to codec
	in, out  uint8  // payload types
	frame    int    // bytes of one sample of all channels, as it goes out
	begun    bool   // the field below is set
	last     uint16 // highest sequence number that came
	extra    uint16 // packets sent beyond those that came
}

// packets returns the packets that p becomes: none if its payload type is another, such as comfort noise.
func (c *converter) packets(p *media.Packet) [][]byte {
	late := c.begun && int16(p.Sequence()-c.last) <= 0
	if p.PayloadType() != c.in || late && c.extra > 0 { // its number has been given away
		return nil
	}
	payload := recode(p.Payload(), c.from, c.to)
	payload = payload[:len(payload)-len(payload)%c.frame]
	most := maxPayload - maxPayload%c.frame
	if !late {
		c.begun, c.last = true, p.Sequence()
	}
	var out [][]byte
	for done := 0; done < len(payload) || done == 0; done += most {
		seq := p.Sequence() + c.extra + uint16(len(out))
		b := make([]byte, 0, rtpHeader+min(most, len(payload)-done))
		b = append(b, 0x80, c.out)
		if p.Marker() && done == 0 { // the beginning of a talk spurt
			b[1] |= 0x80
		}
		b = binary.BigEndian.AppendUint16(b, seq)
		b = binary.BigEndian.AppendUint32(b, p.Timestamp()+uint32(done/c.frame))
		b = binary.BigEndian.AppendUint32(b, p.SSRC())
		out = append(out, append(b, payload[done:min(done+most, len(payload))]...))
	}
	c.extra += uint16(len(out) - 1)
	return out
}

// rtpHeader is the size in bytes of an RTP header (RFC 3550 §5.1).
const rtpHeader = 12

// recode converts samples. A last half of a 16-bit sample is left out.
func recode(b []byte, from, to codec) []byte {
	var linear []byte
	switch from {
	case pcma:
		var s g711.Alaw
		s.Unmarshal(b)
		linear = s
	case pcmu:
		var s g711.Mulaw
		s.Unmarshal(b)
		linear = s
	case l16:
		linear = b[:len(b)&^1]
	}
	var out []byte
	var err error
	switch to {
	case pcma:
		out, err = g711.Alaw(linear).Marshal()
	case pcmu:
		out, err = g711.Mulaw(linear).Marshal()
	case l16:
		out = linear
	}
	if err != nil {
		panic("transcode: an odd number of bytes to encode: " + err.Error())
	}
	return out
}

// report returns a sender report that states a clock (RFC 3550 §6.4.1).
func report(ssrc uint32, c media.Clock) []byte {
	b := []byte{0x80, 200, 0, 6}
	b = binary.BigEndian.AppendUint32(b, ssrc)
	b = binary.BigEndian.AppendUint64(b, media.NTP(c.Wall))
	b = binary.BigEndian.AppendUint32(b, c.RTP)
	return append(b, make([]byte, 8)...) // packets and octets: counted anew for each player
}
