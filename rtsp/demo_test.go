package rtsp

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"peergate/conf"
	"peergate/media"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/pion/rtp"
)

// The clip, as its recipe makes it.
const (
	clipSeconds  = 16
	clipPictures = 30 * clipSeconds
	clipFrames   = 48000 * clipSeconds / samplesPerFrame
)

func TestClipIsWhole(t *testing.T) {
	c, err := loadClip()
	if err != nil {
		t.Fatal(err)
	}
	if c.length != clipSeconds*time.Second || len(c.units) != clipPictures+clipFrames {
		t.Errorf("clip has %d units in %v, want %d in 16s", len(c.units), c.length, clipPictures+clipFrames)
	}
	if len(clipFile) > 400<<10 {
		t.Errorf("clip has %d bytes, want at most 400 KiB", len(clipFile))
	}
	if len(c.tracks) != 2 || c.tracks[0].Codec() != "H264" || c.tracks[1].Codec() != "MPEG4-GENERIC" {
		t.Fatalf("tracks = %+v, want H.264 and AAC", c.tracks)
	}
	v, ok := c.tracks[0].Format().(*format.H264)
	if !ok || len(v.SPS) == 0 || v.PacketizationMode != 1 {
		t.Errorf("video section %q is not understood", c.tracks[0].Lines)
	}
	a, ok := c.tracks[1].Format().(*format.MPEG4Audio)
	if !ok || a.Config.SampleRate != 48000 || a.Config.ChannelCount != 1 {
		t.Errorf("audio section %q is not understood", c.tracks[1].Lines)
	}
}

// watched is what a decoder made of a stream.
type watched struct {
	pictures [][][]byte // NAL units
	frames   [][]byte   // AAC
	stamps   [2][]uint32
	arrived  [2][]time.Time
	reports  [2]int
}

// watch decodes a stream until it ends.
func watch(t *testing.T, sub *media.Subscription, tracks []media.Track) *watched {
	t.Helper()
	video, err := tracks[0].Format().(*format.H264).CreateDecoder()
	if err != nil {
		t.Fatal(err)
	}
	audio, err := tracks[1].Format().(*format.MPEG4Audio).CreateDecoder()
	if err != nil {
		t.Fatal(err)
	}
	w := new(watched)
	var next [2]uint16
	for {
		pkts, err := sub.Next(t.Context())
		if err == io.EOF {
			return w
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pkts {
			if p.Report {
				w.reports[p.Track]++
				continue
			}
			if n := len(w.stamps[p.Track]); n > 0 && p.Sequence() != next[p.Track] {
				t.Fatalf("track %d: sequence %d, want %d", p.Track, p.Sequence(), next[p.Track])
			}
			next[p.Track] = p.Sequence() + 1
			var pkt rtp.Packet
			if err := pkt.Unmarshal(p.Data); err != nil {
				t.Fatal(err)
			}
			if len(pkt.Payload) > clipPayload {
				t.Fatalf("payload has %d bytes, want at most %d", len(pkt.Payload), clipPayload)
			}
			if p.Track == 1 {
				aus, err := audio.Decode(&pkt)
				if err != nil {
					t.Fatal(err)
				}
				w.frames = append(w.frames, aus...)
			} else if au, err := video.Decode(&pkt); err == nil {
				w.pictures = append(w.pictures, au)
			} else if !errors.Is(err, rtph264.ErrMorePacketsNeeded) {
				t.Fatal(err)
			} else {
				continue
			}
			w.stamps[p.Track] = append(w.stamps[p.Track], pkt.Timestamp)
			w.arrived[p.Track] = append(w.arrived[p.Track], p.Arrived)
		}
	}
}

// TestDemo plays the clip for two and a half rounds and looks at every picture and frame, over the seam too.
func TestDemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := media.NewHub(slog.New(slog.DiscardHandler))
		s := NewSources(map[string]conf.Stream{"demo": {Source: conf.Sources{conf.SourceDemo}, OnDemand: true, IdleAfter: time.Second}},
			Means{Listen: ":8554"}, hub, slog.New(slog.DiscardHandler))
		hub.Use(s)
		stop := runSources(t, s)
		st, err := hub.Open(t.Context(), "demo")
		if err != nil {
			t.Fatal(err)
		}
		sub := st.Subscribe(media.SubscribeOptions{Queue: 1 << 20, FromKey: true})
		time.Sleep(40*time.Second - time.Millisecond)
		stop()
		w := watch(t, sub, st.Tracks())
		if got, want := len(w.pictures), 40*30; got != want {
			t.Errorf("%d pictures in 40 s, want %d", got, want)
		}
		if got, want := len(w.frames), 40*48000/samplesPerFrame; got != want {
			t.Errorf("%d audio frames in 40 s, want %d", got, want)
		}
		for track, step := range []struct{ ticks, rate uint32 }{{3000, 90000}, {samplesPerFrame, 48000}} {
			for i, ts := range w.stamps[track] {
				at := w.arrived[track][i].Sub(w.arrived[track][0])
				if want := w.stamps[track][0] + uint32(i)*step.ticks; ts != want {
					t.Fatalf("track %d: timestamp %d of unit %d, want %d", track, ts, i, want)
				}
				due := time.Duration(float64(i) * float64(step.ticks) / float64(step.rate) * float64(time.Second))
				if math.Abs(float64(at-due)) > float64(time.Millisecond) {
					t.Fatalf("track %d: unit %d came after %v, want %v", track, i, at, due)
				}
			}
			if w.reports[track] < 3 {
				t.Errorf("track %d: %d sender reports, want one each 5 s", track, w.reports[track])
			}
		}
		for i, au := range w.pictures {
			if key := h264.IsRandomAccess(au); key != (i%30 == 0) {
				t.Errorf("picture %d: key = %v, want one each second", i, key)
			}
			if i >= clipPictures && !bytes.Equal(au[len(au)-1], w.pictures[i-clipPictures][len(w.pictures[i-clipPictures])-1]) {
				t.Fatalf("picture %d is not that of the round before", i)
			}
		}
		if au := w.pictures[clipPictures]; len(au) < 3 || au[0][0]&0x1f != 7 || au[1][0]&0x1f != 8 {
			t.Error("no parameter sets before the picture after the seam")
		}
	})
}

// TestDemoAfterSleep takes the clip up where the clock is, without a burst, when the machine has slept.
func TestDemoAfterSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := loadClip()
		if err != nil {
			t.Fatal(err)
		}
		tracks := []media.Track{c.tracks[0].Track, c.tracks[1].Track}
		pub, err := media.NewHub(slog.New(slog.DiscardHandler)).Publish("a", tracks, media.Origin{})
		if err != nil {
			t.Fatal(err)
		}
		sub := pub.Stream().Subscribe(media.SubscribeOptions{Queue: 1 << 16})
		p := &projector{clip: c, pub: pub, start: time.Now().Add(-100500 * time.Millisecond)}
		begun := time.Now()
		if err := p.round(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(begun); got < clipSeconds*time.Second-2*time.Second {
			t.Errorf("the round took %v, want about 16s", got)
		}
		pub.Close()
		w := watch(t, sub, tracks)
		if got, want := w.stamps[0][0], uint32(100*90000); got != want {
			t.Errorf("first timestamp = %d, want %d", got, want)
		}
	})
}
