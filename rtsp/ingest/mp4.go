package ingest

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/pmp4"
)

// mp4Reader reads the samples of an MP4 file in the order of their decoding.
type mp4Reader struct {
	all   []*track
	lanes []*lane
}

// lane is a track of the file and how far it has been read.
type lane struct {
	samples []*pmp4.Sample
	scale   int64 // units of time a second
	at      int64 // when the next sample is decoded
	split   func([]byte) ([][]byte, error)
}

// openMP4 reads the tables of a file. The error says what cannot be read.
func openMP4(f io.ReadSeeker) (*mp4Reader, error) {
	var p pmp4.Presentation
	if err := p.Unmarshal(f); err != nil {
		return nil, err
	}
	r := new(mp4Reader)
	for _, video := range []bool{true, false} {
		for _, t := range p.Tracks {
			if t.Codec == nil || t.Codec.IsVideo() != video || t.TimeScale == 0 || len(t.Samples) == 0 {
				continue
			}
			tr, split, err := mp4Track(t.Codec)
			if err != nil {
				return nil, err
			}
			r.all = append(r.all, tr)
			r.lanes = append(r.lanes, &lane{samples: t.Samples, scale: int64(t.TimeScale), at: int64(t.TimeOffset), split: split})
		}
	}
	if len(r.all) == 0 {
		return nil, errors.New("has neither pictures nor sound")
	}
	return r, nil
}

// mp4Track returns a track of a codec, and how its samples are cut.
func mp4Track(codec mp4.Codec) (*track, func([]byte) ([][]byte, error), error) {
	whole := func(b []byte) ([][]byte, error) { return [][]byte{b}, nil }
	units := func(b []byte) ([][]byte, error) {
		var au h264.AVCC
		err := au.Unmarshal(b)
		return au, err
	}
	var t *track
	var err error
	split := whole
	switch c := codec.(type) {
	case *mp4.CodecH264:
		split = units
		t, err = newH264(c.SPS, c.PPS)
	case *mp4.CodecH265:
		split = units
		t, err = newH265(c.VPS, c.SPS, c.PPS)
	case *mp4.CodecMPEG4Video:
		t, err = newMPEG4Video(c.Config)
	case *mp4.CodecMPEG1Video:
		t, err = newMPEGVideo()
	case *mp4.CodecMPEG4Audio:
		t, err = newAAC(c.Config)
	case *mp4.CodecOpus:
		t, err = newOpus(c.ChannelCount)
	case *mp4.CodecMPEG1Audio:
		t, err = newMPEGAudio()
	case *mp4.CodecAC3:
		t, err = newAC3(c.SampleRate, c.ChannelCount)
	default:
		err = fmt.Errorf("its codec %T is not read from files", codec)
	}
	return t, split, err
}

func (r *mp4Reader) tracks() []*track { return r.all }

// next returns the sample that is decoded first of those left. A sample that cannot be cut is left out.
func (r *mp4Reader) next() (unit, error) {
	for {
		i := r.first()
		if i < 0 {
			return unit{}, io.EOF
		}
		l := r.lanes[i]
		s := l.samples[0]
		l.samples = l.samples[1:]
		u := unit{track: i, dts: l.time(l.at), pts: l.time(l.at + int64(s.PTSOffset))}
		l.at += int64(s.Duration)
		if s.PayloadSize > maxUnit {
			return unit{}, fmt.Errorf("a sample has %d bytes, at most %d are read", s.PayloadSize, maxUnit)
		}
		b, err := s.GetPayload()
		if err != nil {
			return unit{}, err
		}
		if u.data, err = l.split(b); err == nil {
			return u, nil
		}
	}
}

// first returns the lane whose next sample is decoded first, or -1 when none has one.
func (r *mp4Reader) first() int {
	found := -1
	for i, l := range r.lanes {
		if len(l.samples) > 0 && (found < 0 || l.time(l.at) < r.lanes[found].time(r.lanes[found].at)) {
			found = i
		}
	}
	return found
}

func (l *lane) time(n int64) time.Duration {
	return time.Duration(n/l.scale)*time.Second + time.Duration(n%l.scale)*time.Second/time.Duration(l.scale)
}
