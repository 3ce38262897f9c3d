//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"peergate/integration/lab"
)

// Tests in which ffmpeg or a browser makes pictures are not parallel: each wants both cores.

// renditions are profiles of the tests, as lines of gateway.yml.
const renditions = `transcode:
  idle_after: 2s
  silent_after: 10s
  profiles:
    180p: {video: {codec: h264, height: 180, bitrate: 400k, gop: 400ms}, audio: {codec: aac, bitrate: 64k}}
    120p: {video: {codec: h264, height: 120, bitrate: 200k, gop: 400ms}}
    sound: {audio: {codec: opus, bitrate: 32k}}
    mpeg: {video: {codec: h265}}
`

// probed is what ffprobe tells of a track.
type probed struct {
	Codec   string `json:"codec_name"`
	Profile string `json:"profile"`
	Height  int    `json:"height"`
}

// probe asks ffprobe for the tracks of a stream.
func probe(t *testing.T, url string) []probed {
	t.Helper()
	out := retried(t, "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name,profile,height", "-of", "json", url)
	var p struct{ Streams []probed }
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatalf("ffprobe %s: %v\n%s", url, err, out)
	}
	return p.Streams
}

// retried runs a program until it succeeds, as players do that are told to come again (503): a rendition that does not begin in
// time on a busy machine begins the next time.
func retried(t *testing.T, name string, args ...string) (out []byte) {
	t.Helper()
	lab.Eventually(t, lab.Patience, name+" "+args[len(args)-1]+" succeeds", func() bool {
		p := lab.Spawn(t, name, args...)
		if err := p.Wait(lab.Patience); err != nil {
			t.Logf("%s: %v: %s", name, err, p.Err.Bytes())
			return false
		}
		out = p.Out.Bytes()
		return true
	})
	return out
}

// rendition is what a gateway tells of one.
type rendition struct {
	Name     string
	Process  int
	Restarts int
	Frames   int
	Speed    float64
	Err      string
}

func renditionsOf(t *testing.T, g *lab.Gateway) []rendition {
	t.Helper()
	out := lab.Run(t, lab.Patience, lab.Binary(t), "status", "--json", g.File())
	var st struct{ Renditions []rendition }
	if err := json.Unmarshal(out, &st); err != nil {
		t.Fatalf("gateway status --json: %v\n%s", err, out)
	}
	return st.Renditions
}

// processOf returns the ffmpeg that makes a rendition.
func processOf(t *testing.T, g *lab.Gateway, name string) int {
	t.Helper()
	pid := 0
	lab.Eventually(t, lab.Patience, "an ffmpeg makes "+name, func() bool {
		for _, r := range renditionsOf(t, g) {
			if r.Name == name {
				pid = r.Process
			}
		}
		return pid != 0
	})
	return pid
}

// alive reports whether a process exists; one that has ended and was not waited for does not.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// children returns the processes that a gateway has started.
func children(t *testing.T, g *lab.Gateway) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(g.Process().Pid()) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			all = append(all, pid)
		}
	}
	return all
}

// TestProfiles has renditions played of a stream of the gateway itself, behind passwords, and of one that comes over
// the overlay. Codecs and heights are right, pictures come, and ffmpeg ends with the last player.
func TestProfiles(t *testing.T) {
	a, b := lab.NewGateway(t, "a"), lab.NewGateway(t, "b")
	a.More = users("see", "send") + renditions
	b.More = renditions
	a.Knows(b)
	b.Knows(a)
	a.Start()
	b.Start()
	lab.Encode(t, lab.H264(t), lab.With(a.URL("live"), "encoder", "send"))
	waitDecode(t, lab.With(a.URL("live"), "viewer", "see"))
	own := func(profile string) string { return lab.With(a.URL("live~"+profile), "viewer", "see") }
	for _, c := range []struct {
		url  string
		want []probed
	}{
		{own("180p"), []probed{{"h264", "High", 180}, {"aac", "LC", 0}}},
		{own("120p"), []probed{{"h264", "High", 120}}},
		{own("quicktime"), []probed{{"h264", "Constrained Baseline", lab.Height}, {"aac", "LC", 0}}},
		{own("sound"), []probed{{"opus", "", 0}}},
		{b.URL("a/live~180p"), []probed{{"h264", "High", 180}, {"aac", "LC", 0}}},
	} {
		got := probe(t, c.url)
		for i := range got {
			if got[i].Codec == "opus" {
				got[i].Profile = "" // has none; some versions say "unknown"
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s has %+v, want %+v", c.url, got, c.want)
		}
	}
	var watching []*lab.Watching
	for _, u := range []string{own("180p"), b.URL("a/live~180p")} {
		watching = append(watching, lab.FFmpeg("tcp").Watch(t, u, 100))
	}
	for i, w := range watching {
		sums := w.Pictures()
		slices.Sort(sums)
		if n := len(slices.Compact(sums)); n < 98 { // the clip's all differ, but small ones may not
			t.Errorf("player %d decoded %d different pictures, want 100", i, n)
		}
	}
	for _, g := range []*lab.Gateway{a, b} {
		lab.Eventually(t, lab.Patience, "no ffmpeg is left", func() bool { return len(children(t, g)) == 0 && len(renditionsOf(t, g)) == 0 })
	}
	conn := lab.Dial(t, b.HostPort())
	defer conn.Close()
	for _, name := range []string{"live~360p", "nothing~180p"} {
		if r, err := conn.Do("DESCRIBE", b.URL(name), nil, ""); err != nil || r.Status != 404 {
			t.Errorf("DESCRIBE %s = %d, %v, want 404", name, r.Status, err)
		}
	}
}

// TestRenditionsAligned proves that renditions of one stream that began at different times have their key frames at the
// same pictures, also those between the stream's own. The clip of "demo:" numbers its pictures.
func TestRenditionsAligned(t *testing.T) {
	g := lab.NewGateway(t, "a")
	g.More = "streams: {demo: {source: \"demo:\"}}\n" + renditions
	g.Start()
	first := keyPictures(t, g.URL("demo~180p"), 180)
	lab.Play(t, g.URL("demo~120p"), lab.TCP).Plays(700 * time.Millisecond)
	second := keyPictures(t, g.URL("demo~120p"), 120)
	again := keyPictures(t, g.URL("demo~180p"), 180)
	// The clip has 30 pictures a second and a key frame each 30; 400 ms are 12.
	for _, c := range []struct {
		who  string
		keys []int
	}{{"180p", first}, {"120p", second}, {"180p again", again}} {
		for _, n := range c.keys {
			if at := n % 30; at != 0 && at != 12 && at != 24 {
				t.Errorf("%s: picture %d is a key frame, want 0, 12 and 24 of each 30: %v", c.who, n, c.keys)
			}
		}
		if len(c.keys) < 8 {
			t.Errorf("%s: key frames %v, want 8", c.who, c.keys)
		}
	}
}

// keyPictures returns the numbers, in the demo's clip, of the key frames of a few seconds.
func keyPictures(t *testing.T, url string, height int) []int {
	t.Helper()
	const frames, whole = 8, 360 // key frames; the clip's height
	width := height * 16 / 9 &^ 1
	out := lab.Run(t, lab.Patience, "ffmpeg", "-v", "error", "-nostdin", "-rtsp_transport", "tcp", "-skip_frame", "nokey", "-i", url,
		"-map", "0:v", "-frames:v", strconv.Itoa(frames), "-fps_mode", "passthrough", "-vf", fmt.Sprintf("scale=%d:%d", width, height), "-pix_fmt", "gray", "-f", "rawvideo", "-")
	var all []int
	for picture := range slices.Chunk(out, width*height) {
		n := 0
		for bit := range 9 { // white squares of 28 pixels, the most significant on the left
			x, y := 24+bit*32+14, 312+14
			n *= 2
			if picture[y*height/whole*width+x*height/whole] > 150 {
				n++
			}
		}
		all = append(all, n)
	}
	return all
}

// TestRenditionRestarts kills ffmpeg and lets it hang: players of the rendition go on over their connections.
func TestRenditionRestarts(t *testing.T) {
	g := lab.NewGateway(t, "a")
	g.More = "streams: {demo: {source: \"demo:\"}}\n" + renditions
	g.Start()
	p := lab.Play(t, g.URL("demo~180p"), lab.TCP)
	p.Plays(2 * time.Second)
	pid := processOf(t, g, "demo~180p")
	killed := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	g.WaitLog(0, "rendition interrupted")
	p.Plays(500 * time.Millisecond)
	t.Logf("the player goes on and has 500 ms more %v after ffmpeg was killed", time.Since(killed))
	p.Plays(time.Second)
	p.Connected()
	t.Logf("the player had nothing for %v at most; the aim is 2 s", p.Tracks[0].Stats().Pause)
	if d := p.Tracks[0].Stats().Pause; d > longestGap {
		t.Errorf("the player had nothing for %v when ffmpeg was killed, want %v at most", d, longestGap)
	}
	hanging := processOf(t, g, "demo~180p")
	if hanging == pid {
		t.Fatalf("the killed ffmpeg %d is said to work", pid)
	}
	if err := syscall.Kill(hanging, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	g.WaitLog(0, "rendition interrupted", "hangs")
	p.Plays(2 * time.Second)
	p.Connected()
	if alive(hanging) {
		t.Errorf("the hanging ffmpeg %d was not killed", hanging)
	}
	if all := renditionsOf(t, g); len(all) != 1 || all[0].Restarts < 2 || all[0].Frames < 100 || !strings.Contains(all[0].Err, "hangs") {
		t.Errorf("status: %+v", all)
	}
}

// TestRenditionsLeaveNothing begins and ends renditions again and again; then the gateway has no child, and not more open
// files or threads than before. After kill -9 of the gateway its ffmpeg is gone too.
func TestRenditionsLeaveNothing(t *testing.T) {
	g := lab.NewGateway(t, "a")
	g.More = "streams: {demo: {source: \"demo:\", on_demand: false}}\n" + strings.Replace(renditions, "idle_after: 2s", "idle_after: 0s", 1)
	g.Start()
	var took []time.Duration // from the first request of a player to its first picture
	cycle := func() {
		t.Helper()
		asked := time.Now()
		p := lab.Play(t, g.URL("demo~120p"), lab.TCP)
		p.Plays(100 * time.Millisecond)
		took = append(took, p.Tracks[0].Stats().First.Sub(asked))
		p.Stop()
		lab.Eventually(t, lab.Patience, "the rendition ends", func() bool { return len(children(t, g)) == 0 })
	}
	cycle() // what is made once only
	files, threads, goroutines := usage(t, g)
	for range cycles(t) {
		cycle()
	}
	lab.Eventually(t, lab.Patience, "all that was opened is closed", func() bool {
		f, th, r := usage(t, g)
		return f <= files && th <= threads+spareThreads && r <= goroutines
	})
	slices.Sort(took)
	t.Logf("first picture after %v at best, %v in the middle, %v at worst", took[0], took[len(took)/2], took[len(took)-1])
	p := lab.Play(t, g.URL("demo~180p"), lab.TCP)
	p.Plays(time.Second)
	pid := processOf(t, g, "demo~180p")
	g.Kill()
	lab.Eventually(t, 2*time.Second, "ffmpeg is gone with its gateway", func() bool { return !alive(pid) })
}

// spareThreads is how many threads Go's runtime may have started in the meantime, for itself.
const spareThreads = 6

// cycles is how often a rendition is begun and ended; PEERGATE_CYCLES asks for more.
func cycles(t *testing.T) int {
	t.Helper()
	s := os.Getenv("PEERGATE_CYCLES")
	if s == "" {
		return 5
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// usage returns how many files, threads and goroutines a gateway has.
func usage(t *testing.T, g *lab.Gateway) (files, threads, goroutines int) {
	t.Helper()
	count := func(folder string) int {
		all, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", g.Process().Pid(), folder))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	metrics := lab.Run(t, lab.Patience, "curl", "-s", "--unix-socket", filepath.Join(g.Dir, "data", "gateway.sock"), "http://gateway/metrics")
	for line := range strings.Lines(string(metrics)) {
		if v, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			goroutines, _ = strconv.Atoi(strings.TrimSpace(v))
		}
	}
	if goroutines == 0 {
		t.Fatalf("the metrics have no go_goroutines:\n%s", metrics)
	}
	return count("fd"), count("task"), goroutines
}

// TestRenditionRefusals proves that players are told why there is no rendition: ffmpeg is missing, cannot do it, or there
// are too many.
func TestRenditionRefusals(t *testing.T) {
	t.Parallel()
	gateway := func(more string) *lab.Gateway {
		g := lab.NewGateway(t, "a")
		g.More = "streams: {demo: {source: \"demo:\"}}\n" + strings.Replace(renditions, "idle_after: 2s", "idle_after: 2s\n  "+more, 1)
		g.Start()
		return g
	}
	old := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(old, []byte("#!/bin/sh\necho ffmpeg version 3.4.11 Copyright\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		more, profile string
		status        int
		text          string
	}{
		{"ffmpeg: /nonexistent/ffmpeg", "180p", 503, "ffmpeg is missing"},
		{fmt.Sprintf("ffmpeg: %q", old), "180p", 503, "3.4.11 is too old"},
		{"max_jobs: 0", "180p", 503, "transcode.max_jobs"},
		{"hwaccel: videotoolbox", "180p", 415, "lacks the encoder h264_videotoolbox"},
		{"threads: 1", "pcma", 503, "no audio in PCMU, PCMA or L16"},
	} {
		g := gateway(c.more)
		conn := lab.Dial(t, g.HostPort())
		r, err := conn.Do("DESCRIBE", g.URL("demo~"+c.profile), nil, "")
		if err != nil || r.Status != c.status || !strings.Contains(r.Body, c.text) {
			t.Errorf("%s: DESCRIBE = %d %q, %v, want %d with %q", c.more, r.Status, r.Body, err, c.status, c.text)
		}
		conn.Close()
		g.Stop()
	}
}

// TestRenditionAlways has a rendition made that nobody watches.
func TestRenditionAlways(t *testing.T) {
	g := lab.NewGateway(t, "a")
	g.More = "streams: {demo: {source: \"demo:\"}}\ntranscode:\n  idle_after: 0s\n  profiles:\n" +
		"    small: {video: {codec: h264, height: 90}, always: [demo]}\n"
	g.Start()
	pid := processOf(t, g, "demo~small")
	lab.Eventually(t, lab.Patience, "pictures are made", func() bool {
		all := renditionsOf(t, g)
		return len(all) == 1 && all[0].Frames > 60 && all[0].Speed > 0
	})
	if processOf(t, g, "demo~small") != pid {
		t.Error("ffmpeg was begun anew though it had not ended")
	}
	g.Stop()
	if alive(pid) {
		t.Error("ffmpeg goes on after the gateway's end")
	}
}

// TestRenditionForTheSwarm has one strong gateway make a rendition of another's stream and share it under a name of its own: two
// sites that make none themselves get it from there, and one ffmpeg runs.
func TestRenditionForTheSwarm(t *testing.T) {
	a, strong, c, d := lab.NewGateway(t, "a"), lab.NewGateway(t, "strong"), lab.NewGateway(t, "c"), lab.NewGateway(t, "d")
	strong.More = "streams: {small: {source: \"stream:a/live~180p\"}}\n" + renditions
	a.Knows(strong)
	strong.Knows(a, c, d)
	c.Knows(strong)
	d.Knows(strong)
	for _, g := range []*lab.Gateway{a, strong, c, d} {
		g.Start()
	}
	lab.Encode(t, lab.H264(t), a.URL("live"))
	a.WaitStream("live")
	var players []*lab.Player
	for _, g := range []*lab.Gateway{c, d} {
		if got := probe(t, g.URL("strong/small")); len(got) != 2 || got[0].Height != 180 {
			t.Errorf("strong/small at %s has %+v, want 180p with sound", g.Name, got)
		}
		players = append(players, lab.Play(t, g.URL("strong/small"), lab.TCP))
	}
	for _, p := range players {
		p.Plays(2 * time.Second)
	}
	if n := len(children(t, strong)); n != 1 {
		t.Errorf("%d ffmpeg run at the strong gateway, want 1 for both sites", n)
	}
	for _, g := range []*lab.Gateway{a, c, d} {
		if n := len(children(t, g)); n != 0 {
			t.Errorf("%d ffmpeg run at %s, want none", n, g.Name)
		}
	}
}
