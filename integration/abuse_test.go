//go:build integration

package integration

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"peergate/integration/lab"
)

// TestAbuse has a machine full of enemies at work while players watch: they lose nothing, and new ones can come.
func TestAbuse(t *testing.T) {
	t.Parallel()
	g := lab.NewGateway(t, "a")
	g.RTSP = []string{"header_timeout: 2s"}
	g.Start()
	lab.Encode(t, lab.H264(t), g.URL("live"))
	g.WaitStream("live")
	players := []*lab.Player{lab.Play(t, g.URL("live"), lab.UDP), lab.Play(t, g.URL("live"), lab.TCP)}
	w := lab.FFmpeg("tcp").Watch(t, g.URL("live"), 500)
	e := &enemy{t: t, to: g.HostPort()}
	t.Cleanup(e.retreat)
	for _, act := range []struct {
		name string
		do   func()
	}{
		{"2000 idle connections", e.idle},
		{"slow headers", e.slowHeaders},
		{"random bytes", e.randomBytes},
		{"huge headers", e.hugeHeaders},
		{"half-open tunnels", e.halfTunnels},
		{"sessions without end", e.manySessions},
		{"broken packets", e.brokenPackets},
	} {
		act.do()
		for _, p := range players {
			p.Plays(time.Second)
			p.KeepAlive()
		}
		t.Logf("%s: %d connections are open", act.name, len(e.conns))
	}
	late := lab.Play(t, g.URL("live"), lab.TCP)
	late.Plays(time.Second)
	for _, p := range append(players, late) {
		p.Connected()
		p.Flawless()
		for i, track := range p.Tracks {
			if s := track.Stats(); s.Pause > longestGap {
				t.Errorf("track %d pauses for %v", i, s.Pause)
			}
		}
	}
	lab.H264(t).Verify(t, "ffmpeg", w.Pictures(), 500)
}

// enemy opens connections from many addresses of loopback, as many hosts would.
type enemy struct {
	t     testing.TB
	to    string
	conns []net.Conn
}

func (e *enemy) retreat() {
	for _, c := range e.conns {
		c.Close()
	}
}

// dial connects from one of 200 addresses; nil when the gateway has enough of it.
func (e *enemy) dial() net.Conn {
	d := net.Dialer{
		Timeout:   lab.Patience,
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 7, byte(1+len(e.conns)%200))},
	}
	c, err := d.Dial("tcp", e.to)
	if err != nil {
		return nil
	}
	e.conns = append(e.conns, c)
	return c
}

// send writes to a new connection; that the gateway closes it is its right.
func (e *enemy) send(text string) net.Conn {
	c := e.dial()
	if c != nil {
		_ = c.SetWriteDeadline(time.Now().Add(lab.Patience))
		_, _ = io.WriteString(c, text)
	}
	return c
}

func (e *enemy) idle() {
	for range 2000 {
		if e.dial() == nil {
			e.t.Fatal("the gateway takes no more connections")
		}
	}
}

// slowHeaders begins requests and never ends them: the gateway must hang up after header_timeout, here 2 s.
func (e *enemy) slowHeaders() {
	var slow []net.Conn
	for range 200 {
		if c := e.send("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX-Slow: "); c != nil {
			slow = append(slow, c)
		}
	}
	deadline := time.Now().Add(lab.Patience)
	for i, c := range slow {
		_ = c.SetReadDeadline(deadline)
		if _, err := io.Copy(io.Discard, c); err != nil && time.Now().After(deadline) {
			e.t.Errorf("slow request %d is waited for without end", i)
			return
		}
	}
}

func (e *enemy) randomBytes() {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		b := make([]byte, 1+r.IntN(20000))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		e.send(string(b))
	}
}

func (e *enemy) hugeHeaders() {
	for range 20 {
		e.send("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX-Huge: " + strings.Repeat("x", 1<<20) + "\r\n\r\n")
		e.send("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n" + strings.Repeat("X-Many: x\r\n", 1<<16) + "\r\n")
		e.send("OPTIONS rtsp://" + strings.Repeat("x", 1<<20) + " RTSP/1.0\r\nCSeq: 1\r\n\r\n")
		e.send("ANNOUNCE rtsp://x/y RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: 2000000000\r\n\r\n" +
			strings.Repeat("x", 1<<20))
	}
}

// halfTunnels opens one side of RTSP over HTTP and never the other.
func (e *enemy) halfTunnels() {
	for i := range 200 {
		e.send(fmt.Sprintf("GET /live HTTP/1.0\r\nx-sessioncookie: half%d\r\nAccept: application/x-rtsp-tunnelled\r\n\r\n", i))
		e.send(fmt.Sprintf("POST /live HTTP/1.0\r\nx-sessioncookie: other%d\r\nContent-Type: application/x-rtsp-tunnelled\r\n"+
			"Content-Length: 32767\r\n\r\nT1BUSU9OUyAq", i))
	}
}

// manySessions sets up sessions and forgets them.
func (e *enemy) manySessions() {
	for i := range 300 {
		e.send(fmt.Sprintf("SETUP rtsp://%s/live/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP;unicast;client_port=%d-%d\r\n\r\n",
			e.to, 40000+2*i, 40001+2*i))
	}
}

// brokenPackets sends interleaved packets nobody asked for, of any length.
func (e *enemy) brokenPackets() {
	for i := range 100 {
		e.send("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n$" + string([]byte{byte(i), 0xff, 0xff}) + strings.Repeat("\x80", 70000))
	}
}
