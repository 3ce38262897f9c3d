package webrtc

import (
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph265"
	"github.com/pion/rtp"

	"peergate/gateway/web/nal"
	"peergate/media"
)

// maxPayload is the size in bytes of a packet's payload that passes everywhere: browsers send no larger ones.
const maxPayload = 1180

// cutter makes the packets of a track's pictures anew, each key picture with its parameter sets.
type cutter struct {
	decode func(*rtp.Packet) ([][]byte, error)
	encode func([][]byte) ([]*rtp.Packet, error)
	sets   *nal.Sets
}

// newCutter returns that of a track, or nil when its packets pass as they are.
func newCutter(t *media.Track) (*cutter, error) {
	switch f := t.Format().(type) {
	case *format.H264:
		d, err := f.CreateDecoder()
		if err != nil {
			return nil, err
		}
		e := &rtph264.Encoder{PayloadMaxSize: maxPayload, PacketizationMode: 1}
		return &cutter{decode: d.Decode, encode: e.Encode, sets: nal.H264(f.SPS, f.PPS)}, e.Init()
	case *format.H265:
		d, err := f.CreateDecoder()
		if err != nil {
			return nil, err
		}
		e := &rtph265.Encoder{PayloadMaxSize: maxPayload}
		return &cutter{decode: d.Decode, encode: e.Encode, sets: nal.H265(f.VPS, f.SPS, f.PPS)}, e.Init()
	}
	return nil, nil
}

// cut returns the packets of the picture that a packet completes.
func (c *cutter) cut(p *rtp.Packet) []*rtp.Packet {
	units, err := c.decode(p)
	if err != nil {
		return nil // more packets are needed, or some are lost
	}
	if units = c.sets.Complete(units); len(units) == 0 {
		return nil
	}
	packets, err := c.encode(units)
	if err != nil {
		return nil
	}
	for _, q := range packets {
		q.Timestamp = p.Timestamp
	}
	return packets
}
