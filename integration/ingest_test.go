//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"peergate/integration/lab"
)

// sendTS sends a clip as MPEG-TS with ffmpeg, in real time and for ever.
func sendTS(t *testing.T, c *lab.Clip, to string, extra ...string) *lab.Program {
	t.Helper()
	args := []string{"-v", "warning", "-nostdin", "-re", "-stream_loop", "-1", "-i", c.Path, "-c", "copy"}
	return lab.Spawn(t, "ffmpeg", append(append(args, extra...), "-f", "mpegts", to)...)
}

// TestMPEGTS has MPEG-TS come in by datagrams to this machine and to a group, with and without RTP headers, and over SRT, with
// this gateway as the listener and as the caller. An RTSP player decodes every picture.
func TestMPEGTS(t *testing.T) {
	t.Parallel()
	h264, h265 := lab.H264(t), lab.H265(t)
	at := make(map[string]int)
	for _, name := range []string{"own", "group", "rtp", "called", "calls", "opus"} {
		at[name] = lab.FreePort(t)
	}
	const secret = "passphrase=long-enough-secret"
	g := lab.NewGateway(t, "a")
	g.More = "streams:\n" +
		fmt.Sprintf("  own: {source: \"udp://127.0.0.1:%d\", silent_after: 5s}\n", at["own"]) +
		fmt.Sprintf("  group: {source: \"udp://239.255.77.1:%d?interface=lo\"}\n", at["group"]) +
		fmt.Sprintf("  rtp: {source: \"udp://:%d\"}\n", at["rtp"]) +
		fmt.Sprintf("  called: {source: \"srt://127.0.0.1:%d?mode=listener&streamid=stage&%s\", on_demand: false}\n", at["called"], secret) +
		fmt.Sprintf("  calls: {source: \"srt://127.0.0.1:%d?%s\"}\n", at["calls"], secret) +
		fmt.Sprintf("  opus: {source: \"udp://127.0.0.1:%d\"}\n", at["opus"])
	g.Start()
	own := sendTS(t, h264, fmt.Sprintf("udp://127.0.0.1:%d?pkt_size=1316", at["own"]))
	sendTS(t, h264, fmt.Sprintf("udp://239.255.77.1:%d?pkt_size=1316&localaddr=127.0.0.1", at["group"]))
	lab.Spawn(t, "gst-launch-1.0", "-q", "videotestsrc", "is-live=true", "!", "video/x-raw,width=320,height=240,framerate=25/1", "!",
		"x264enc", "tune=zerolatency", "key-int-max=25", "!", "mpegtsmux", "!", "rtpmp2tpay", "!", "udpsink", "host=127.0.0.1", fmt.Sprintf("port=%d", at["rtp"]))
	lab.Spawn(t, "ffmpeg", "-v", "error", "-nostdin", "-re", "-i", h264.Path, "-c", "copy", "-f", "mpegts",
		fmt.Sprintf("srt://127.0.0.1:%d?mode=caller&streamid=stage&passphrase=another-secret", at["called"]))
	g.WaitLog(0, "caller refused", "passphrase")
	sendTS(t, h264, fmt.Sprintf("srt://127.0.0.1:%d?mode=caller&streamid=stage&%s", at["called"], secret))
	sendTS(t, h264, fmt.Sprintf("srt://127.0.0.1:%d?mode=listener&%s", at["calls"], secret))
	sendTS(t, h265, fmt.Sprintf("udp://127.0.0.1:%d?pkt_size=1316", at["opus"]))

	watching := make(map[string]*lab.Watching)
	for _, name := range []string{"own", "group", "called", "calls", "opus", "rtp"} {
		g.WaitStream(name)
		watching[name] = lab.FFmpeg("tcp").Watch(t, g.URL(name), 100)
	}
	for name, w := range watching {
		pictures := w.Pictures()
		switch name {
		case "rtp":
			if len(pictures) < 100 {
				t.Errorf("%s: decoded %d pictures, want 100", name, len(pictures))
			}
		case "opus":
			h265.Verify(t, name, pictures, 100)
		default:
			h264.Mostly(t, name, pictures, 100, mostly) // UDP may lose packets on a busy machine
		}
	}
	if text := g.Log(); strings.Contains(text, "long-enough-secret") {
		t.Errorf("the passphrase is in the log:\n%s", text)
	}

	p := lab.Play(t, g.URL("own"), lab.TCP)
	p.Plays(2 * time.Second)
	own.Kill()
	g.WaitLog(0, "source lost", "nothing for 5s")
	sendTS(t, h264, fmt.Sprintf("udp://127.0.0.1:%d?pkt_size=1316", at["own"]))
	p.Plays(2 * time.Second)
	p.Connected()
	for i, track := range p.Tracks {
		if s := track.Stats(); s.Sources != 1 || s.Bye || len(s.Faults) > 0 {
			t.Errorf("track %d: %+v", i, s)
		}
	}
}
