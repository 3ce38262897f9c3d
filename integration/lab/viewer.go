//go:build integration

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Viewer is a real player and how it gets its packets.
type Viewer struct {
	Player    string // ffmpeg, gstreamer, mpv or mplayer
	Transport string // udp, tcp, http, udp_multicast or rtsps; it is told to the player in its own words
}

// FFmpeg is ffmpeg with a transport in ffmpeg's words.
func FFmpeg(transport string) Viewer { return Viewer{"ffmpeg", transport} }

// GStreamer is a pipeline of GStreamer's rtspsrc.
func GStreamer(transport string) Viewer { return Viewer{"gstreamer", transport} }

// MPV is mpv, which reads RTSP by ffmpeg's library.
func MPV(transport string) Viewer { return Viewer{"mpv", transport} }

// MPlayer is mplayer.
func MPlayer(transport string) Viewer { return Viewer{"mplayer", transport} }

// String is the viewer's name in tests.
func (v Viewer) String() string { return v.Player + "-" + v.Transport }

// URL is where the viewer finds a stream of a gateway.
func (v Viewer) URL(g *Gateway, name string) string {
	if v.Transport == "rtsps" {
		return g.SecureURL(name)
	}
	return g.URL(name)
}

// lower is the transport below RTSP, in ffmpeg's words.
func (v Viewer) lower() string {
	if v.Transport == "rtsps" {
		return "tcp"
	}
	return v.Transport
}

// Watching is a player at work.
type Watching struct {
	*Program
	viewer Viewer
	t      testing.TB
	file   string    // where the sums of the pictures go
	args   []string  // the command
	until  time.Time // it must have ended

	// The fields below are GStreamer's.
	frames *frames       // where the pictures themselves go, in place of the file; nil for other players
	ended  chan struct{} // closed when it has ended, and is not started again
	mu     sync.Mutex    // guards Program
}

// Watch starts a player, which decodes so many pictures as fast as they come and ends. A prefix is a command that starts it.
func (v Viewer) Watch(t testing.TB, url string, frames int, prefix ...string) *Watching {
	t.Helper()
	within := 2*Patience + time.Duration(frames)*time.Second/FrameRate
	w := &Watching{viewer: v, t: t, until: time.Now().Add(within), file: filepath.Join(t.TempDir(), "pictures")}
	w.args = append(append([]string{}, prefix...), v.command(w.file, url, frames)...)
	if v.Player == "gstreamer" {
		w.frames, w.ended = newFrames(frames), make(chan struct{})
		w.Program = spawn(t, nil, w.frames, w.args[0], w.args[1:]...)
		go w.keep()
		return w
	}
	w.Program = Spawn(t, w.args[0], w.args[1:]...)
	return w
}

func (v Viewer) command(file, url string, frames int) []string {
	n := strconv.Itoa(frames)
	switch v.Player {
	case "ffmpeg":
		return []string{
			"ffmpeg", "-v", "warning", "-nostdin", "-rtsp_transport", v.lower(), "-i", url, "-map", "0:v:0", "-an", "-frames:v", n,
			"-fps_mode", "passthrough", "-f", "framemd5", file,
		}
	case "gstreamer":
		return v.gstreamer(url)
	case "mpv":
		return []string{
			"mpv", "--no-config", "--no-terminal", "--no-audio", "--frames=" + n, "--rtsp-transport=" + v.lower(),
			"--o=" + file, "--of=framemd5", "--ovc=rawvideo", url,
		}
	case "mplayer":
		args := []string{
			"mplayer", "-noconfig", "all", "-nolirc", "-really-quiet", "-ao", "null", "-nosound", "-vo", "md5sum:outfile=" + file,
			"-frames", n,
		}
		switch v.Transport {
		case "tcp":
			args = append(args, "-rtsp-stream-over-tcp")
		case "http":
			args = append(args, "-rtsp-stream-over-http")
		}
		return append(args, url)
	}
	panic("no player " + v.Player) // a mistake in the test
}

// gstreamer decodes H.264 to raw pictures on its standard output until it is interrupted. The sound is set up, but not linked:
// gst-launch links each track when its first packet comes, and when the first packets of two come at once on a busy machine it now
// and then links neither right (1.22: assertions fail, or nothing is decoded for ever).
func (v Viewer) gstreamer(url string) []string {
	protocols := v.Transport
	switch v.Transport {
	case "udp_multicast":
		protocols = "udp-mcast"
	case "http":
		url, protocols = strings.Replace(url, "rtsp:", "rtsph:", 1), "tcp+http"
	case "rtsps":
		protocols = "tcp+tls"
	}
	line := []string{"gst-launch-1.0", "-q", "rtspsrc", "name=s", "location=" + url, "protocols=" + protocols}
	if v.Transport == "rtsps" {
		line = append(line, "tls-validation-flags=0")
	}
	return append(line, "s.", "!", "application/x-rtp,media=video", "!", "rtph264depay", "!", "h264parse", "!", "avdec_h264", "!",
		"videoconvert", "!", "video/x-raw,format=I420", "!", "fdsink", "fd=1")
}

// String is the viewer's name.
func (w *Watching) String() string { return w.viewer.String() }

// Lossy reports whether packets come to the player in a way in which they can be lost.
func (w *Watching) Lossy() bool { return strings.HasPrefix(w.viewer.Transport, "udp") }

// Pictures waits until the player has ended and returns the sums of the pictures it decoded.
func (w *Watching) Pictures() []string {
	w.t.Helper()
	if w.frames != nil {
		w.interrupt()
	} else if err := w.Wait(time.Until(w.until)); err != nil {
		w.t.Errorf("%s: %v\n%s", w.viewer, err, cut(w.Err.tail(40)))
	}
	return w.Sofar()
}

// keep starts GStreamer again while the sound comes before the pictures.
func (w *Watching) keep() {
	defer close(w.ended)
	for {
		p := w.program()
		<-p.Done()
		if len(w.frames.soFar()) > 0 || !strings.Contains(p.Err.String(), soundFirst) {
			return
		}
		p = spawn(w.t, nil, w.frames, w.args[0], w.args[1:]...)
		w.mu.Lock()
		w.Program = p
		w.mu.Unlock()
	}
}

// soundFirst is what rtspsrc says when the first packet of all is of a track that is not linked.
const soundFirst = "reason not-linked"

// program returns GStreamer as it runs now.
func (w *Watching) program() *Program {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Program
}

// interrupt ends GStreamer when it has decoded enough. How it ends is not looked at: it gives TEARDOWN 100 ms only, and often
// takes its own flushing for the end of the connection.
func (w *Watching) interrupt() {
	w.t.Helper()
	timer := time.NewTimer(max(0, time.Until(w.until)))
	defer timer.Stop()
	select {
	case <-w.frames.enough: // before the deadline is looked at, which may be over: then either case would do
	default:
		select {
		case <-w.frames.enough:
		case <-w.ended:
			p := w.program()
			w.t.Errorf("%s ended by itself: %v\n%s", w.viewer, p.err, cut(p.Err.tail(40)))
		case <-timer.C:
			w.t.Errorf("%s: %v\n%s", w.viewer, errDeadline, cut(w.program().Err.tail(40)))
		}
	}
	p := w.program()
	p.Signal(syscall.SIGINT)
	_ = p.Wait(Patience)
}

// Sofar returns the sums of the pictures decoded until now.
func (w *Watching) Sofar() []string {
	w.t.Helper()
	if w.frames != nil {
		return w.frames.soFar()
	}
	b, err := os.ReadFile(w.file)
	if err != nil {
		return nil
	}
	if w.viewer.Player == "mplayer" {
		var sums []string
		for line := range strings.Lines(string(b)) {
			if sum, _, ok := strings.Cut(line, " "); ok {
				sums = append(sums, sum)
			}
		}
		return sums
	}
	return FrameMD5(b)
}

// GStreamerEncode publishes a clip once in real time with rtspclientsink.
func GStreamerEncode(t testing.TB, c *Clip, url, protocols string) *Program {
	t.Helper()
	sink := []string{"rtspclientsink", "name=s", "location=" + url, "protocols=" + protocols}
	if strings.HasPrefix(url, "rtsps:") {
		sink[len(sink)-1] += "+tls"
		sink = append(sink, "tls-validation-flags=0")
	}
	args := []string{
		"-q", "filesrc", "location=" + c.Path, "!", "qtdemux", "name=d",
		"d.video_0", "!", "queue", "!", "h264parse", "config-interval=-1", "!", "identity", "sync=true", "!",
	}
	args = append(append(args, sink...), "d.audio_0", "!", "queue", "!", "aacparse", "!", "identity", "sync=true", "!", "s.")
	return Spawn(t, "gst-launch-1.0", args...)
}

// With returns a URL with a user and password in it.
func With(url, user, password string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	return fmt.Sprintf("%s://%s:%s@%s", scheme, user, password, rest)
}
