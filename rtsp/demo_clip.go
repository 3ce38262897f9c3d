package rtsp

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"peergate/media"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4"
	"github.com/pion/rtp"
)

// clipFile is a fragmented MP4 file with one H.264 and one AAC track; demo/recipe.sh makes it and says what it shows.
//
//go:embed demo/clip.mp4
var clipFile []byte

const (
	// clipPayload is the largest RTP payload in bytes: it leaves room for IPv6, tunnels and an overlay's header.
	clipPayload = 1350
	// samplesPerFrame is the size of an AAC-LC frame in samples (ISO/IEC 14496-3 §4.5.2.1).
	samplesPerFrame = 1024
	// picturesPerSecond is what the recipe says.
	picturesPerSecond = 30
	// clipRate is the clock rate of video in Hz (RFC 6184 §8.1).
	clipRate = 90000
)

// clip is the embedded clip, ready to be sent.
type clip struct {
	tracks []clipTrack
	units  []unit // of all tracks, in the order of their time
	length time.Duration
}

// clipTrack is a track of the clip with the encoder of its packets, which counts their sequence numbers.
type clipTrack struct {
	media.Track
	encode func(data [][]byte) ([]*rtp.Packet, error)
}

// unit is what is decoded at once: the NAL units of a picture, or an audio frame.
type unit struct {
	track     int
	at        time.Duration // from the beginning of the clip
	timestamp uint32        // likewise, in the track's units
	data      [][]byte
}

// loadClip reads the embedded clip.
func loadClip() (*clip, error) {
	var head fmp4.Init
	if err := head.Unmarshal(bytes.NewReader(clipFile)); err != nil {
		return nil, err
	}
	var parts fmp4.Parts
	if err := parts.Unmarshal(clipFile); err != nil {
		return nil, err
	}
	c := new(clip)
	for _, t := range head.Tracks {
		var samples [][]byte
		for _, part := range parts {
			for _, pt := range part.Tracks {
				for _, s := range pt.Samples {
					if pt.ID == t.ID {
						samples = append(samples, s.Payload)
					}
				}
			}
		}
		if err := c.add(t.Codec, samples); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(c.units, func(a, b unit) int { return cmp.Compare(a.at, b.at) })
	if c.length == 0 || c.length%time.Second != 0 {
		return nil, fmt.Errorf("lasts %v, not whole seconds", c.length)
	}
	return c, nil
}

// add takes a track in. Both tracks have one unit after another at a fixed rate, so their times are reckoned and not
// read: the file's are rounded.
func (c *clip) add(codec mp4.Codec, samples [][]byte) error {
	var err error
	var step, rate uint32
	n := len(c.tracks)
	switch codec := codec.(type) {
	case *mp4.CodecH264:
		step, rate = clipRate/picturesPerSecond, clipRate
		err = c.addVideo(codec)
	case *mp4.CodecMPEG4Audio:
		step, rate = samplesPerFrame, uint32(codec.Config.SampleRate)
		err = c.addAudio(codec)
	default:
		err = fmt.Errorf("codec %T is not of the clip", codec)
	}
	if err != nil {
		return err
	}
	for i, s := range samples {
		ts := uint32(i) * step
		u := unit{track: n, at: ticks(ts, rate), timestamp: ts, data: [][]byte{s}}
		if codec, ok := codec.(*mp4.CodecH264); ok {
			if u.data, err = picture(codec, s); err != nil {
				return err
			}
		}
		c.units = append(c.units, u)
	}
	length := ticks(uint32(len(samples))*step, rate)
	if c.length != 0 && c.length != length {
		return fmt.Errorf("tracks last %v and %v", c.length, length)
	}
	c.length = length
	return nil
}

func (c *clip) addVideo(codec *mp4.CodecH264) error {
	f := &format.H264{PayloadTyp: 96, SPS: codec.SPS, PPS: codec.PPS, PacketizationMode: 1}
	enc, err := f.CreateEncoder()
	if err != nil {
		return err
	}
	enc.PayloadMaxSize = clipPayload
	c.tracks = append(c.tracks, clipTrack{formatTrack("video", f), enc.Encode})
	return nil
}

func (c *clip) addAudio(codec *mp4.CodecMPEG4Audio) error {
	f := &format.MPEG4Audio{
		PayloadTyp: 97, Config: &codec.Config, ProfileLevelID: 1, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3,
	}
	enc, err := f.CreateEncoder()
	if err != nil {
		return err
	}
	enc.PayloadMaxSize = clipPayload
	c.tracks = append(c.tracks, clipTrack{formatTrack("audio", f), enc.Encode})
	return nil
}

// picture returns the NAL units of a sample, with the parameter sets before a key picture: a player may begin there.
func picture(codec *mp4.CodecH264, sample []byte) ([][]byte, error) {
	var au h264.AVCC
	if err := au.Unmarshal(sample); err != nil {
		return nil, err
	}
	if h264.IsRandomAccess(au) {
		au = append([][]byte{codec.SPS, codec.PPS}, au...)
	}
	return au, nil
}

// ticks converts a number of 1/rate seconds.
func ticks(n, rate uint32) time.Duration {
	return time.Duration(uint64(n) * uint64(time.Second) / uint64(rate))
}

// formatTrack writes the media section of a format.
func formatTrack(kind string, f format.Format) media.Track {
	var params []string
	fmtp := f.FMTP()
	for _, k := range slices.Sorted(maps.Keys(fmtp)) {
		params = append(params, k+"="+fmtp[k])
	}
	return media.Track{Kind: kind, Lines: []string{
		fmt.Sprintf("m=%s 0 RTP/AVP %d", kind, f.PayloadType()),
		fmt.Sprintf("a=rtpmap:%d %s", f.PayloadType(), f.RTPMap()),
		fmt.Sprintf("a=fmtp:%d %s", f.PayloadType(), strings.Join(params, "; ")),
	}}
}
