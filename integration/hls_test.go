//go:build integration

package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"peergate/integration/lab"
)

// get asks for something over HTTP; body is at most 1 MB of it.
func get(t *testing.T, method, url, user string) (status int, header http.Header, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if name, password, ok := strings.Cut(user, ":"); ok {
		req.SetBasicAuth(name, password)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

// watchHLS decodes pictures of a playlist with ffmpeg and returns their sums.
func watchHLS(t *testing.T, url string, frames int) []string {
	t.Helper()
	out := lab.Run(t, 2*lab.Patience, "ffmpeg", "-v", "error", "-nostdin", "-i", url, "-map", "0:v:0", "-frames:v", strconv.Itoa(frames),
		"-fps_mode", "passthrough", "-f", "framemd5", "-")
	return lab.FrameMD5(out)
}

// TestHLS has ffmpeg play streams of all kinds over HLS: pictures are the clip's, one after the other.
func TestHLS(t *testing.T) {
	t.Parallel()
	a, b := lab.NewGateway(t, "a"), lab.NewGateway(t, "b")
	a.Knows(b)
	b.Knows(a)
	a.Start()
	b.Start()
	h264, h265 := lab.H264(t), lab.H265(t)
	lab.Encode(t, h264, a.URL("live"))
	lab.Encode(t, h265, a.URL("new"))
	var wg sync.WaitGroup
	for _, c := range []struct {
		url  string
		clip *lab.Clip
		want []probed
	}{
		{a.HLSURL("live", "index.m3u8"), h264, []probed{{"h264", "", lab.Height}, {"aac", "", 0}}},
		{a.HLSURL("new", "index.m3u8"), h265, []probed{{"hevc", "", lab.Height}, {"opus", "", 0}}},
		{b.HLSURL("a/live", "index.m3u8"), h264, []probed{{"h264", "", lab.Height}, {"aac", "", 0}}},
	} {
		lab.Eventually(t, lab.Patience, c.url+" is there", func() bool {
			status, _, _ := get(t, "GET", c.url, "")
			return status == 200
		})
		wg.Go(func() {
			c.clip.Verify(t, c.url, watchHLS(t, c.url, 100), 100)
			hasTracks(t, c.url, c.want...)
		})
	}
	wg.Wait()
}

// probeHLS asks ffprobe for the tracks of a playlist, without their profiles.
func probeHLS(t *testing.T, url string) []probed {
	t.Helper()
	out := retried(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name,height", "-of", "csv=p=0", url)
	var all []probed
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), ",")
		if f[0] == "" {
			continue
		}
		p := probed{Codec: f[0]}
		if len(f) > 1 {
			p.Height, _ = strconv.Atoi(f[1])
		}
		if !slices.Contains(all, p) { // a stream of programs is listed twice
			all = append(all, p)
		}
	}
	return all
}

// TestHLSRenditions proves that a playlist offers the renditions of the configuration, with which a player is served, and
// that sound which HLS does not know comes as AAC.
func TestHLSRenditions(t *testing.T) {
	g := lab.NewGateway(t, "a")
	g.More = renditions
	g.Start()
	lab.Encode(t, lab.H264(t), g.URL("live"))
	lab.Encode(t, lab.H264(t), g.URL("phone"), "-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1")
	waitDecode(t, g.URL("live"))
	waitDecode(t, g.URL("phone"))
	status, _, body := get(t, "GET", g.HLSURL("live", "index.m3u8"), "")
	for _, want := range []string{"\nvideo.m3u8\n", "\n../live~180p/video.m3u8\n", "RESOLUTION=240x180", "URI=\"../live~180p/audio.m3u8\"", "mp4a.40.2"} {
		if !strings.Contains(body, want) {
			t.Errorf("the playlist lacks %q: %d\n%s", want, status, body)
		}
	}
	hasTracks(t, g.HLSURL("live~180p", "index.m3u8"), probed{"h264", "", 180}, probed{"aac", "", 0})
	hasTracks(t, g.HLSURL("phone", "index.m3u8"), probed{"h264", "", lab.Height}, probed{"aac", "", 0})
}

// hasTracks fails the test unless ffprobe finds such tracks in a playlist.
func hasTracks(t *testing.T, url string, want ...probed) {
	t.Helper()
	got := probeHLS(t, url)
	for _, p := range want {
		if !slices.Contains(got, p) {
			t.Errorf("%s has %+v, want %+v", url, got, want)
		}
	}
}

// TestHLSRefusals proves who is served, and that the others are told why they are not.
func TestHLSRefusals(t *testing.T) {
	t.Parallel()
	g := lab.NewGateway(t, "a")
	g.More = users("see", "send") + "streams: {demo: {source: \"demo:\"}}\ntranscode: {ffmpeg: /nonexistent/ffmpeg}\n"
	g.Start()
	lab.Encode(t, lab.H264(t), lab.With(g.URL("phone"), "encoder", "send"), "-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1")
	waitDecode(t, lab.With(g.URL("phone"), "viewer", "see"))
	lab.Eventually(t, lab.Patience, "it listens", func() bool {
		res, err := http.Get(g.HLSURL("demo", "index.m3u8"))
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	})
	for _, c := range []struct {
		method, name, file, user string
		status                   int
		text                     string
	}{
		{"GET", "demo", "index.m3u8", "", 401, "password"},
		{"GET", "demo", "index.m3u8", "viewer:wrong", 401, "password"},
		{"GET", "demo", "index.m3u8", "encoder:send", 403, "may not read"},
		{"GET", "demo", "index.m3u8", "viewer:see", 200, "video.m3u8"},
		{"GET", "demo", "other.m3u8", "viewer:see", 404, "the playlists are"},
		{"GET", "demo", "x_part99999.mp4", "viewer:see", 404, "not announced"},
		{"GET", "demo", "x_seg1.mp4", "viewer:see", 404, "no such file"},
		{"GET", "nothing", "index.m3u8", "viewer:see", 404, "not found"},
		{"GET", "no%20name", "index.m3u8", "viewer:see", 400, "use letters"},
		{"GET", "demo", "", "viewer:see", 200, "<video"},
		{"GET", "favicon.ico", "", "viewer:see", 404, "/NAME/"},
		{"POST", "demo", "index.m3u8", "viewer:see", 405, "GET"},
		{"GET", "phone", "index.m3u8", "viewer:see", 415, "PCMA"},
		{"OPTIONS", "demo", "index.m3u8", "", 204, ""},
	} {
		status, header, body := get(t, c.method, g.HLSURL(c.name, c.file), c.user)
		if status != c.status || !strings.Contains(body, c.text) {
			t.Errorf("%s %s/%s by %q: %d %q, want %d with %q", c.method, c.name, c.file, c.user, status, body, c.status, c.text)
		}
		if got := header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("%s %s/%s: Access-Control-Allow-Origin is %q", c.method, c.name, c.file, got)
		}
	}
}

// TestHLSPortTaken proves that a gateway works without a port that another program has, and takes it when it is free.
func TestHLSPortTaken(t *testing.T) {
	t.Parallel()
	first, second := lab.NewGateway(t, "a"), lab.NewGateway(t, "b")
	first.Start()
	second.HLSPort(first)
	second.Start()
	second.WaitLog(0, "not listening", "hls.listen", "redial=5s")
	first.Stop()
	lab.Eventually(t, lab.Patience, "the port is taken over", func() bool {
		status, _, err := tryGet(second.HLSURL("nothing", "index.m3u8"))
		return err == nil && status == 404
	})
}

// TestHLSLowLatency reads a playlist as a player of Low-Latency HLS does: it waits for each next part.
func TestHLSLowLatency(t *testing.T) {
	t.Parallel()
	g := lab.NewGateway(t, "a")
	g.More = "streams: {demo: {source: \"demo:\"}}\n"
	g.Start()
	announced := regexp.MustCompile(`PRELOAD-HINT:TYPE=PART,URI="([^"]+_part\d+\.mp4)"`)
	listed := regexp.MustCompile(`#EXT-X-PART:DURATION=([0-9.]+),URI="([^"]+)"`)
	lab.Eventually(t, lab.Patience, "there is a playlist", func() bool {
		status, _, _ := tryGet(g.HLSURL("demo", "video.m3u8"))
		return status == 200
	})
	number := func(file string) int {
		m := regexp.MustCompile(`_part(\d+)\.mp4`).FindStringSubmatch(file)
		if m == nil {
			t.Fatalf("%s is no part", file)
		}
		n, _ := strconv.Atoi(m[1])
		return n
	}
	deadline := time.Now().Add(lab.Patience)
	for parts := 0; parts < 10; {
		if time.Now().After(deadline) {
			t.Fatalf("%d parts within %v", parts, lab.Patience)
		}
		_, _, body := get(t, "GET", g.HLSURL("demo", "video.m3u8"), "")
		m := announced.FindStringSubmatch(body)
		if m == nil {
			t.Fatalf("no part is announced:\n%s", body)
		}
		status, _, part := get(t, "GET", g.HLSURL("demo", m[1]), "")
		_, _, body = get(t, "GET", g.HLSURL("demo", "video.m3u8"), "")
		all := listed.FindAllStringSubmatch(body, -1)
		if len(all) > 0 && number(m[1]) < number(all[0][2]) {
			t.Logf("the machine stood still: %s is past", m[1])
			continue
		}
		if status != 200 || !strings.Contains(part, "moof") {
			t.Fatalf("%s: %d, %d bytes", m[1], status, len(part))
		}
		if !slices.ContainsFunc(all, func(l []string) bool { return l[2] == m[1] }) {
			t.Errorf("%s was had, but is not listed:\n%s", m[1], body)
		}
		parts++
	}
}

// tryGet asks for something that may not be there yet.
func tryGet(url string) (status int, body []byte, err error) {
	res, err := http.Get(url)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

// TestHLSInStep measures how far beeps are from flashes in the demo's clip, as an HLS player has them.
func TestHLSInStep(t *testing.T) {
	t.Parallel()
	g := lab.NewGateway(t, "a")
	g.More = "streams: {demo: {source: \"demo:\", on_demand: false}}\n"
	g.Start()
	g.WaitStream("demo")
	file := filepath.Join(t.TempDir(), "film.mkv")
	lab.Run(t, lab.Patience, "ffmpeg", "-v", "error", "-nostdin", "-i", g.HLSURL("demo", "index.m3u8"), "-t", "6", "-c", "copy", file)
	apart := stepOf(t, file, 640, 360)
	t.Logf("beeps come %v after their flashes", apart)
	if apart > 60*time.Millisecond || apart < -60*time.Millisecond {
		t.Errorf("beeps come %v after their flashes, want 60 ms at most", apart)
	}
}

// stepOf returns how much later than the flashes the beeps of the demo's clip are in a film, in the middle.
func stepOf(t *testing.T, file string, width, height int) time.Duration {
	t.Helper()
	crop := fmt.Sprintf("crop=%d:%d:%d:%d,signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-", 20*width/640, 20*height/360, 604*width/640, 16*height/360)
	out := lab.Run(t, lab.Patience, "ffmpeg", "-v", "error", "-nostdin", "-copyts", "-i", file, "-map", "0:v:0", "-vf", crop, "-fps_mode", "passthrough", "-f", "null", "-")
	var flashes []float64
	at, bright := 0.0, true
	for line := range strings.Lines(string(out)) {
		if _, v, ok := strings.Cut(line, "pts_time:"); ok {
			at, _ = strconv.ParseFloat(strings.TrimSpace(v), 64)
		}
		if _, v, ok := strings.Cut(line, "YAVG="); ok {
			y, _ := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if now := y > 120; now != bright {
				if bright = now; bright {
					flashes = append(flashes, at)
				}
			}
		}
	}
	const rate = 8000
	// The first sample's time is lost in raw samples: silence from 0 on stands for it.
	out = lab.Run(t, lab.Patience, "ffmpeg", "-v", "error", "-nostdin", "-copyts", "-i", file, "-map", "0:a:0",
		"-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", strconv.Itoa(rate), "-f", "s16le", "-")
	beeps := onsets(out, rate)
	var apart []float64
	for _, f := range flashes {
		for _, b := range beeps {
			if math.Abs(b-f) < 0.4 {
				apart = append(apart, b-f)
			}
		}
	}
	if len(apart) < 2 {
		t.Fatalf("flashes at %v, beeps at %v: too few", flashes, beeps)
	}
	slices.Sort(apart)
	return time.Duration(apart[len(apart)/2] * float64(time.Second))
}

// onsets returns when loud sounds begin, in seconds.
func onsets(pcm []byte, rate int) []float64 {
	const window = 40 // samples: 5 ms
	var all []float64
	loud := true // what begins loud has no onset
	quiet := 0
	for i := 0; i+2*window <= len(pcm); i += 2 * window {
		peak := 0
		for j := range window {
			v := int(int16(binary.LittleEndian.Uint16(pcm[i+2*j:])))
			peak = max(peak, v, -v)
		}
		switch {
		case peak > 6000 && !loud:
			all = append(all, float64(i/2)/float64(rate))
			loud, quiet = true, 0
		case peak > 6000:
			quiet = 0
		default:
			if quiet++; quiet > 10 {
				loud = false
			}
		}
	}
	return all
}

// TestHLSLeavesNothing begins and ends players again and again, some of whom wait for parts when their stream ends; then the
// gateway has no more goroutines and files than before.
func TestHLSLeavesNothing(t *testing.T) {
	t.Parallel()
	g := lab.NewGateway(t, "a")
	g.HLS = []string{"idle_after: 5s"}
	g.Start()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(file string) (string, error) {
		res, err := client.Get(g.HLSURL("live", file))
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return string(b), err
	}
	announced := regexp.MustCompile(`PRELOAD-HINT:TYPE=PART,URI="([^"]+)"`)
	cycle := func() {
		t.Helper()
		encoder := lab.Encode(t, lab.H264(t), g.URL("live"))
		var body string
		lab.Eventually(t, lab.Patience, "there are parts", func() bool {
			body, _ = ask("video.m3u8")
			return announced.MatchString(body)
		})
		var waiting sync.WaitGroup
		encoder.Kill() // the last parts never come
		for range 20 {
			waiting.Go(func() { _, _ = ask(announced.FindStringSubmatch(body)[1]) })
			waiting.Go(func() { _, _ = ask("video.m3u8?_HLS_msn=9&_HLS_part=0") })
		}
		waiting.Wait()
	}
	g.RTSP = append(g.RTSP, "publisher_grace: 1s")
	g.Reload()
	g.WaitLog(0, "configuration taken over")
	cycle()
	lab.Eventually(t, lab.Patience, "segments end", func() bool { return len(hlsStreams(t, g)) == 0 })
	files, _, goroutines := usage(t, g)
	for range 3 {
		cycle()
	}
	lab.Eventually(t, lab.Patience, "all that was opened is closed", func() bool {
		f, _, r := usage(t, g)
		return f <= files && r <= goroutines && len(hlsStreams(t, g)) == 0
	})
}

// hlsStreams returns the streams of which a gateway makes segments.
func hlsStreams(t *testing.T, g *lab.Gateway) []string {
	t.Helper()
	var names []string
	for _, s := range statusOf(t, g).HLS.Streams {
		names = append(names, s.Name)
	}
	return names
}

// TestHLSCrowd has a thousand requests wait at once, and players that read segments at a crawl: the gateway's memory stays.
func TestHLSCrowd(t *testing.T) {
	t.Parallel()
	g := lab.NewGateway(t, "a")
	g.LogLevel = "info"
	g.More = "streams: {demo: {source: \"demo:\"}}\n"
	g.Start()
	lab.Eventually(t, lab.Patience, "there is a playlist", func() bool {
		status, _, _ := tryGet(g.HLSURL("demo", "video.m3u8"))
		return status == 200
	})
	const crowd, crawling = 900, 50
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: crowd, MaxIdleConnsPerHost: crowd}, Timeout: lab.Patience}
	before := g.Process().RSS(t)
	segment := regexp.MustCompile(`(?m)^\S+_seg\d+\.mp4$`)
	_, body, err := tryGet(g.HLSURL("demo", "video.m3u8"))
	if err != nil {
		t.Fatal(err)
	}
	for range crawling { // they take the header and no more
		res, err := http.Get(g.HLSURL("demo", segment.FindString(string(body))))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	answers := make(map[int]int)
	announced := regexp.MustCompile(`PRELOAD-HINT:TYPE=PART,URI="([^"]+)"`)
	for range 3 {
		_, body, err := tryGet(g.HLSURL("demo", "video.m3u8"))
		m := announced.FindSubmatch(body)
		if err != nil || m == nil {
			t.Fatalf("%v: %s", err, body)
		}
		for range crowd {
			wg.Go(func() {
				res, err := client.Get(g.HLSURL("demo", string(bytes.Clone(m[1]))))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				mu.Lock()
				defer mu.Unlock()
				answers[res.StatusCode]++
			})
		}
		wg.Wait()
	}
	after := g.Process().RSS(t)
	t.Logf("%d requests: %v; memory %d MB, then %d MB", 3*crowd, answers, before>>20, after>>20)
	if answers[200] != 3*crowd {
		t.Errorf("answers: %v, want %d of 200", answers, 3*crowd)
	}
	if after > before+200<<20 {
		t.Errorf("memory grew from %d MB to %d MB", before>>20, after>>20)
	}
	if st := statusOf(t, g).HLS; len(st.Streams) != 1 || st.Streams[0].Bytes == 0 {
		t.Errorf("status: %+v", st)
	}
}
