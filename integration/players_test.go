//go:build integration

package integration

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"peergate/integration/lab"
)

// viewers are the players that the gateway is made for, with each way they have to get packets.
var viewers = []lab.Viewer{
	lab.FFmpeg("udp"), lab.FFmpeg("tcp"), lab.FFmpeg("http"), lab.FFmpeg("rtsps"),
	lab.GStreamer("udp"), lab.GStreamer("tcp"), lab.GStreamer("http"), lab.GStreamer("rtsps"),
	lab.MPV("udp"), lab.MPV("tcp"), lab.MPV("http"), lab.MPV("rtsps"),
	lab.MPlayer("udp"), lab.MPlayer("tcp"),
}

// newPlayable starts a gateway that serves every kind of viewer.
func newPlayable(t *testing.T, more string) *lab.Gateway {
	t.Helper()
	g := lab.NewGateway(t, "a")
	g.More = more
	g.SelfSigned()
	return g.Start()
}

// TestPlayers proves that each player decodes every picture, from the first key frame on.
func TestPlayers(t *testing.T) {
	t.Parallel()
	clip := lab.H264(t)
	g := newPlayable(t, "")
	lab.Encode(t, clip, g.URL("live"))
	g.WaitStream("live")
	watchAll(t, clip, func(v lab.Viewer) string { return v.URL(g, "live") }, viewers, 100)
}

// watchAll has all players decode so many pictures side by side: each one of the clip's, in order. Where the kernel says that
// programs were too slow for their UDP packets, those over UDP may have lost some.
func watchAll(t *testing.T, clip *lab.Clip, url func(lab.Viewer) string, viewers []lab.Viewer, frames int) {
	t.Helper()
	watching := make([]*lab.Watching, 0, len(viewers))
	before := lab.UDPDrops(t)
	for _, v := range viewers {
		watching = append(watching, v.Watch(t, url(v), frames))
	}
	for _, w := range watching {
		pictures := w.Pictures()
		if dropped := lab.UDPDrops(t) - before; dropped > 0 && w.Lossy() {
			t.Logf("the kernel has dropped %d UDP packets for want of room in their receivers' buffers", dropped)
			clip.Mostly(t, w.String(), pictures, frames, mostly)
			continue
		}
		clip.Verify(t, w.String(), pictures, frames)
	}
}

// mostly is the share of pictures that must be right where the machine was too busy for its players.
const mostly = 0.7

// TestCurl proves that curl, which can no more than OPTIONS, gets its answer.
func TestCurl(t *testing.T) {
	t.Parallel()
	g := lab.NewGateway(t, "a").Start()
	out := string(lab.Run(t, lab.Patience, "curl", "-s", "-i", g.URL("live")))
	if !strings.HasPrefix(out, "RTSP/1.0 200 OK\r\n") || !strings.Contains(out, "Public: ") {
		t.Errorf("curl gets\n%s", out)
	}
}

// TestPublishers proves that what each encoder publishes, over each transport, is what players decode.
func TestPublishers(t *testing.T) {
	t.Parallel()
	clip := lab.H264(t)
	g := newPlayable(t, "")
	for _, p := range []struct{ name, transport, url string }{
		{"udp", "udp", g.URL("")}, {"tcp", "tcp", g.URL("")}, {"rtsps", "tcp", g.SecureURL("")},
	} {
		lab.Spawn(t, "ffmpeg", "-v", "warning", "-nostdin", "-re", "-stream_loop", "-1", "-i", clip.Path, "-c", "copy",
			"-f", "rtsp", "-rtsp_transport", p.transport, p.url+"ffmpeg-"+p.name)
		lab.GStreamerEncode(t, clip, p.url+"gstreamer-"+p.name, p.transport)
	}
	const frames = 75
	var watching []*lab.Watching
	names := []string{"ffmpeg-udp", "ffmpeg-tcp", "ffmpeg-rtsps", "gstreamer-udp", "gstreamer-tcp", "gstreamer-rtsps"}
	for _, name := range names {
		g.WaitStream(name)
		watching = append(watching, lab.FFmpeg("tcp").Watch(t, g.URL(name), frames))
	}
	for i, w := range watching {
		clip.Verify(t, names[i], w.Pictures(), frames)
	}
}

// users are two users with one right each; the passwords are given as they are, or as their hashes.
func users(viewer, encoder string) string {
	return "users:\n  - {name: viewer, password: \"" + viewer + "\", read: [\"**\"]}\n" +
		"  - {name: encoder, password: \"" + encoder + "\", publish: [\"**\"]}\n"
}

// TestPasswords proves that each player can give a password, by Digest and by Basic (which is all that a gateway with
// hashed passwords can offer), and that nobody gets anything without the right one.
func TestPasswords(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Digest", "Basic"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			clip := lab.H264(t)
			more := users("see", "send")
			if scheme == "Basic" {
				more = users(bcryptHash(t, "see"), argonHash("send"))
			}
			g := newPlayable(t, more)
			checkRefusals(t, g, scheme, clip)
			lab.Encode(t, clip, lab.With(g.URL("live"), "encoder", "send"))
			lab.GStreamerEncode(t, clip, lab.With(g.URL("gst"), "encoder", "send"), "tcp")
			for _, name := range []string{"live", "gst"} {
				w := waitDecode(t, lab.With(g.URL(name), "viewer", "see"))
				clip.Verify(t, name, w, 25)
			}
			watchAll(t, clip, func(v lab.Viewer) string { return lab.With(v.URL(g, "live"), "viewer", "see") }, viewers, 75)
		})
	}
}

func bcryptHash(t *testing.T, password string) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// argonHash is a hash by argon2id with little memory, in the usual form (RFC 9106).
func argonHash(password string) string {
	salt := []byte("sixteen bytes!!!")
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=1024,t=1,p=1$%s$%s", b64(salt), b64(argon2.IDKey([]byte(password), salt, 1, 1024, 1, 32)))
}

// waitDecode has ffmpeg try until the stream is there.
func waitDecode(t *testing.T, url string) (pictures []string) {
	t.Helper()
	lab.Eventually(t, lab.Patience, "ffmpeg decodes "+url, func() bool {
		w := lab.FFmpeg("tcp").Watch(t, url, 25)
		_ = w.Wait(lab.Patience) // it is tried again
		pictures = w.Sofar()
		return len(pictures) > 0
	})
	return pictures
}

func checkRefusals(t *testing.T, g *lab.Gateway, scheme string, clip *lab.Clip) {
	t.Helper()
	r, err := lab.Dial(t, g.HostPort()).Do("DESCRIBE", g.URL("live"), nil, "")
	if err != nil || r.Status != 401 || !strings.HasPrefix(r.Header.Get("Www-Authenticate"), scheme) {
		t.Errorf("DESCRIBE without password = %d %v, %v, want 401 and %s", r.Status, r.Header, err, scheme)
	}
	for _, url := range []string{
		g.URL("live"), lab.With(g.URL("live"), "viewer", "see"), lab.With(g.URL("live"), "encoder", "guess"),
	} {
		p := lab.Encode(t, clip, url)
		if err := p.Wait(lab.Patience); err == nil {
			t.Errorf("ffmpeg publishes to %s without the right password", url)
		}
	}
}

// keepAlive is how long players go on without being asked to: longer than a session lives by itself, 60 s.
const keepAlive = 80 * time.Second

// TestKeepAlive proves that each player, over each transport, keeps its session alive in its own way, and sees the stream
// meanwhile; and that a player which says nothing at all is dropped.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	clip := lab.H264(t)
	g := lab.NewGateway(t, "a")
	g.SelfSigned()
	g.RTSP = append(g.RTSP, "write_timeout: 60s") // the machine may stop a player for longer than the usual 10 s
	g.Start()
	lab.Encode(t, clip, g.URL("live"))
	g.WaitStream("live")
	silent := lab.Open(t, g.URL("live"), lab.UDP)
	silent.Resume()
	const frames = int(keepAlive/time.Second) * lab.FrameRate
	watching := make([]*lab.Watching, 0, len(viewers))
	before := lab.UDPDrops(t)
	for _, v := range viewers {
		watching = append(watching, v.Watch(t, v.URL(g, "live"), frames))
	}
	for _, w := range watching {
		pictures, share := w.Pictures(), 0.95
		if lab.UDPDrops(t) > before && w.Lossy() {
			share = mostly
		}
		clip.Mostly(t, w.String(), pictures, frames, share)
	}
	select {
	case <-silent.Conn.Gone():
	default:
		last := silent.Tracks[0].Stats().Last
		if d := time.Since(last); d < 5*time.Second {
			t.Errorf("a player that says nothing still gets packets after %v", keepAlive)
		}
	}
}

// TestPause proves that PAUSE stops a stream and PLAY goes on with it live, in one SSRC, over UDP and TCP.
func TestPause(t *testing.T) {
	t.Parallel()
	g := lab.NewGateway(t, "a").Start()
	lab.Encode(t, lab.H264(t), g.URL("live"))
	g.WaitStream("live")
	for _, transport := range []lab.Transport{lab.UDP, lab.TCP} {
		p := lab.Play(t, g.URL("live"), transport)
		other := lab.Play(t, g.URL("live"), transport)
		p.Plays(time.Second)
		p.Pause()
		other.Plays(time.Second / 2) // whatever was on its way has come
		before := p.Tracks[0].Stats().Packets
		other.Plays(2 * time.Second)
		if n := p.Tracks[0].Stats().Packets - before; n > 0 {
			t.Errorf("%s: %d packets while paused", transport, n)
		}
		p.Resume()
		p.Plays(2 * time.Second)
		p.Connected()
		p.Flawless()
		other.Flawless()
		p.Stop()
		other.Stop()
	}
}
