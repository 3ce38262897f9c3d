//go:build integration

package integration

import (
	cryptorand "crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"peergate/integration/lab"
)

// tunnelClauses are about RTSP over HTTP, which has no RFC: Apple's "Tunnelling RTSP and RTP through HTTP" describes it.
var tunnelClauses = []clause{
	{"HTTP 1.0", "GET is answered, POST never", tunnelled("1.0")},
	{"HTTP 1.1", "GET is answered, POST never", tunnelled("1.1")},
	{"base64 in pieces", "RFC 4648 §4: groups of four characters, however TCP cuts them", tunnelPieces},
	{"base64 of several requests", "requests may be encoded together", tunnelTogether},
	{"base64 with line breaks", "RFC 2045 §6.8: line breaks are ignored", tunnelLines},
	{"POST longer than it said", "Content-Length is made up by all clients", tunnelLong},
	{"POST opened anew", "the client may close the POST and open another", tunnelReopened},
	{"POST of no tunnel", "it is refused or closed", strangePOST},
	{"GET of a browser", "RFC 7231 §6.5: a clear error", browserGET},
	{"GET ends", "so does the session", tunnelEnds},
	{"base64 that is none", "the tunnel ends, nothing else", tunnelNonsense},
}

// tunnel is both connections.
type tunnel struct {
	*lab.Raw // of the GET; what is read comes from it
	post     *lab.Raw
	cookie   string
	version  string
	dial     func() *lab.Raw
}

func openTunnel(t *testing.T, version string, dial func() *lab.Raw) *tunnel {
	t.Helper()
	c := &tunnel{cookie: cryptorand.Text(), version: version, dial: dial}
	c.Raw = dial()
	c.Raw.Send(fmt.Sprintf("GET /live HTTP/%s\r\nUser-Agent: test\r\nx-sessioncookie: %s\r\nAccept: application/x-rtsp-tunnelled\r\n"+
		"Pragma: no-cache\r\nCache-Control: no-cache\r\n\r\n", version, c.cookie))
	m := c.Raw.Next()
	if m.Status != http.StatusOK || !strings.HasPrefix(m.Line, "HTTP/"+version) || m.Header.Get("Content-Type") != "application/x-rtsp-tunnelled" {
		t.Fatalf("GET = %s %v", m.Line, m.Header)
	}
	c.openPOST()
	return c
}

func (c *tunnel) openPOST() {
	c.post = c.dial()
	c.post.Send(fmt.Sprintf("POST /live HTTP/%s\r\nUser-Agent: test\r\nx-sessioncookie: %s\r\nContent-Type: application/x-rtsp-tunnelled\r\n"+
		"Pragma: no-cache\r\nCache-Control: no-cache\r\nContent-Length: 32767\r\nExpires: Sun, 9 Jan 1972 00:00:00 GMT\r\n\r\n", c.version, c.cookie))
}

func (c *tunnel) request(cseq int, method, url string, headers ...string) string {
	s := fmt.Sprintf("%s %s RTSP/1.0\r\nCSeq: %d\r\n", method, url, cseq)
	if c.Session != "" {
		s += "Session: " + c.Session + "\r\n"
	}
	for i := 0; i+1 < len(headers); i += 2 {
		s += headers[i] + ": " + headers[i+1] + "\r\n"
	}
	return s + "\r\n"
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// want sends a request through the tunnel and wants 200.
func (c *tunnel) want(t *testing.T, cseq int, method, url string, headers ...string) lab.Message {
	t.Helper()
	c.post.Send(encode(c.request(cseq, method, url, headers...)))
	return c.answer(t, cseq, method)
}

func (c *tunnel) answer(t *testing.T, cseq int, method string) lab.Message {
	t.Helper()
	m := c.Answer()
	if m.Status != 200 || m.Header.Get("CSeq") != fmt.Sprint(cseq) {
		t.Fatalf("%s through the tunnel = %s, CSeq %s, want 200, %d", method, m.Line, m.Header.Get("CSeq"), cseq)
	}
	return m
}

// play goes through a whole session.
func (c *tunnel) play(t *testing.T, url string) {
	t.Helper()
	cseq := 2
	c.want(t, 1, "OPTIONS", url)
	for i, track := range c.want(t, cseq, "DESCRIBE", url).Tracks() {
		cseq++
		m := c.want(t, cseq, "SETUP", track, "Transport", fmt.Sprintf("RTP/AVP/TCP;unicast;interleaved=%d-%d", 2*i, 2*i+1))
		c.Session, _ = m.SessionID()
	}
	c.want(t, 10, "PLAY", url)
	for range 50 {
		if m := c.Next(); m.Frame == nil {
			t.Fatalf("an answer to nothing: %s", m.Line)
		}
	}
	c.post.Send(encode("$\x01\x00\x08\x80\xc9\x00\x01\x01\x02\x03\x04")) // a receiver report
	c.want(t, 11, "GET_PARAMETER", url)
}

func (s *site) tunnel(t *testing.T, version string) *tunnel {
	t.Helper()
	return openTunnel(t, version, func() *lab.Raw { return lab.DialRaw(t, s.open.HostPort()) })
}

func tunnelled(version string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		c := s.tunnel(t, version)
		c.play(t, s.open.URL("live"))
		if m, err := c.post.NextWithin(100 * time.Millisecond); err == nil {
			t.Errorf("POST is answered %s", m.Line)
		}
		c.want(t, 12, "TEARDOWN", s.open.URL("live"))
	}
}

func tunnelPieces(t *testing.T, s *site) {
	c, other := s.tunnel(t, "1.0"), lab.DialRaw(t, s.open.HostPort())
	for i, b := range encode(c.request(1, "OPTIONS", s.open.URL("live"))) {
		c.post.Send(string(b))
		if i%3 != 0 {
			barrier(other)
		}
	}
	c.answer(t, 1, "OPTIONS")
}

func tunnelTogether(t *testing.T, s *site) {
	c := s.tunnel(t, "1.1")
	c.post.Send(encode(c.request(1, "OPTIONS", "*")+c.request(2, "DESCRIBE", s.open.URL("live"))) + encode(c.request(3, "OPTIONS", "*")))
	for i, method := range []string{"OPTIONS", "DESCRIBE", "OPTIONS"} {
		c.answer(t, i+1, method)
	}
}

func tunnelLines(t *testing.T, s *site) {
	c := s.tunnel(t, "1.0")
	text := encode(c.request(1, "DESCRIBE", s.open.URL("live"), "User-Agent", strings.Repeat("x", 200)))
	for ; len(text) > 76; text = text[76:] {
		c.post.Send(text[:76] + "\r\n")
	}
	c.post.Send(text + "\r\n")
	c.answer(t, 1, "DESCRIBE")
}

func tunnelLong(t *testing.T, s *site) {
	c := s.tunnel(t, "1.0")
	for i := range 60 { // 80 kB
		c.want(t, i+1, "OPTIONS", "*", "X-Long", strings.Repeat("x", 1000))
	}
}

func tunnelReopened(t *testing.T, s *site) {
	c := s.tunnel(t, "1.0")
	c.play(t, s.open.URL("live"))
	c.post.Close()
	for range 20 {
		c.Next()
	}
	c.openPOST()
	c.want(t, 20, "GET_PARAMETER", s.open.URL("live"))
	old := c.post
	c.openPOST() // the new one may come before the old has ended
	c.want(t, 21, "GET_PARAMETER", s.open.URL("live"))
	old.Close()
	c.want(t, 22, "PAUSE", s.open.URL("live"))
	c.want(t, 23, "TEARDOWN", s.open.URL("live"))
}

func strangePOST(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	c.Send("POST /live HTTP/1.0\r\nx-sessioncookie: never-seen\r\nContent-Type: application/x-rtsp-tunnelled\r\nContent-Length: 32767\r\n\r\n" +
		encode("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"))
	if m, err := c.NextWithin(lab.Patience); err == nil && m.Status < 400 {
		t.Errorf("POST of no tunnel = %s", m.Line)
	}
}

func browserGET(t *testing.T, s *site) {
	for _, head := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n",
		"GET /live HTTP/1.0\r\nAccept: application/x-rtsp-tunnelled\r\n\r\n", // no cookie
		"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	} {
		c := lab.DialRaw(t, s.open.HostPort())
		c.Send(head)
		m, err := c.NextWithin(lab.Patience)
		if err != nil || m.Status < 400 || !strings.HasPrefix(m.Line, "HTTP/1.") {
			t.Errorf("%q is answered %q, %v, want an error of HTTP", head, m.Line, err)
		}
	}
}

func tunnelEnds(t *testing.T, s *site) {
	c := s.tunnel(t, "1.0")
	c.play(t, s.open.URL("live"))
	c.Close()
	c.post.Ends()
	other := lab.DialRaw(t, s.open.HostPort())
	other.Session = c.Session
	lab.Eventually(t, lab.Patience, "the session has ended", func() bool {
		return other.Ask("GET_PARAMETER", s.open.URL("live")).Status == 454
	})
}

func tunnelNonsense(t *testing.T, s *site) {
	c := s.tunnel(t, "1.0")
	c.post.Send("this is *no* base64: \x00\xff" + strings.Repeat("=", 100) + "\r\n\r\n")
	c.post.Send(encode(c.request(1, "OPTIONS", "*")))
	if m, err := c.NextWithin(lab.Patience); err == nil && m.Status == 200 && m.Header.Get("CSeq") != "1" {
		t.Errorf("nonsense is answered %s", m.Line)
	}
	s.tunnel(t, "1.0").play(t, s.open.URL("live"))
}
