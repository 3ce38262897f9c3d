package ingest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"peergate/media"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtp"
)

const (
	// maxPayload is the largest RTP payload in bytes: it leaves room for IPv6, tunnels and an overlay's header.
	maxPayload = 1350
	// videoType, audioType and dataType are the payload types of formats that have no number of their own (RFC 3551 §3).
	videoType, audioType, dataType = 96, 97, 98
)

// track is a track that is cut into RTP packets.
type track struct {
	media.Track
	rate  int  // timestamps a second
	loose bool // parameter sets may change, since they come in band
	// prepare, of video, returns a unit with its parameter sets where it needs them, and whether decoding can begin there.
	prepare func(data [][]byte) (unit [][]byte, key bool)
	encode  func(data [][]byte) ([]*rtp.Packet, error)
}

// packets cuts a unit into packets whose timestamps count from its own.
func (t *track) packets(data [][]byte) ([]*rtp.Packet, error) {
	if t.prepare != nil {
		data, _ = t.prepare(data)
	}
	if len(data) == 0 {
		return nil, nil
	}
	return t.encode(data)
}

// continues reports whether players of a track can go on with t.
func (t *track) continues(o *track) bool {
	if t.loose {
		return t.Codec() == o.Codec()
	}
	return t.Kind == o.Kind && slices.Equal(t.Lines, o.Lines)
}

// described returns the media sections.
func described(tracks []*track) []media.Track {
	all := make([]media.Track, len(tracks))
	for i, t := range tracks {
		all[i] = t.Track
	}
	return all
}

// section writes the media section of a format.
func section(kind string, f format.Format) media.Track {
	pt := f.PayloadType()
	lines := []string{fmt.Sprintf("m=%s 0 RTP/AVP %d", kind, pt)}
	if m := f.RTPMap(); m != "" {
		lines = append(lines, fmt.Sprintf("a=rtpmap:%d %s", pt, m))
	}
	var params []string
	fmtp := f.FMTP()
	for _, k := range slices.Sorted(maps.Keys(fmtp)) {
		params = append(params, k+"="+fmtp[k])
	}
	if len(params) > 0 {
		lines = append(lines, fmt.Sprintf("a=fmtp:%d %s", pt, strings.Join(params, "; ")))
	}
	return media.Track{Kind: kind, Lines: lines}
}

// each packetizes the frames of a unit one by one. Their durations are in the track's timestamps.
func each(encode func([]byte) ([]*rtp.Packet, error), duration func([]byte) uint32) func([][]byte) ([]*rtp.Packet, error) {
	return func(frames [][]byte) ([]*rtp.Packet, error) {
		var all []*rtp.Packet
		ts := uint32(0)
		for _, f := range frames {
			pkts, err := encode(f)
			if err != nil {
				return nil, err
			}
			for _, p := range pkts {
				p.Timestamp += ts
			}
			all = append(all, pkts...)
			ts += duration(f)
		}
		return all, nil
	}
}

// still is the duration of what comes alone in its unit.
func still([]byte) uint32 { return 0 }

func newH264(sps, pps []byte) (*track, error) {
	f := &format.H264{PayloadTyp: videoType, SPS: sps, PPS: pps, PacketizationMode: 1}
	enc, err := f.CreateEncoder()
	if err != nil {
		return nil, err
	}
	enc.PayloadMaxSize = maxPayload
	p := &parameters{sets: [][]byte{sps, pps}, kind: h264Set, isKey: h264.IsRandomAccess}
	return &track{Track: section("video", f), rate: f.ClockRate(), loose: true, prepare: p.complete, encode: enc.Encode}, nil
}

func newH265(vps, sps, pps []byte) (*track, error) {
	f := &format.H265{PayloadTyp: videoType, VPS: vps, SPS: sps, PPS: pps}
	enc, err := f.CreateEncoder()
	if err != nil {
		return nil, err
	}
	enc.PayloadMaxSize = maxPayload
	p := &parameters{sets: [][]byte{vps, sps, pps}, kind: h265Set, isKey: h265.IsRandomAccess}
	return &track{Track: section("video", f), rate: f.ClockRate(), loose: true, prepare: p.complete, encode: enc.Encode}, nil
}

func newMPEGVideo() (*track, error) {
	f := &format.MPEG1Video{}
	enc, err := f.CreateEncoder()
	if err != nil {
		return nil, err
	}
	enc.PayloadMaxSize = maxPayload
	return &track{Track: section("video", f), rate: f.ClockRate(), encode: each(enc.Encode, still)}, nil
}

func newMPEG4Video(config []byte) (*track, error) {
	f := &format.MPEG4Video{PayloadTyp: videoType, ProfileLevelID: 1, Config: config}
	enc, err := f.CreateEncoder()
	if err != nil {
		return nil, err
	}
	enc.PayloadMaxSize = maxPayload
	return &track{Track: section("video", f), rate: f.ClockRate(), encode: each(enc.Encode, still)}, nil
}

func newAAC(c mpeg4audio.AudioSpecificConfig) (*track, error) {
	if c.SampleRate <= 0 {
		return nil, fmt.Errorf("AAC of %d Hz", c.SampleRate)
	}
	f := &format.MPEG4Audio{PayloadTyp: audioType, Config: &c, ProfileLevelID: 1, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3}
	enc, err := f.CreateEncoder()
	if err != nil {
		return nil, err
	}
	enc.PayloadMaxSize = maxPayload
	return &track{Track: section("audio", f), rate: f.ClockRate(), encode: enc.Encode}, nil
}

func newOpus(channels int) (*track, error) {
	f := &format.Opus{PayloadTyp: audioType, ChannelCount: channels}
	enc, err := f.CreateEncoder()
	if err != nil {
		return nil, err
	}
	one := func(frame []byte) ([]*rtp.Packet, error) {
		p, err := enc.Encode(frame)
		return []*rtp.Packet{p}, err
	}
	return &track{Track: section("audio", f), rate: f.ClockRate(), encode: each(one, opusDuration)}, nil
}

func newMPEGAudio() (*track, error) {
	f := &format.MPEG1Audio{}
	enc, err := f.CreateEncoder()
	if err != nil {
		return nil, err
	}
	enc.PayloadMaxSize = maxPayload
	return &track{Track: section("audio", f), rate: f.ClockRate(), encode: enc.Encode}, nil
}

func newAC3(rate, channels int) (*track, error) {
	f := &format.AC3{PayloadTyp: audioType, SampleRate: rate, ChannelCount: channels}
	enc, err := f.CreateEncoder()
	if err != nil {
		return nil, err
	}
	enc.PayloadMaxSize = maxPayload
	return &track{Track: section("audio", f), rate: f.ClockRate(), encode: enc.Encode}, nil
}

func newKLV() (*track, error) {
	f := &format.KLV{PayloadTyp: dataType}
	enc, err := f.CreateEncoder()
	if err != nil {
		return nil, err
	}
	enc.PayloadMaxSize = maxPayload
	return &track{Track: section("application", f), rate: f.ClockRate(), encode: each(enc.Encode, still)}, nil
}

// opusDurations are those of a frame in samples at 48 kHz, by the configuration number (RFC 6716 §3.1).
var opusDurations = [32]uint32{
	480, 960, 1920, 2880, 480, 960, 1920, 2880, 480, 960, 1920, 2880, 480, 960, 480, 960,
	120, 240, 480, 960, 120, 240, 480, 960, 120, 240, 480, 960, 120, 240, 480, 960,
}

// opusDuration returns the duration of an Opus packet at 48 kHz (RFC 6716 §3.1, §3.2).
func opusDuration(b []byte) uint32 {
	if len(b) == 0 {
		return 0
	}
	d := opusDurations[b[0]>>3]
	switch b[0] & 3 {
	case 0:
		return d
	case 3:
		if len(b) < 2 {
			return 0
		}
		return d * uint32(b[1]&0x3f)
	}
	return 2 * d
}
