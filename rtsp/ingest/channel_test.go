package ingest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"peergate/media"
)

// makeFile has ffmpeg make a film of so many seconds.
func makeFile(t *testing.T, file string, seconds float64, args ...string) {
	t.Helper()
	source := []string{
		"-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=160x120:rate=25:duration=%v", seconds),
		"-f", "lavfi", "-i", fmt.Sprintf("sine=sample_rate=48000:duration=%v", seconds), "-pix_fmt", "yuv420p", "-ac", "2",
	}
	if out, err := exec.Command("ffmpeg", append(append(source, args...), file)...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
}

// TestChannel plays a folder with films of three formats, one that is broken, one with other codecs and one that is none:
// the timestamps of pictures go on through all seams, and the log names the files that are skipped.
func TestChannel(t *testing.T) {
	dir := t.TempDir()
	codecs := []string{"-c:v", "libx264", "-g", "25", "-bf", "2", "-c:a", "aac"}
	makeFile(t, filepath.Join(dir, "1.mp4"), 0.8, codecs...)
	makeFile(t, filepath.Join(dir, "2.ts"), 0.8, codecs...)
	makeFile(t, filepath.Join(dir, "3.mkv"), 0.8, codecs...)
	makeFile(t, filepath.Join(dir, "4.mp4"), 0.4, "-c:v", "libx265", "-x265-params", "log-level=error", "-c:a", "aac")
	b, err := os.ReadFile(filepath.Join(dir, "1.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"5.mp4": b[:len(b)/2], "6.txt": []byte("a list of films"), ".7.mp4": b} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	u := &url.URL{Scheme: "file", Path: dir}
	feed, err := New(u, Options{SilentAfter: 5 * time.Second, FFmpeg: "ffmpeg", Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	hub := media.NewHub(slog.New(slog.DiscardHandler))
	subs := make(chan *media.Subscription, 1)
	done := make(chan error, 1)
	go func() {
		done <- feed(ctx, func(tracks []media.Track) (*media.Publisher, error) {
			pub, err := hub.Publish("x", tracks, media.Origin{})
			subs <- pub.Stream().Subscribe(media.SubscribeOptions{Queue: 1 << 16})
			return pub, err
		})
	}()
	sub := <-subs
	stamps := make(map[uint32]bool)
	var seqs []uint16
	for len(stamps) < 20*6 { // two rounds
		pkts, err := sub.Next(ctx)
		if err != nil {
			t.Fatalf("%v after %d pictures\n%s", err, len(stamps), log.String())
		}
		for i := range pkts {
			if p := &pkts[i]; !p.Report && p.Track == 0 {
				stamps[p.Timestamp()] = true
				seqs = append(seqs, p.Sequence())
			}
		}
	}
	cancel()
	<-done
	for i := range seqs[1:] {
		if seqs[i+1] != seqs[i]+1 {
			t.Errorf("packet %d follows %d", seqs[i+1], seqs[i])
		}
	}
	var at []uint32
	for ts := range stamps {
		at = append(at, ts)
	}
	slices.Sort(at)
	for i := range at[1:] { // the last pictures may not have come in the order of their showing
		if d := at[i+1] - at[i]; i < len(at)-5 && (d < 1800 || d > 9000) {
			t.Errorf("picture %d is shown %d/90000 s after the last one, want 1/25 s or little more", i+1, d)
		}
	}
	for _, want := range []string{"4.mp4", "5.mp4", "6.txt"} {
		if n := strings.Count(log.String(), want+"\""); n > 1 || !strings.Contains(log.String(), want) {
			t.Errorf("the log names %s %d times, want once\n%s", want, n, log.String())
		}
	}
	if strings.Contains(log.String(), ".7.mp4") {
		t.Error("a hidden file was looked at")
	}
}

// TestChannelOfNothing says what is wrong.
func TestChannelOfNothing(t *testing.T) {
	dir := t.TempDir()
	begin := func([]media.Track) (*media.Publisher, error) {
		t.Error("began")
		return nil, media.ErrEnded
	}
	try := func(path, ffmpeg, want string) {
		t.Helper()
		err := newChannel(path, Options{FFmpeg: ffmpeg, Log: slog.New(slog.DiscardHandler)}).feed(t.Context(), begin)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", path, err, want)
		}
	}
	try(filepath.Join(dir, "none.mp4"), "ffmpeg", "no such file")
	try(dir, "ffmpeg", "has no files")
	text := filepath.Join(dir, "text.mkv")
	if err := os.WriteFile(text, []byte("no film"), 0o600); err != nil {
		t.Fatal(err)
	}
	try(text, "ffmpeg", "ffmpeg: ")
	try(text, "no-such-program", "ffmpeg is missing")
	try(dir, "ffmpeg", "none of its 1 files")
}

func FuzzMP4(f *testing.F) {
	dir := f.TempDir()
	file := filepath.Join(dir, "a.mp4")
	cmd := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=32x32:duration=0.1", "-c:v", "libx264", "-pix_fmt", "yuv420p", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		f.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := openMP4(bytes.NewReader(b))
		if err != nil {
			return
		}
		for range 10_000 {
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
