//go:build integration

package integration

import (
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"peergate/integration/lab"
)

// TestDemo runs the demonstration as on a machine that has nothing but the binary: three URLs, each of which plays, status
// lines, and a clean end.
func TestDemo(t *testing.T) {
	t.Parallel()
	demo := lab.SpawnEnv(t, []string{"PATH=/nonexistent", "HOME=" + t.TempDir()}, lab.Binary(t), "demo")
	url := regexp.MustCompile(`rtsp://[^\s"]+`)
	var urls []string
	lab.Eventually(t, lab.Patience, "three URLs", func() bool {
		urls = url.FindAllString(demo.Out.String(), -1)
		slices.Sort(urls)
		urls = slices.Compact(urls)
		return len(urls) >= 3
	})
	var watching []*lab.Watching
	for _, u := range urls[:3] {
		watching = append(watching, lab.FFmpeg("tcp").Watch(t, u, 100), lab.FFmpeg("udp").Watch(t, u, 100))
	}
	for i, w := range watching {
		if n := len(w.Pictures()); n < 100 {
			t.Errorf("%s: decoded %d pictures, want 100", urls[i/2], n)
		}
		if s := w.Err.String(); strings.Contains(s, "rror") {
			t.Errorf("%s: ffmpeg complains:\n%s", urls[i/2], s)
		}
	}
	before := demo.Out.Len()
	lab.Eventually(t, lab.Patience, "status lines", func() bool {
		return strings.Count(demo.Out.String()[before:], "\n") >= 2
	})
	demo.Signal(syscall.SIGINT)
	if err := demo.Wait(15 * time.Second); err != nil {
		t.Errorf("demo after SIGINT: %v", err)
	}
}
