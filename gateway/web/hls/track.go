package hls

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/bluenviron/gohlslib/v2"
	"github.com/bluenviron/gohlslib/v2/pkg/codecs"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtp"

	"peergate/gateway/web/nal"
	"peergate/media"
)

// oddTrack is a track that HLS cannot carry. It is media.ErrUnsupported.
type oddTrack struct{ kind, codec string }

func (o *oddTrack) Error() string {
	return fmt.Sprintf("HLS cannot carry the %s in %s: it carries H.264, H.265, AV1, AAC and Opus", o.kind, o.codec)
}

func (o *oddTrack) Unwrap() error { return media.ErrUnsupported }

// decoder takes packets apart: it returns the frames that a packet completes.
type decoder func(*rtp.Packet) ([][]byte, error)

// writer hands frames to the muxer.
type writer func(m *gohlslib.Muxer, wall time.Time, pts int64, frames [][]byte) error

// track is a track of a stream on its way into a muxer.
type track struct {
	index  int // in the stream
	lib    *gohlslib.Track
	decode decoder
	write  writer
	line   timeline
}

// video reports whether the track is pictures.
func (t *track) video() bool { return t.lib.Codec.IsVideo() }

// plan returns the first video and the first audio track, ready to be muxed, or the one of them that HLS cannot carry.
// Other tracks are left out.
func plan(tracks []media.Track) ([]*track, *oddTrack) {
	var all []*track
	for _, kind := range []string{"video", "audio"} {
		for i := range tracks {
			if tracks[i].Kind != kind {
				continue
			}
			t, err := newTrack(&tracks[i])
			if err != nil {
				return nil, &oddTrack{kind, cmp.Or(tracks[i].Codec(), "an unknown encoding")}
			}
			t.index = i
			all = append(all, t)
			break
		}
	}
	if len(all) == 0 {
		return nil, &oddTrack{"stream", "which has neither video nor audio"}
	}
	return all, nil
}

var errOdd = errors.New("not a codec of HLS")

// newTrack returns how to read a track and how to write it.
func newTrack(mt *media.Track) (*track, error) {
	t := new(track)
	var codec codecs.Codec
	var err error
	switch f := mt.Format().(type) {
	case *format.H264:
		codec = &codecs.H264{SPS: f.SPS, PPS: f.PPS}
		t.decode, err = decoding(f.CreateDecoder())
		sets := nal.H264(f.SPS, f.PPS)
		t.write = func(m *gohlslib.Muxer, wall time.Time, pts int64, au [][]byte) error {
			return m.WriteH264(t.lib, wall, pts, sets.Complete(au))
		}
	case *format.H265:
		codec = &codecs.H265{VPS: f.VPS, SPS: f.SPS, PPS: f.PPS}
		t.decode, err = decoding(f.CreateDecoder())
		sets := nal.H265(f.VPS, f.SPS, f.PPS)
		t.write = func(m *gohlslib.Muxer, wall time.Time, pts int64, au [][]byte) error {
			return m.WriteH265(t.lib, wall, pts, sets.Complete(au))
		}
	case *format.AV1:
		codec = &codecs.AV1{}
		t.decode, err = decoding(f.CreateDecoder())
		t.write = func(m *gohlslib.Muxer, wall time.Time, pts int64, tu [][]byte) error {
			return m.WriteAV1(t.lib, wall, pts, tu)
		}
	case *format.MPEG4Audio:
		if f.Config == nil {
			return nil, errOdd
		}
		codec = &codecs.MPEG4Audio{Config: *f.Config}
		t.decode, err = decoding(f.CreateDecoder())
		t.write = func(m *gohlslib.Muxer, wall time.Time, pts int64, aus [][]byte) error {
			return m.WriteMPEG4Audio(t.lib, wall, pts, aus)
		}
	case *format.Opus:
		codec = &codecs.Opus{ChannelCount: f.ChannelCount}
		t.decode, err = decodingOne(f.CreateDecoder())
		t.write = func(m *gohlslib.Muxer, wall time.Time, pts int64, ps [][]byte) error {
			return m.WriteOpus(t.lib, wall, pts, ps)
		}
	default:
		return nil, errOdd
	}
	if err != nil || mt.ClockRate() == 0 {
		return nil, errOdd
	}
	t.lib = &gohlslib.Track{Codec: codec, ClockRate: mt.ClockRate()}
	t.line.rate = mt.ClockRate()
	return t, nil
}

// decoding adapts a decoder of several frames.
func decoding[D interface {
	Decode(*rtp.Packet) ([][]byte, error)
}](d D, err error) (decoder, error) {
	return d.Decode, err
}

// decodingOne adapts a decoder of one frame.
func decodingOne[D interface {
	Decode(*rtp.Packet) ([]byte, error)
}](d D, err error) (decoder, error) {
	return func(p *rtp.Packet) ([][]byte, error) {
		f, err := d.Decode(p)
		if err != nil {
			return nil, err
		}
		return [][]byte{f}, nil
	}, err
}
