package ingest

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
)

// The parameter sets of H.264 at 320x240, and an IDR and another picture that no decoder needs to understand here.
var (
	testSPS = []byte{0x67, 0x42, 0xc0, 0x0d, 0xd9, 0x01, 0x41, 0xfb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x42, 0xa4, 0x80}
	testPPS = []byte{0x68, 0xcb, 0x83, 0xcb, 0x20}
	testIDR = append([]byte{0x65, 0x88, 0x84}, make([]byte, 3000)...)
	testP   = append([]byte{0x41, 0x9a, 0x24}, make([]byte, 600)...)
)

// testTS returns a transport stream of so many pictures, 25 a second, with AAC; pictures 0, 10, 20... are key frames. Its
// clock begins at start.
func testTS(t testing.TB, pictures int, start int64) []byte {
	t.Helper()
	var b bytes.Buffer
	video := &mpegts.Track{Codec: &mpegts.CodecH264{}}
	audio := &mpegts.Track{Codec: &mpegts.CodecMPEG4Audio{Config: mpeg4audio.AudioSpecificConfig{
		Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelCount: 2,
	}}}
	w := &mpegts.Writer{W: &b, Tracks: []*mpegts.Track{audio, video}}
	if err := w.Initialize(); err != nil {
		t.Fatal(err)
	}
	for i := range pictures {
		at := (start + int64(i)*3600) % tsWrap
		au := [][]byte{testP}
		if i%10 == 0 {
			au = [][]byte{testSPS, testPPS, testIDR}
		}
		if err := w.WriteH264(video, at, at, au); err != nil {
			t.Fatal(err)
		}
		if err := w.WriteMPEG4Audio(audio, at, [][]byte{{1, 2, 3}, {4, 5, 6}}); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// readAll returns all units of a stream.
func readAll(t testing.TB, r *tsReader) []unit {
	t.Helper()
	var all []unit
	for {
		u, err := r.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, u)
	}
}

// video returns the units of pictures.
func video(all []unit) []unit {
	return slices.DeleteFunc(slices.Clone(all), func(u unit) bool { return u.track != 0 })
}

// TestTSReader reads pictures and sound over the place where the clock begins anew. Pictures come first in the tracks.
func TestTSReader(t *testing.T) {
	r, err := openTS(bytes.NewReader(testTS(t, 50, tsWrap-90_000)))
	if err != nil {
		t.Fatal(err)
	}
	ts := r.tracks()
	if len(ts) != 2 || ts[0].Codec() != "H264" || ts[1].Codec() != "MPEG4-GENERIC" || ts[1].rate != 48000 {
		t.Fatalf("tracks %+v, want H.264 and AAC", described(ts))
	}
	all := readAll(t, r)
	pictures := video(all)
	if len(pictures) != 50 || len(all) != 100 {
		t.Fatalf("%d pictures of %d units, want 50 of 100", len(pictures), len(all))
	}
	for i := range pictures[1:] {
		if d := pictures[i+1].dts - pictures[i].dts; d != 40*time.Millisecond {
			t.Errorf("picture %d comes %v after the last one, want 40 ms", i+1, d)
		}
	}
}

// TestTSBeginsWithAKeyFrame leaves out what cannot be decoded, and what is no transport stream.
func TestTSBeginsWithAKeyFrame(t *testing.T) {
	b := testTS(t, 30, 0)
	half := append([]byte("no packet"), b[len(b)/6/packetSize*packetSize+50:]...) // pictures from the 5th on
	r, err := openTS(io.MultiReader(bytes.NewReader(half), bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	u, err := r.next()
	if err != nil {
		t.Fatal(err)
	}
	if _, key := r.tracks()[u.track].prepare(u.data); !key {
		t.Error("the first unit is no key frame")
	}
}

// TestTSLoss takes packets out: the units that lack them are left out, and the next one of their track tells.
func TestTSLoss(t *testing.T) {
	b := testTS(t, 40, 0)
	n := len(b) / packetSize
	var damaged []byte
	for i := range n {
		if i == n/2+5 || i == n/2+6 { // of a key frame
			continue
		}
		damaged = append(damaged, b[i*packetSize:(i+1)*packetSize]...)
	}
	r, err := openTS(bytes.NewReader(damaged))
	if err != nil {
		t.Fatal(err)
	}
	all := readAll(t, r)
	gaps := slices.DeleteFunc(slices.Clone(all), func(u unit) bool { return !u.gap })
	if len(all) < 76 || len(all) > 79 || len(gaps) == 0 || r.filter.lost == 0 {
		t.Errorf("%d units, %d gaps, %d packets lost, want a few lost and gaps that tell", len(all), len(gaps), r.filter.lost)
	}
}

// TestTSOfNothing tells what is wrong.
func TestTSOfNothing(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty": nil, "text": bytes.Repeat([]byte("hello "), 2<<20), "zeros": make([]byte, 9<<20), "null packets": bytes.Repeat(append([]byte{0x47, 0x1f, 0xff, 0x10}, make([]byte, 184)...), 60_000),
	} {
		if _, err := openTS(bytes.NewReader(b)); !errors.Is(err, errNoProgram) {
			t.Errorf("%s: %v, want that it is no transport stream", name, err)
		}
	}
}

// TestTSUnitsAreBounded sends a unit that has no end.
func TestTSUnitsAreBounded(t *testing.T) {
	head := testTS(t, 30, 0)
	f := newFilter(&endless{head: head})
	f.search = -1
	if _, err := io.CopyN(io.Discard, f, 64<<20); err == nil {
		t.Error("64 MiB of one unit have passed")
	}
}

// endless is a stream whose last unit goes on and on.
type endless struct {
	head    []byte
	counter byte
	packets int
}

func (e *endless) Read(b []byte) (int, error) {
	if len(e.head) > 0 {
		n := copy(b, e.head)
		e.head = e.head[n:]
		return n, nil
	}
	if e.packets++; e.packets > 500_000 {
		return 0, io.EOF
	}
	e.counter++
	p := make([]byte, packetSize)
	p[0], p[1], p[2], p[3] = syncByte, 1, 0, 0x10|e.counter&0x0f
	return copy(b, p), nil
}

// TestTSCodecs reads what ffmpeg writes in each codec.
func TestTSCodecs(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Fatal("this test needs ffmpeg")
	}
	for _, c := range []struct {
		name  string
		args  []string
		codec []string
	}{
		{"h264, b-frames, aac", []string{"-c:v", "libx264", "-g", "10", "-bf", "2", "-c:a", "aac"}, []string{"H264", "MPEG4-GENERIC"}},
		{"h265, opus", []string{"-c:v", "libx265", "-x265-params", "log-level=error:keyint=10", "-c:a", "libopus"}, []string{"H265", "OPUS"}},
		{"mpeg2, mp2", []string{"-c:v", "mpeg2video", "-g", "10", "-c:a", "mp2"}, []string{"MPV", "MPA"}},
		{"mpeg4, mp3", []string{"-c:v", "mpeg4", "-g", "10", "-c:a", "libmp3lame"}, []string{"MP4V-ES", "MPA"}},
		{"ac3 alone", []string{"-vn", "-c:a", "ac3"}, []string{"AC3"}},
	} {
		args := append([]string{"-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=2", "-f", "lavfi", "-i", "sine=sample_rate=48000:duration=2", "-pix_fmt", "yuv420p", "-ac", "2"}, c.args...)
		b, err := exec.Command("ffmpeg", append(args, "-f", "mpegts", "-")...).Output()
		if err != nil {
			t.Fatalf("%s: ffmpeg: %v", c.name, err)
		}
		r, err := openTS(bytes.NewReader(b))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var codecs []string
		for _, tr := range r.tracks() {
			codecs = append(codecs, tr.Codec())
			if tr.Format() == nil {
				t.Errorf("%s: section %q is not understood", c.name, tr.Lines)
			}
		}
		if !slices.Equal(codecs, c.codec) {
			t.Errorf("%s: tracks %v, want %v", c.name, codecs, c.codec)
		}
		packets, units := 0, readAll(t, r)
		for _, u := range units {
			pkts, err := r.tracks()[u.track].packets(u.data)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			packets += len(pkts)
		}
		pictures := len(video(units))
		if c.codec[0] != "AC3" && pictures != 50 || packets < len(units) {
			t.Errorf("%s: %d pictures in %d packets of %d units, want 50", c.name, pictures, packets, len(units))
		}
	}
}

func FuzzTS(f *testing.F) {
	f.Add(testTS(f, 3, 0))
	f.Add(testTS(f, 3, 0)[:packetSize*7+3])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := openTS(bytes.NewReader(b))
		if err != nil {
			return
		}
		for {
			u, err := r.next()
			if err != nil {
				return
			}
			if _, err := r.tracks()[u.track].packets(u.data); err != nil {
				continue
			}
		}
	})
}

func FuzzUnwrap(f *testing.F) {
	f.Add([]byte{0x80, 33, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x47, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := unwrap(b); len(got) > len(b) {
			t.Errorf("%d bytes of %d", len(got), len(b))
		}
	})
}
