package rtsp

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/rtsp/wire"
)

// readHTTP reads the head of an HTTP answer and returns its first line. What follows is read as RTSP.
func readHTTP(c *client) (string, error) {
	br := bufio.NewReader(c.r.Buffered())
	tp := textproto.NewReader(br)
	line, err := tp.ReadLine()
	if err != nil {
		return "", err
	}
	_, err = tp.ReadMIMEHeader()
	c.r = wire.NewReader(br, nil)
	return line, err
}

const get = "GET /live HTTP/1.0\r\nx-sessioncookie: %s\r\nAccept: application/x-rtsp-tunnelled\r\n\r\n"

const post = "POST /live HTTP/1.0\r\nx-sessioncookie: %s\r\nContent-Type: application/x-rtsp-tunnelled\r\nContent-Length: 32767\r\n\r\n"

// tunnel opens the GET and the POST of a tunnel.
func (s *server) tunnel(cookie string) (down, up *client) {
	s.t.Helper()
	down, up = s.dial(), s.dial()
	down.write(fmt.Sprintf(get, cookie))
	if line, err := readHTTP(down); err != nil || line != "HTTP/1.0 200 OK" {
		s.t.Fatalf("GET is answered %q, %v", line, err)
	}
	up.write(fmt.Sprintf(post, cookie))
	return down, up
}

func encode(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func ask(method, url string, headers ...string) string {
	return fmt.Sprintf("%s %s RTSP/1.0\r\nCSeq: 1\r\n%s\r\n\r\n", method, url, strings.Join(headers, "\r\n"))
}

// TestTunnel plays through RTSP over HTTP: requests in base64 with padding each, cut anywhere, over several POSTs, none
// of which is answered, and more than Content-Length has announced.
func TestTunnel(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	down, up := s.tunnel("a1")
	text := encode(ask("OPTIONS", s.url("/live"), "X: "+strings.Repeat("x", 900)))
	for range 30 { // 36 KB
		up.write(text[:7])
		up.write(text[7:] + "\r\n")
		wantStatus(t, "OPTIONS", down.answer(), 200)
	}
	up.Close()
	up = s.dial()
	up.write(fmt.Sprintf(post, "a1"))
	half := encode(ask("SETUP", s.url("/live/trackID=0"), "Transport: RTP/AVP/TCP;interleaved=0-1"))
	up.write(half[:21])
	up.Close()
	up = s.dial()
	up.write(fmt.Sprintf(post, "a1") + half[21:])
	a := down.answer()
	wantStatus(t, "SETUP", a, 200)
	up.write(encode(ask("PLAY", s.url("/live"), sessionOf(a))))
	wantStatus(t, "PLAY", down.answer(), 200)
	down.frame(0)
	up.write(encode("$\x01\x00\x08\x80\xc9\x00\x01\x01\x02\x03\x04")) // a report
	up.write(encode(ask("SETUP", s.url("/live/trackID=0"), newUDP(t).transport())))
	wantStatus(t, "UDP beside a tunnel", down.answer(), 461)
	if err := down.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	down.frame(0)
	up.write(encode(ask("TEARDOWN", s.url("/live"), sessionOf(a))))
	wantStatus(t, "TEARDOWN after the end of the GET's own side", down.answer(), 200)
	down.Close()
	up.gone() // with its GET, and without an answer
	eventually(t, "all is over", func() bool { return s.Status().Connections == 0 })
}

// TestTunnelRefused: what is no tunnel, and what would be somebody else's.
func TestTunnelRefused(t *testing.T) {
	s := newServer(t, nil)
	down, _ := s.tunnel("mine")
	for name, text := range map[string]string{
		"400 no cookie":         "GET / HTTP/1.1\r\n\r\n",
		"400 long cookie":       fmt.Sprintf(get, strings.Repeat("x", 300)),
		"400 cookie in use":     fmt.Sprintf(get, "mine"),
		"404 POST without GET":  fmt.Sprintf(post, "other"),
		"405 PUT":               "PUT / HTTP/1.1\r\nx-sessioncookie: mine\r\n\r\n",
		"404 POST from outside": fmt.Sprintf(post, "mine"),
	} {
		from := "127.0.0.1"
		if strings.Contains(name, "outside") {
			from = "127.0.0.2"
		}
		c := s.dialFrom(from)
		c.write(text)
		if line, err := readHTTP(c); err != nil || !strings.Contains(line, " "+name[:3]+" ") {
			t.Errorf("%s: answer is %q, %v", name, line, err)
		}
		c.gone()
	}
	theirs := s.dialFrom("127.0.0.2") // who guesses a cookie does not learn that it is in use, nor keeps it from its owner
	theirs.write(fmt.Sprintf(get, "mine"))
	if line, err := readHTTP(theirs); err != nil || !strings.Contains(line, " 200 ") {
		t.Errorf("GET of another host with the same cookie: answer is %q, %v", line, err)
	}
	up := s.dial()
	up.write(fmt.Sprintf(post, "mine") + "!!!!")
	up.gone() // what is no base64 ends the POST alone
	up = s.dial()
	up.write(fmt.Sprintf(post, "mine") + encode(ask("OPTIONS", "*")))
	wantStatus(t, "OPTIONS", down.answer(), 200)
}

// TestHalfTunnel closes a GET whose POST does not come within rtsp.header_timeout.
func TestHalfTunnel(t *testing.T) {
	s := newServer(t, nil)
	c := s.dial()
	c.write(fmt.Sprintf(get, "half"))
	whole, up := s.tunnel("whole")
	up.write(encode(ask("OPTIONS", "*")))
	wantStatus(t, "OPTIONS", whole.answer(), 200)
	s.tickAt(s.settings().HeaderTimeout + time.Second)
	c.gone()
	up.write(encode(ask("OPTIONS", "*")))
	wantStatus(t, "OPTIONS", whole.answer(), 200)
}

// TestPostsInOrder has a POST wait for a connection that was accepted before it until that has shown what it is for, or
// has said nothing for too long. Once the second of two POSTs that came at the same moment was read first.
func TestPostsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(conf.Default(), "", nil, media.NewHub(slog.New(slog.DiscardHandler)), slog.New(slog.DiscardHandler))
		accepted := func(remote string) *conn {
			s.lastConn++
			c := newConn(s, s.lastConn, nil, netip.MustParseAddrPort(remote), netip.AddrPort{})
			s.conns[c] = struct{}{}
			return c
		}
		old, _, post, _ := accepted("192.0.2.1:1"), accepted("192.0.2.2:1"), accepted("192.0.2.1:2"), accepted("192.0.2.1:3")
		for _, shows := range []bool{false, true} {
			begun := time.Now()
			done := make(chan struct{})
			go func() {
				defer close(done)
				post.waitForOlder(t.Context())
			}()
			time.Sleep(handover / 2)
			if shows {
				old.show()
			}
			<-done
			want := handover
			if shows {
				want /= 2
			}
			if d := time.Since(begun); d != want {
				t.Errorf("an older connection that shows itself (%v) is waited for %v, want %v", shows, d, want)
			}
		}
	})
}

// TestBase64Reader decodes what is encoded in pieces of any length.
func TestBase64Reader(t *testing.T) {
	want := ""
	text := ""
	for i := range 100 {
		piece := strings.Repeat("x", i)
		want += piece
		text += encode(piece) + "\r\n"
	}
	for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
		got, err := io.ReadAll(&base64Reader{from: r})
		if err != nil || string(got) != want {
			t.Errorf("read %d bytes, %v, want %d", len(got), err, len(want))
		}
	}
	if _, err := io.ReadAll(&base64Reader{from: strings.NewReader("T1BU!")}); err != nil {
		t.Errorf("an unfinished group is %v", err)
	}
	if _, err := io.ReadAll(&base64Reader{from: strings.NewReader("T1B!")}); err == nil {
		t.Error("nonsense is read")
	}
}

// FuzzBase64Reader compares with the standard library where that understands the input, and else wants no panic.
func FuzzBase64Reader(f *testing.F) {
	f.Add([]byte("T1BUSU9OUyAq\r\nDQo="))
	f.Add([]byte("===="))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := io.ReadAll(&base64Reader{from: iotest.HalfReader(bytes.NewReader(b))})
		want, err2 := base64.StdEncoding.DecodeString(string(b))
		if err2 == nil && !bytes.ContainsAny(b, " \t") && (err != nil || !bytes.Equal(got, want)) {
			t.Errorf("%q: %q, %v, want %q", b, got, err, want)
		}
	})
}
