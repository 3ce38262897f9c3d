//go:build integration

package integration

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"peergate/integration/lab"
)

// TestFilesAndPrograms has streams of files, which are read by the gateway itself and through ffmpeg, of an encoder that
// publishes by RTMP, and of a program that the gateway runs. Players decode every picture, and go on when the program is killed.
// After kill -9 of the gateway no program is left.
func TestFilesAndPrograms(t *testing.T) {
	t.Parallel()
	h264, h265 := lab.H264(t), lab.H265(t)
	port := lab.FreePort(t)
	g := lab.NewGateway(t, "a")
	g.More = "streams:\n" +
		fmt.Sprintf("  mp4: {source: \"file://%s\"}\n", h264.Path) +
		fmt.Sprintf("  mkv: {source: \"file://%s\"}\n", h265.Path) +
		fmt.Sprintf("  rtmp: {source: \"rtmp://:%d/live/long-secret\", on_demand: false}\n", port) +
		fmt.Sprintf("  exec: {source: \"exec: ffmpeg -v error -nostdin -re -stream_loop -1 -i %s -c copy -f rtsp -rtsp_transport tcp {url}\"}\n", h264.Path) +
		"  none: {source: \"exec: no-such-program {url}\"}\n" +
		"  mute: {source: \"exec: sleep 600\", silent_after: 2s}\n"
	g.Start()
	publish := func(key string) *lab.Program {
		return lab.Spawn(t, "ffmpeg", "-v", "warning", "-nostdin", "-re", "-stream_loop", "-1", "-i", h264.Path, "-c", "copy", "-f", "flv",
			fmt.Sprintf("rtmp://127.0.0.1:%d/live/%s", port, key))
	}
	listens := func() {
		lab.Eventually(t, lab.Patience, "ffmpeg listens", func() bool { return len(children(t, g)) > 0 && listensAt(port) })
	}
	listens()
	stranger := publish("another")
	g.WaitLog(0, "another application or key")
	stranger.Kill()
	listens()
	publish("long-secret")

	watching := make(map[string]*lab.Watching)
	for _, name := range []string{"mp4", "mkv", "exec", "rtmp"} {
		g.WaitStream(name)
		watching[name] = lab.FFmpeg("tcp").Watch(t, g.URL(name), 100)
	}
	for name, w := range watching {
		clip := h264
		if name == "mkv" {
			clip = h265
		}
		clip.Verify(t, name, clip.Settled(w.Pictures()), 100-lab.FrameRate)
	}

	conn := lab.DialRaw(t, g.HostPort())
	if m := conn.Ask("DESCRIBE", g.URL("none")); m.Status != 503 || !strings.Contains(m.Body, "no-such-program") {
		t.Errorf("DESCRIBE = %s, %q, want 503 and that the program is missing", m.Line, m.Body)
	}
	if m := conn.Ask("DESCRIBE", g.URL("mute")); m.Status != 503 || !strings.Contains(m.Body, "has published nothing for 2s") {
		t.Errorf("DESCRIBE = %s, %q, want 503 and that nothing was published", m.Line, m.Body)
	}

	p := lab.Play(t, g.URL("exec"), lab.TCP)
	p.Plays(time.Second)
	for _, pid := range children(t, g) {
		if strings.Contains(commandOf(pid), h264.Path) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.Plays(2 * time.Second)
	p.Connected()
	t.Logf("the longest pause of the player was %v when its ffmpeg was killed", p.Tracks[0].Stats().Pause)
	if text := g.Log(); strings.Contains(text, "long-secret") || strings.Contains(text, "?pass=") {
		t.Errorf("a secret is in the log:\n%s", text)
	}
	left := children(t, g)
	g.Kill()
	lab.Eventually(t, lab.Patience, "all programs are gone with the gateway", func() bool {
		for _, pid := range left {
			if alive(pid) {
				return false
			}
		}
		return true
	})
}

// commandOf returns the command line of a process.
func commandOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return "" // it has ended
	}
	return strings.ReplaceAll(string(b), "\x00", " ")
}

// listensAt reports whether a TCP port is listened at; connecting would be taken for an encoder.
func listensAt(port int) bool {
	b, err := os.ReadFile("/proc/net/tcp")
	return err == nil && strings.Contains(string(b), fmt.Sprintf(" 00000000:%04X 00000000:0000 0A ", port))
}
