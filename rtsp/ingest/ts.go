package ingest

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
)

const (
	// tsRate is the rate of the clock of a transport stream in Hz (ISO/IEC 13818-1 §2.4.3.7).
	tsRate = 90_000
	// tsWrap is where its times begin anew.
	tsWrap = 1 << 33
	// maxEarly bounds the units that are read in search for the parameter sets: some 20 s of a picture and its sound.
	maxEarly = 4096
)

// tsReader reads a transport stream: the tracks of its first program whose codecs are known.
type tsReader struct {
	filter *filter
	ts     *mpegts.Reader
	clock  mpegts.TimeDecoder
	all    []*track
	queue  []unit // that have been read
	missed []string
	// patience is how long packets may come that bring no unit, as scrambled ones do; 0: for ever.
	patience time.Duration
}

// candidate is a track of the stream, which waits for its parameter sets.
type candidate struct {
	src    *mpegts.Track
	video  bool
	make   func() (*track, error)
	sets   *parameters // nil when nothing is waited for
	known  bool        // the parameter sets are
	config []byte      // of MPEG-4 video
}

// openTS reads up to the first picture with which decoding can begin. The error is that of from, or says what is wrong.
func openTS(from io.Reader) (*tsReader, error) {
	r := &tsReader{filter: newFilter(from)}
	if err := r.search(); err != nil {
		return nil, err
	}
	r.ts.OnDecodeError(func(error) {}) // of one unit: what is missing shows in the numbers
	var cs []*candidate
	for _, t := range r.ts.Tracks() {
		if c := r.candidate(t); c != nil {
			cs = append(cs, c)
		} else {
			r.missed = append(r.missed, fmt.Sprintf("PID %d", t.PID))
		}
	}
	if len(cs) == 0 {
		return nil, errors.New("has no track of a codec that RTP can carry: let it be H.264 or H.265, and AAC, Opus, MP2, MP3 or AC-3")
	}
	slices.SortStableFunc(cs, func(a, b *candidate) int { return cmp.Compare(rank(a), rank(b)) })
	for i, c := range cs {
		r.hear(i, c)
	}
	if err := r.settle(cs); err != nil {
		return nil, err
	}
	return r, nil
}

// search reads up to the parameters of the program. The library gives up after 1 MiB, which is little at high rates, and at
// the first unit that it cannot understand.
func (r *tsReader) search() error {
	for {
		r.ts = &mpegts.Reader{R: r.filter}
		err := r.ts.Initialize()
		switch {
		case err == nil:
			r.filter.search = -1
			return nil
		case errors.Is(r.filter.failed, io.EOF):
			return errNoProgram
		case r.filter.failed != nil:
			return r.filter.failed
		}
	}
}

// rank puts pictures first.
func rank(c *candidate) int {
	if c.video {
		return 0
	}
	return 1
}

// candidate returns a track of a codec that is known, or nil.
func (r *tsReader) candidate(t *mpegts.Track) *candidate {
	c := &candidate{src: t, known: true}
	switch codec := t.Codec.(type) {
	case *mpegts.CodecH264:
		c.video, c.known = true, false
		c.sets = &parameters{sets: make([][]byte, 2), kind: h264Set, isKey: h264.IsRandomAccess}
		c.make = func() (*track, error) { return newH264(c.sets.sets[0], c.sets.sets[1]) }
	case *mpegts.CodecH265:
		c.video, c.known = true, false
		c.sets = &parameters{sets: make([][]byte, 3), kind: h265Set, isKey: h265.IsRandomAccess}
		c.make = func() (*track, error) { return newH265(c.sets.sets[0], c.sets.sets[1], c.sets.sets[2]) }
	case *mpegts.CodecMPEG1Video:
		c.video, c.make = true, newMPEGVideo
	case *mpegts.CodecMPEG4Video:
		c.video, c.known = true, false
		c.make = func() (*track, error) { return newMPEG4Video(c.config) }
	case *mpegts.CodecMPEG4Audio:
		c.make = func() (*track, error) { return newAAC(codec.Config) }
	case *mpegts.CodecOpus:
		c.make = func() (*track, error) { return newOpus(codec.ChannelCount) }
	case *mpegts.CodecMPEG1Audio:
		c.make = newMPEGAudio
	case *mpegts.CodecAC3:
		c.make = func() (*track, error) { return newAC3(codec.SampleRate, codec.ChannelCount) }
	case *mpegts.CodecKLV:
		c.make = newKLV
	default:
		return nil
	}
	return c
}

// hear queues the units of a track.
func (r *tsReader) hear(i int, c *candidate) {
	pid := c.src.PID
	push := func(pts, dts int64, data [][]byte) error {
		at := r.time(dts)
		r.queue = append(r.queue, unit{
			track: i, dts: at, pts: at + span((pts-dts+tsWrap+tsWrap/2)%tsWrap-tsWrap/2), data: data, gap: r.filter.gap(pid),
		})
		return nil
	}
	frames := func(pts int64, data [][]byte) error { return push(pts, pts, data) }
	frame := func(pts int64, data []byte) error { return push(pts, pts, [][]byte{data}) }
	switch c.src.Codec.(type) {
	case *mpegts.CodecH264:
		r.ts.OnDataH264(c.src, push)
	case *mpegts.CodecH265:
		r.ts.OnDataH265(c.src, push)
	case *mpegts.CodecMPEG1Video, *mpegts.CodecMPEG4Video:
		r.ts.OnDataMPEGxVideo(c.src, frame)
	case *mpegts.CodecMPEG4Audio:
		r.ts.OnDataMPEG4Audio(c.src, frames)
	case *mpegts.CodecOpus:
		r.ts.OnDataOpus(c.src, frames)
	case *mpegts.CodecMPEG1Audio:
		r.ts.OnDataMPEG1Audio(c.src, frames)
	case *mpegts.CodecAC3:
		r.ts.OnDataAC3(c.src, frame)
	case *mpegts.CodecKLV:
		r.ts.OnDataKLV(c.src, frame)
	}
}

// time unwraps a time of the stream.
func (r *tsReader) time(dts int64) time.Duration { return span(r.clock.Decode(dts)) }

// span converts units of the stream's clock.
func span(n int64) time.Duration {
	return time.Duration(n/tsRate)*time.Second + time.Duration(n%tsRate)*time.Second/tsRate
}

// settle reads until the parameter sets of all tracks are known; what comes before is left out, since it cannot be decoded.
// A track that stays without is left out too, unless it is the only one.
func (r *tsReader) settle(cs []*candidate) error {
	for early := 0; !settled(cs) && early < maxEarly; {
		if err := r.ts.Read(); err != nil {
			if errors.Is(err, io.EOF) {
				break
			}
			return err
		}
		early += len(r.queue)
		for i := range r.queue {
			cs[r.queue[i].track].look(&r.queue[i])
		}
		if !settled(cs) {
			r.queue = r.queue[:0]
		}
	}
	place := make([]int, len(cs))
	for i, c := range cs {
		place[i] = -1
		if !c.known {
			r.missed = append(r.missed, fmt.Sprintf("PID %d, which tells no parameter sets", c.src.PID))
			continue
		}
		t, err := c.make()
		if err != nil {
			return err
		}
		place[i] = len(r.all)
		r.all = append(r.all, t)
	}
	if len(r.all) == 0 {
		return errors.New("its pictures have no parameter sets: let the encoder repeat them with each key frame")
	}
	kept := r.queue[:0]
	for _, u := range r.queue {
		if u.track = place[u.track]; u.track >= 0 {
			kept = append(kept, u)
		}
	}
	r.queue = kept
	if slices.Contains(place, -1) { // number the units of the others anew
		n := 0
		for i, c := range cs {
			if place[i] < 0 {
				r.ts.OnDataKLV(&mpegts.Track{PID: c.src.PID, Codec: &mpegts.CodecKLV{}}, func(int64, []byte) error { return nil })
				continue
			}
			r.hear(n, c)
			n++
		}
	}
	return nil
}

func settled(cs []*candidate) bool {
	return !slices.ContainsFunc(cs, func(c *candidate) bool { return !c.known })
}

// look takes the parameters that a unit tells.
func (c *candidate) look(u *unit) {
	switch {
	case c.known:
	case c.sets != nil:
		c.known = c.sets.note(u.data) && c.sets.isKey(u.data)
	default:
		c.config = mpeg4Config(u.data[0])
		c.known = c.config != nil
	}
}

// mpeg4Config returns the headers in front of a picture of MPEG-4 video, or nil (ISO/IEC 14496-2 §6.2.1).
func mpeg4Config(b []byte) []byte {
	if len(b) < 5 || b[0] != 0 || b[1] != 0 || b[2] != 1 || b[3] != 0xb0 {
		return nil
	}
	for i := 4; i+3 < len(b); i++ {
		if b[i] == 0 && b[i+1] == 0 && b[i+2] == 1 && (b[i+3] == 0xb3 || b[i+3] == 0xb6) {
			return b[:i]
		}
	}
	return nil
}

func (r *tsReader) tracks() []*track { return r.all }

func (r *tsReader) next() (unit, error) {
	began := time.Now()
	for len(r.queue) == 0 {
		if r.patience > 0 && time.Since(began) > r.patience {
			return unit{}, fmt.Errorf("has sent neither pictures nor sound for %v", r.patience)
		}
		if err := r.ts.Read(); err != nil {
			return unit{}, err
		}
	}
	u := r.queue[0]
	r.queue = r.queue[1:]
	return u, nil
}
