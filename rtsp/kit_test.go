package rtsp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/rtsp/auth"
	"peergate/rtsp/wire"
)

// h264Track and pcmuTrack are what live streams of the tests have.
var (
	h264Track = media.Track{Kind: "video", Lines: []string{
		"m=video 0 RTP/AVP 96", "b=AS:1200", "a=rtpmap:96 H264/90000",
		"a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==; profile-level-id=42C01E",
		"a=x-camera:lobby \"two words\"",
	}}
	loopback  = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	pcmuTrack = media.Track{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 0", "a=rtpmap:0 PCMU/8000"}}
)

// server is a running server with its hub.
type server struct {
	*Server
	hub  *media.Hub
	t    testing.TB
	stop context.CancelFunc
}

// newServer starts a server on free ports of loopback; configure may change its settings.
func newServer(t testing.TB, configure func(*conf.Config), users ...auth.User) *server {
	t.Helper()
	c := conf.Default()
	c.RTSP.Listen = "127.0.0.1:0"
	c.RTSP.UDPPorts = conf.Ports{}
	if configure != nil {
		configure(&c)
	}
	u, err := auth.New(users, auth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	s := &server{hub: media.NewHub(log), t: t}
	s.Server = New(c, t.TempDir(), u, s.hub, log)
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run = %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	})
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatalf("Run = %v", err)
	}
	return s
}

// url returns the URL of a path at the server.
func (s *server) url(path string) string { return "rtsp://" + s.Addr().String() + path }

// live publishes a stream in the hub until the test ends: a key frame every 200 ms, and audio if there is a second track.
func (s *server) live(name media.Name, tracks ...media.Track) *media.Publisher {
	s.t.Helper()
	pub, err := s.hub.Publish(name, tracks, media.Origin{Kind: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			for i := range tracks {
				if pub.WriteRTP(i, testPacket(&tracks[i], n), time.Now()) != nil {
					return
				}
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	s.t.Cleanup(func() { close(stop); wg.Wait() })
	return pub
}

// testPacket is packet n of a track.
func testPacket(t *media.Track, n int) []byte {
	b := []byte{0x80, 0x80 | t.PayloadTypes()[0]}
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = binary.BigEndian.AppendUint32(b, uint32(n*t.ClockRate()/50))
	b = binary.BigEndian.AppendUint32(b, 0xcafe)
	switch {
	case t.Kind == "video" && n%10 == 0:
		b = append(b, 0x65)
	case t.Kind == "video":
		b = append(b, 0x41)
	}
	return fmt.Appendf(b, "packet %d", n)
}

// tickAt does what would be done at a later time.
func (s *server) tickAt(later time.Duration) {
	now := time.Now().Add(later)
	for _, ses := range s.allSessions() {
		ses.tick(now)
	}
	for _, c := range s.allConns() {
		c.tick(now)
	}
}

// client is a raw connection.
type client struct {
	net.Conn
	r      *wire.Reader
	t      testing.TB
	cseq   int
	frames []*wire.Frame // that came before an answer
}

// dial connects to a server.
func (s *server) dial() *client {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	return newClient(s.t, nc)
}

func newClient(t testing.TB, nc net.Conn) *client {
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{Conn: nc, r: wire.NewReader(nc, nil), t: t}
}

// write sends text as it is.
func (c *client) write(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// answer returns the next answer; interleaved packets are kept.
func (c *client) answer() *wire.Response {
	c.t.Helper()
	for {
		m, err := c.r.Read()
		if err != nil {
			c.t.Fatalf("read: %v", err)
		}
		switch m := m.(type) {
		case *wire.Response:
			return m
		case *wire.Frame:
			c.frames = append(c.frames, m)
		}
	}
}

// frame returns the next interleaved packet of a channel.
func (c *client) frame(channel uint8) []byte {
	c.t.Helper()
	for {
		for i, f := range c.frames {
			if f.Channel == channel {
				c.frames = append(c.frames[:i], c.frames[i+1:]...)
				return f.Payload
			}
		}
		m, err := c.r.Read()
		if err != nil {
			c.t.Fatalf("read: %v", err)
		}
		if f, ok := m.(*wire.Frame); ok {
			c.frames = append(c.frames, f)
		}
	}
}

// do sends a request with a CSeq and returns its answer. Headers are written as they are, "Name: value".
func (c *client) do(method, url string, headers ...string) *wire.Response {
	c.t.Helper()
	return c.doBody(method, url, "", headers...)
}

func (c *client) doBody(method, url, body string, headers ...string) *wire.Response {
	c.t.Helper()
	c.cseq++
	text := fmt.Sprintf("%s %s RTSP/1.0\r\nCSeq: %d\r\n", method, url, c.cseq)
	for _, h := range headers {
		text += h + "\r\n"
	}
	if body != "" {
		text += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	c.write(text + "\r\n" + body)
	a := c.answer()
	if got := a.Header.Get("CSeq"); got != fmt.Sprint(c.cseq) {
		c.t.Fatalf("%s %s: CSeq of the answer = %q, want %d", method, url, got, c.cseq)
	}
	return a
}

// must is do for a request that has to succeed.
func (c *client) must(method, url string, headers ...string) *wire.Response {
	c.t.Helper()
	a := c.do(method, url, headers...)
	wantStatus(c.t, method+" "+url, a, 200)
	return a
}

// gone waits until the server has closed the connection.
func (c *client) gone() {
	c.t.Helper()
	for {
		_, err := c.r.Read()
		var fault *wire.Error
		var timeout net.Error
		switch {
		case err == nil, errors.As(err, &fault):
		case errors.As(err, &timeout) && timeout.Timeout():
			c.t.Fatal("the server keeps the connection")
		default:
			return
		}
	}
}

func wantStatus(t testing.TB, what string, a *wire.Response, want int) {
	t.Helper()
	if a.Status != want {
		t.Fatalf("%s: status = %d, want %d\n%v\n%s", what, a.Status, want, a.Header, a.Body)
	}
}

// sessionOf returns the header to send with further requests.
func sessionOf(a *wire.Response) string {
	return "Session: " + wire.SessionID(a.Header.Get("Session"))
}

// setup sets tracks up interleaved, on channels 0-1, 2-3 and so on, and returns the Session header.
func (c *client) setup(url string, tracks int) string {
	c.t.Helper()
	var headers []string
	for i := range tracks {
		h := append([]string{fmt.Sprintf("Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d", 2*i, 2*i+1)}, headers...)
		headers = []string{sessionOf(c.must("SETUP", url+"/"+wire.Control(i), h...))}
	}
	return headers[0]
}

// freePort returns an even port of loopback that is free for TCP and UDP, with the three after it. It is below those that
// Linux gives to outgoing connections (from 32768 on), so that none of these takes it before the test does.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 10000 + 4*rand.IntN(2500)
		if isFree(port) && isFree(port+1) && isFree(port+2) && isFree(port+3) {
			return port
		}
	}
	t.Fatal("no ports are free")
	return 0
}

func isFree(port int) bool {
	addr := netip.AddrPortFrom(loopback, uint16(port)).String()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	l.Close()
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// udp is a client's pair of ports.
type udp struct {
	rtp, rtcp *net.UDPConn
	port      int
}

// newUDP opens a pair of ports on loopback.
func newUDP(t testing.TB) *udp {
	t.Helper()
	p, err := openPair(loopback, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	n, _ := p.numbers()
	return &udp{p.rtp, p.rtcp, n}
}

func (u *udp) transport() string {
	return fmt.Sprintf("Transport: RTP/AVP;unicast;client_port=%d-%d", u.port, u.port+1)
}

// packet returns the next packet that comes to a socket.
func packet(t testing.TB, c *net.UDPConn) []byte {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	n, err := c.Read(b)
	if err != nil {
		t.Fatalf("no packet: %v", err)
	}
	return b[:n]
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: not so within %v", what, patience)
		}
	}
}

func contains(list, token string) bool {
	for s := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(s) == token {
			return true
		}
	}
	return false
}
