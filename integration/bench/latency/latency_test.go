//go:build integration

// Package latency measures how old pictures are when a player shows them: from the camera's glass to the screen's.
package latency

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"peergate/integration/lab"

	"github.com/chromedp/chromedp"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

const (
	width, height = 640, 360
	frameRate     = 30
	bits          = 16           // of the number in a picture: bars, white is 1
	bar           = width / bits // pixels
	settle        = 3 * frameRate
	counted       = 8 * frameRate // pictures
)

// scene is what a camera looks at: pictures with their numbers.
type scene struct {
	mu   sync.Mutex  // guards the field below
	seen []time.Time // when the camera had each picture before it
}

// film has an encoder publish the scene until the benchmark ends.
func film(b *testing.B, url string) *scene {
	b.Helper()
	s := &scene{}
	cmd := exec.CommandContext(b.Context(), "ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", fmt.Sprintf("%dx%d", width, height),
		"-r", fmt.Sprint(frameRate), "-i", "-", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", fmt.Sprint(frameRate), "-threads", "1",
		"-f", "rtsp", "-rtsp_transport", "tcp", url)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.run(b.Context(), in)
	}()
	b.Cleanup(func() {
		<-done
		_ = cmd.Wait() // it was killed
	})
	return s
}

func (s *scene) run(ctx context.Context, to io.Writer) {
	picture := bytes.Repeat([]byte{128}, width*height*3/2)
	tick := time.NewTicker(time.Second / frameRate)
	defer tick.Stop()
	for n := 0; ; n++ {
		for x := range width {
			picture[x] = byte(n >> (x / bar) & 1 * 255)
		}
		for y := range 40 {
			copy(picture[y*width:], picture[:width])
		}
		s.mu.Lock()
		s.seen = append(s.seen, time.Now())
		s.mu.Unlock()
		if _, err := to.Write(picture); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// number reads a line of a picture of one byte a pixel.
func number(line []byte) (n int) {
	for i := range bits {
		if line[i*bar+bar/2] > 128 {
			n |= 1 << i
		}
	}
	return n
}

// shown is a picture on a screen.
type shown struct {
	number int
	at     time.Time
}

// report gives the ages of pictures, without the first.
func (s *scene) report(b *testing.B, all []shown) {
	b.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var ages []float64
	for _, p := range all[min(settle, len(all)):] {
		if p.number >= len(s.seen) {
			b.Fatalf("picture %d was shown, of %d", p.number, len(s.seen))
		}
		ages = append(ages, float64(p.at.Sub(s.seen[p.number]).Microseconds())/1000)
	}
	if len(ages) < counted {
		b.Fatalf("%d pictures, want %d", len(ages), counted)
	}
	slices.Sort(ages)
	b.ReportMetric(ages[len(ages)/2], "p50-ms")
	b.ReportMetric(ages[len(ages)*95/100], "p95-ms")
	b.ReportMetric(0, "ns/op")
}

// decode has ffmpeg decode without delay of its own, and notes when pictures come out.
func decode(b *testing.B, in io.Reader, input ...string) (all []shown) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	args := append([]string{"-v", "error", "-fflags", "nobuffer", "-flags", "low_delay", "-threads", "1"}, input...)
	cmd := exec.CommandContext(ctx, "ffmpeg", append(args, "-an", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-")...)
	cmd.Stdin, cmd.WaitDelay = in, time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	picture := make([]byte, width*height)
	for len(all) < settle+counted {
		if _, err := io.ReadFull(out, picture); err != nil {
			b.Fatalf("after %d pictures: %v", len(all), err)
		}
		all = append(all, shown{number(picture[20*width:]), time.Now()})
	}
	cancel()
	_ = cmd.Wait() // it was killed
	return all
}

func rtsp(transport string, at func(a, b *lab.Gateway) string) func(*testing.B, *lab.Gateway, *lab.Gateway) []shown {
	return func(b *testing.B, from, to *lab.Gateway) []shown {
		return decode(b, nil, "-probesize", "32", "-analyzeduration", "0", "-rtsp_transport", transport, "-i", at(from, to))
	}
}

// parts reads a stream as a player of Low-Latency HLS does, which asks for each part before it is there.
func parts(b *testing.B, g *lab.Gateway, to io.Writer) {
	fetch := func(file string) []byte {
		for b.Context().Err() == nil {
			res, err := http.Get(g.HLSURL("live", file))
			if err != nil {
				continue
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err == nil && res.StatusCode == http.StatusOK {
				return body
			}
		}
		return nil
	}
	announced := regexp.MustCompile(`PRELOAD-HINT:TYPE=PART,URI="([^"]+)"`)
	initial := regexp.MustCompile(`EXT-X-MAP:URI="([^"]+)"`)
	for begun := false; ; begun = true {
		list := fetch("video.m3u8")
		next, first := announced.FindSubmatch(list), initial.FindSubmatch(list)
		if next == nil || first == nil {
			return // the benchmark is over
		}
		if !begun {
			if _, err := to.Write(fetch(string(first[1]))); err != nil {
				return
			}
		}
		if _, err := to.Write(fetch(string(next[1]))); err != nil {
			return
		}
	}
}

func lowLatency(b *testing.B, g, _ *lab.Gateway) []shown {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		parts(b, g, w)
	}()
	defer func() {
		r.Close()
		<-done
	}()
	return decode(b, r, "-probesize", "5000", "-f", "mp4", "-i", "-")
}

// look has a page note the number of each picture that its video element shows, and when.
const look = `(() => {
	window.shown = []
	const v = document.querySelector('video'), c = document.createElement('canvas')
	c.width = %[1]d; c.height = 1
	const x = c.getContext('2d', { willReadFrequently: true })
	const each = () => {
		x.drawImage(v, 0, 20, %[1]d, 1, 0, 0, %[1]d, 1)
		const d = x.getImageData(0, 0, %[1]d, 1).data
		let n = 0
		for (let i = 0; i < %[2]d; i++) if (d[4 * (i * %[3]d + %[3]d / 2)] > 128) n |= 1 << i
		shown.push([n, performance.timeOrigin + performance.now()])
		v.requestVideoFrameCallback(each)
	}
	v.requestVideoFrameCallback(each)
	return true
})()`

func page(query string) func(*testing.B, *lab.Gateway, *lab.Gateway) []shown {
	return func(b *testing.B, g, _ *lab.Gateway) (all []shown) {
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("autoplay-policy", "no-user-gesture-required"))
		ctx, cancel := chromedp.NewExecAllocator(b.Context(), options...)
		defer cancel()
		ctx, cancel = chromedp.NewContext(ctx)
		defer cancel()
		if _, err := chromedp.Run(ctx, chromedp.Navigate(g.WebURL("live"+query))); err != nil {
			b.Fatal(err)
		}
		if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf(look, width, bits, bar))); err != nil {
			b.Fatal(err)
		}
		var list [][2]float64
		lab.Eventually(b, time.Minute, "the page shows pictures", func() bool {
			var err error
			if list, err = chromedp.Run(ctx, chromedp.Evaluate[[][2]float64]("shown")); err != nil {
				b.Fatal(err)
			}
			return len(list) >= settle+counted
		})
		for _, l := range list {
			all = append(all, shown{int(l[0]), time.UnixMicro(int64(l[1] * 1000))})
		}
		return all
	}
}

// BenchmarkGlassToGlass publishes pictures with numbers at one gateway and reads the numbers off the screens of players.
func BenchmarkGlassToGlass(b *testing.B) {
	for _, c := range []struct {
		name string
		play func(b *testing.B, from, to *lab.Gateway) []shown
	}{
		{"rtsp-udp", rtsp("udp", func(a, _ *lab.Gateway) string { return a.URL("live") })},
		{"rtsp-tcp", rtsp("tcp", func(a, _ *lab.Gateway) string { return a.URL("live") })},
		{"rtsp-overlay", rtsp("udp", func(_, b *lab.Gateway) string { return b.URL("a/live") })},
		{"whep-chromium", page("")},
		{"ll-hls-part", lowLatency},
		{"hls-chromium", page("?hls")},
	} {
		b.Run(c.name, func(b *testing.B) {
			from, to := lab.NewGateway(b, "a"), lab.NewGateway(b, "b")
			from.Knows(to)
			to.Knows(from)
			from.Start()
			to.Start()
			s := film(b, from.URL("live"))
			from.WaitStream("live")
			s.report(b, c.play(b, from, to))
		})
	}
}
