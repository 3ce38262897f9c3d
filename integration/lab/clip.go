//go:build integration

package lab

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const (
	// clipSeconds is how long a clip is: longer than any test decodes, so that a picture says where in the clip it is.
	clipSeconds = 60
	// FrameRate is the clips' pictures a second.
	FrameRate = 25
	// Width and Height are the clips' size in pixels.
	Width, Height = 320, 240
	// FrameSize is the size of a decoded picture in bytes (4:2:0).
	FrameSize = Width * Height * 3 / 2
)

// Clip is a short film made once, and the MD5 sums of its decoded pictures.
type Clip struct {
	Path   string
	Frames []string
	place  map[string]int
}

// source are ffmpeg's arguments for moving pictures and a tone.
var source = []string{
	"-v", "error", "-nostdin", "-y",
	"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%dx%d:rate=%d:duration=%d", Width, Height, FrameRate, clipSeconds),
	"-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=440:beep_factor=4:sample_rate=48000:duration=%d", clipSeconds),
	"-pix_fmt", "yuv420p",
}

// H264 returns a clip of H.264 baseline at 1 Mbit/s with a key frame each second, and AAC.
func H264(t testing.TB) *Clip {
	t.Helper()
	c, err := h264()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var h264 = sync.OnceValues(func() (*Clip, error) {
	return makeClip("h264.mp4", "-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast", "-b:v", "1M", "-maxrate", "1M",
		"-bufsize", "500k", "-g", fmt.Sprint(FrameRate), "-sc_threshold", "0", "-c:a", "aac", "-b:a", "64k", "-ac", "2")
})

// H265 returns a clip of H.265 and Opus.
func H265(t testing.TB) *Clip {
	t.Helper()
	c, err := h265()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var h265 = sync.OnceValues(func() (*Clip, error) {
	return makeClip("h265.mkv", "-c:v", "libx265", "-preset", "ultrafast", "-b:v", "500k", "-g", fmt.Sprint(FrameRate),
		"-x265-params", "log-level=error:bframes=0:scenecut=0:open-gop=0", "-c:a", "libopus", "-b:a", "48k", "-ac", "2")
})

func makeClip(name string, codecs ...string) (*Clip, error) {
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	c := &Clip{Path: filepath.Join(dir, name), place: make(map[string]int)}
	args := append(append(append([]string{}, source...), codecs...), c.Path)
	if out, err := exec.Command("ffmpeg", args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make the clip %s: %w\n%s", name, err, out)
	}
	out, err := exec.Command("ffmpeg", "-v", "error", "-i", c.Path, "-map", "0:v", "-f", "framemd5", "-").Output()
	if err != nil {
		return nil, fmt.Errorf("hash the clip %s: %w", name, err)
	}
	c.Frames = FrameMD5(out)
	for i, h := range c.Frames {
		c.place[h] = i
	}
	if len(c.place) != len(c.Frames) || len(c.Frames) != clipSeconds*FrameRate {
		return nil, fmt.Errorf("clip %s has %d pictures, %d of them different, want %d",
			name, len(c.Frames), len(c.place), clipSeconds*FrameRate)
	}
	return c, nil
}

// FrameMD5 returns the sums of the first stream in what ffmpeg's framemd5 writes; fields of side data may follow them.
func FrameMD5(out []byte) []string {
	var sums []string
	for line := range strings.Lines(string(out)) {
		f := strings.Split(line, ",")
		if len(f) >= 6 && strings.TrimSpace(f[0]) == "0" {
			sums = append(sums, strings.TrimSpace(f[5]))
		}
	}
	return sums
}

// Verify fails the test unless the decoded pictures are at least so many and one run of the clip, played in a loop,
// without one missing, changed or twice.
func (c *Clip) Verify(t testing.TB, who string, sums []string, atLeast int) {
	t.Helper()
	if len(sums) < atLeast {
		t.Errorf("%s: decoded %d pictures, want %d", who, len(sums), atLeast)
	}
	last := -1
	for i, h := range sums {
		at, ok := c.place[h]
		switch {
		case !ok:
			t.Errorf("%s: picture %d of %d is none of the clip's", who, i, len(sums))
			return
		case last >= 0 && at != (last+1)%len(c.Frames):
			t.Errorf("%s: picture %d of %d is the clip's %d, after its %d", who, i, len(sums), at, last)
			return
		}
		last = at
	}
}

// Mostly fails the test unless there are at least so many pictures, all but a share of which are the clip's. It is for players
// to whom something may have been lost on the way: each loss spoils the pictures up to the next key frame.
func (c *Clip) Mostly(t testing.TB, who string, sums []string, atLeast int, share float64) {
	t.Helper()
	good := 0
	for _, h := range sums {
		if c.Has(h) {
			good++
		}
	}
	if len(sums) < atLeast || float64(good) < share*float64(atLeast) {
		t.Errorf("%s: decoded %d pictures, %d of them the clip's, want %d and %.0f %% of them", who, len(sums), good, atLeast, 100*share)
	}
}

// Has reports whether a picture is the clip's.
func (c *Clip) Has(sum string) bool {
	_, ok := c.place[sum]
	return ok
}

// Settled returns the pictures from the first one that is the clip's: a decoder that began between key frames shows grey before.
func (c *Clip) Settled(sums []string) []string {
	for i, h := range sums {
		if c.Has(h) {
			return sums[i:]
		}
	}
	return nil
}

// Overlap returns how many pictures two runs of the clip have in common, one run of both.
func (c *Clip) Overlap(a, b []string) int {
	in := make(map[string]bool, len(a))
	for _, h := range a {
		in[h] = true
	}
	n := 0
	for _, h := range b {
		if in[h] {
			n++
		}
	}
	return n
}
