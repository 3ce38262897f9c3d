//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"peergate/integration/lab"
)

// TestPulledSource has a gateway pull streams from another one, as from a camera, over UDP and TCP, on demand and always.
// When the camera comes back after a power cut the players go on over their connections.
func TestPulledSource(t *testing.T) {
	t.Parallel()
	clip := lab.H264(t)
	camera, g := lab.NewGateway(t, "camera"), lab.NewGateway(t, "a")
	camera.More = users("see", "send")
	from := lab.With(camera.URL("cam"), "viewer", "see")
	g.More = "streams:\n" +
		fmt.Sprintf("  hall: {source: %q, transport: udp}\n", from) +
		fmt.Sprintf("  yard: {source: %q, transport: tcp, on_demand: false, silent_after: 3s}\n", from)
	camera.Start()
	g.Start()
	to := lab.With(camera.URL("cam"), "encoder", "send")
	encoder := lab.Encode(t, clip, to)
	waitDecode(t, from)
	g.WaitStream("yard") // it was dialled before the camera had a picture
	g.WaitStream("hall")
	watching := []*lab.Watching{lab.FFmpeg("tcp").Watch(t, g.URL("yard"), 100), lab.FFmpeg("tcp").Watch(t, g.URL("hall"), 100)}
	hall, yard := lab.Play(t, g.URL("hall"), lab.TCP), lab.Play(t, g.URL("yard"), lab.UDP)
	hall.Plays(2 * time.Second)
	yard.Plays(2 * time.Second)
	yard.Flawless()
	clip.Verify(t, "yard", watching[0].Pictures(), 100)
	clip.Mostly(t, "hall", watching[1].Pictures(), 100, mostly) // UDP may lose packets on its way from the camera

	camera.Kill()
	encoder.Kill()
	camera.Start()
	lab.Encode(t, clip, to)
	for _, p := range []*lab.Player{hall, yard} {
		p.Plays(4 * time.Second)
		p.Connected()
		for i, track := range p.Tracks {
			if s := track.Stats(); s.Sources != 1 || s.Bye || len(s.Faults) > 0 {
				t.Errorf("%s track %d: %+v", p.URL, i, s)
			}
		}
	}
	if text := g.Log(); strings.Contains(text, "see@") || strings.Contains(text, ":see") {
		t.Errorf("the camera's password is in the log:\n%s", text)
	}
}

// TestFailover has a stream of two cameras and a slate. The cameras are killed one after the other, and the first comes
// back: a player goes on over its connection, and ffmpeg decodes pictures throughout.
func TestFailover(t *testing.T) {
	t.Parallel()
	first, second, g := lab.NewGateway(t, "first"), lab.NewGateway(t, "second"), lab.NewGateway(t, "a")
	first.More = "streams: {clip: {source: \"demo:\"}}\n"
	second.More = first.More
	g.More = fmt.Sprintf("streams: {cam: {source: [%q, %q], fallback: \"demo:\", return_after: 2s, silent_after: 3s, transport: tcp}}\n",
		first.URL("clip"), second.URL("clip"))
	first.Start()
	second.Start()
	g.Start()
	p := lab.Play(t, g.URL("cam"), lab.TCP)
	p.Plays(4 * time.Second) // steady
	watching := lab.FFmpeg("tcp").Watch(t, g.URL("cam"), 450)
	takesOver := func(from string) {
		t.Helper()
		lab.Eventually(t, lab.Patience, "the stream comes from "+from, func() bool { return remoteOf(t, g, "cam") == from })
		p.Plays(3500 * time.Millisecond)
		p.Connected()
	}
	first.Kill()
	takesOver(second.URL("clip"))
	second.Kill()
	takesOver("demo:")
	first.Start()
	takesOver(first.URL("clip"))
	for i, track := range p.Tracks {
		if s := track.Stats(); s.Sources != 1 || s.Bye || len(s.Faults) > 0 {
			t.Errorf("track %d: %+v", i, s)
		}
	}
	t.Logf("the longest pause of the player was %v", p.Tracks[0].Stats().Pause)
	if n := len(watching.Pictures()); n < 450 {
		t.Errorf("ffmpeg has decoded %d pictures, want 450", n)
	}
}

// remoteOf returns where a gateway's stream comes from.
func remoteOf(t *testing.T, g *lab.Gateway, name string) string {
	t.Helper()
	var st struct {
		Streams []struct {
			Name, Remote string
			Publishing   bool
		}
	}
	if err := json.Unmarshal(lab.Run(t, lab.Patience, lab.Binary(t), "status", "--json", g.File()), &st); err != nil {
		t.Fatalf("gateway status --json: %v", err)
	}
	for _, s := range st.Streams {
		if s.Name == name && s.Publishing {
			return s.Remote
		}
	}
	return ""
}

// TestUnreachableSource proves that a player is told at once, and why, when the source cannot be had.
func TestUnreachableSource(t *testing.T) {
	t.Parallel()
	g := lab.NewGateway(t, "a")
	g.More = fmt.Sprintf("streams:\n  cam: {source: \"rtsp://127.0.0.1:%d/x\"}\n", g.Port+1)
	g.Start()
	began := time.Now()
	m := lab.DialRaw(t, g.HostPort()).Ask("DESCRIBE", g.URL("cam"))
	if m.Status != 503 || !strings.Contains(m.Body, "refused") {
		t.Errorf("DESCRIBE = %s, %q, want 503 and that the connection was refused", m.Line, m.Body)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("the answer takes %v", d)
	}
}

// TestRenditions plays G.711 in both laws and as plain samples from a stream that has one of them.
func TestRenditions(t *testing.T) {
	t.Parallel()
	a, _, c := chain(t)
	lab.Spawn(t, "ffmpeg", "-v", "warning", "-nostdin", "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=8000",
		"-c:a", "pcm_alaw", "-f", "rtsp", "-rtsp_transport", "tcp", a.URL("phone"))
	a.WaitStream("phone")
	for profile, codec := range map[string]string{"pcma": "pcm_alaw", "pcmu": "pcm_mulaw", "l16": "pcm_s16be"} {
		for _, url := range []string{a.URL("phone~" + profile), c.URL("a/phone~" + profile)} {
			out := string(lab.Run(t, 2*lab.Patience, "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name",
				"-of", "csv=p=0", url))
			if strings.TrimSpace(out) != codec {
				t.Errorf("%s is %q, want %s", url, out, codec)
			}
			w := lab.Run(t, 2*lab.Patience, "ffmpeg", "-v", "error", "-nostdin", "-rtsp_transport", "tcp", "-i", url, "-t", "1",
				"-af", "volumedetect", "-f", "framemd5", "-")
			if n := len(lab.FrameMD5(w)); n < 5 {
				t.Errorf("%s: decoded %d frames in a second", url, n)
			}
		}
	}
}
