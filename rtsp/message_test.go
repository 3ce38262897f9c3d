package rtsp

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/rtsp/wire"
)

// TestMessages sends messages in all the ways that RFC 2326 §4 and §15 allow, each to a fresh connection.
func TestMessages(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	addr := s.Addr().String()
	tests := []struct {
		name, section, text string
		want                int
	}{
		{"plain", "§6", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200},
		{"LF line ends", "§4", "OPTIONS * RTSP/1.0\nCSeq: 1\n\n", 200},
		{"CR line ends", "§4", "OPTIONS * RTSP/1.0\rCSeq: 1\r\r", 200},
		{"blank lines before", "§4.1", "\r\n\r\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200},
		{"header names of any case", "§4.2", "OPTIONS * RTSP/1.0\r\ncseq: 1\r\nREQUIRE:\r\n\r\n", 200},
		{"folded header", "§4.2", "OPTIONS * RTSP/1.0\r\nCSeq:\r\n 1\r\n\r\n", 200},
		{"absolute URL", "§3.2", "DESCRIBE rtsp://" + addr + "/live RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200},
		{"path alone", "§3.2", "DESCRIBE /live RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200},
		{"scheme of any case", "§3.2", "DESCRIBE RTSP://" + addr + "/live RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200},
		{"percent-encoded URL", "§3.2", "DESCRIBE rtsp://" + addr + "/%6cive RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200},
		{"URL with a query", "§3.2", "DESCRIBE rtsp://" + addr + "/live?token=a,b RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200},
		{"URL with an IPv6 literal", "§3.2", "DESCRIBE rtsp://[::1]:8554/live RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200},
		{"final slash", "§3.2", "DESCRIBE rtsp://" + addr + "/live/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200},
		{"malformed URL", "§11.3.1", "DESCRIBE live RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400},
		{"climbing URL", "§11.3.1", "DESCRIBE rtsp://" + addr + "/../live RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400},
		{"no such stream", "§7.1.1", "DESCRIBE rtsp://" + addr + "/nothing RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404},
		{"no stream at all", "§7.1.1", "DESCRIBE rtsp://" + addr + "/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404},
		{"unknown method", "§6.1", "DANCE * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501},
		{"method of another case", "§6.1", "options * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501},
		{"method that only servers send", "§10.10", "REDIRECT rtsp://" + addr + "/live RTSP/1.0\r\nCSeq: 1\r\n\r\n", 405},
		{"method that needs a stream", "§10", "DESCRIBE * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 405},
		{"RTSP/2.0", "§7.1.1", "OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n", 505},
		{"RTSP/9.9", "§7.1.1", "OPTIONS * RTSP/9.9\r\nCSeq: 1\r\n\r\n", 505},
		{"no CSeq", "§12.17", "OPTIONS * RTSP/1.0\r\n\r\n", 400},
		{"CSeq that is no number", "§12.17", "OPTIONS * RTSP/1.0\r\nCSeq: one\r\n\r\n", 400},
		{"header line without colon", "§4.2", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nnonsense\r\n\r\n", 400},
		{"URL too long", "§7.1.1", "DESCRIBE rtsp://" + addr + "/" + strings.Repeat("x", 5000) + " RTSP/1.0\r\nCSeq: 1\r\n\r\n", 414},
		{"body too large", "§7.1.1", "SET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 200000), 413},
		{"header too large", "RFC 6585 §5", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: " + strings.Repeat("x", 20000) + "\r\n\r\n", 431},
		{"Require", "§12.32", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nRequire: funky-feature\r\n\r\n", 551},
		{"Proxy-Require", "§12.27", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nProxy-Require: funky-feature\r\n\r\n", 551},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := s.dial()
			c.t = t
			c.write(tt.text)
			a := c.answer()
			wantStatus(t, tt.section, a, tt.want)
			if strings.Contains(strings.ToLower(tt.text), "cseq:") && a.Header.Get("CSeq") == "" {
				t.Error("CSeq is not echoed")
			}
			if !a.Header.Has("Date") || !a.Header.Has("Server") {
				t.Errorf("header %v, want Date and Server", a.Header)
			}
			c.must("OPTIONS", "*") // the connection is there and in step
		})
	}
}

// TestRequireNamesTheOptions cites RFC 2326 §12.32 and §12.41: those that are not supported are listed.
func TestRequireNamesTheOptions(t *testing.T) {
	c := newServer(t, nil).dial()
	a := c.do("DESCRIBE", "/live", "Require: funky-feature, other", "Proxy-Require: third")
	wantStatus(t, "DESCRIBE", a, 551)
	if got := a.Header.Get("Unsupported"); got != "funky-feature, other, third" {
		t.Errorf("Unsupported = %q", got)
	}
}

// TestBytewise sends a request one byte at a time: TCP keeps no boundaries.
func TestBytewise(t *testing.T) {
	s := newServer(t, nil)
	c := s.dial()
	if err := c.Conn.(*net.TCPConn).SetNoDelay(true); err != nil {
		t.Fatal(err)
	}
	for _, b := range "$\x09\x00\x03abcOPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX-Long: a\r\n b\r\n\r\n" {
		c.write(string(b))
	}
	wantStatus(t, "OPTIONS", c.answer(), 200)
}

// TestPipelining sends many requests at once, with interleaved data between them, and wants the answers in order
// (RFC 2326 §1.1, §10.12).
func TestPipelining(t *testing.T) {
	c := newServer(t, nil).dial()
	text := ""
	for i := range 50 {
		text += fmt.Sprintf("OPTIONS * RTSP/1.0\r\nCSeq: %d\r\n\r\n$\x07\x00\x04data", 100+i)
	}
	c.write(text)
	for i := range 50 {
		if got := c.answer().Header.Get("CSeq"); got != fmt.Sprint(100+i) {
			t.Fatalf("answer %d has CSeq %s", i, got)
		}
	}
}

// TestOptions cites RFC 2326 §10.1: Public lists all methods, whatever the URL and the stream.
// TestAnswersWaitForTheirReader: requests of a client that does not read yet are left with it instead of piling up answers
// here, and all are answered when it reads.
func TestAnswersWaitForTheirReader(t *testing.T) {
	s := newServer(t, nil)
	track := media.Track{Kind: h264Track.Kind, Lines: slices.Clone(h264Track.Lines)}
	for range 50 {
		track.Lines = append(track.Lines, "a=x-long:"+strings.Repeat("x", 1000))
	}
	s.live("live", track)
	c := s.dial()
	if err := c.Conn.(*net.TCPConn).SetReadBuffer(32 << 10); err != nil {
		t.Fatal(err)
	}
	const n = 200 // 10 MB of answers, more than the system's buffers and the link take
	c.write(strings.Repeat("DESCRIBE "+s.url("/live")+" RTSP/1.0\r\nCSeq: 1\r\n\r\n", n))
	other := s.dial()
	for range 20 {
		other.must("DESCRIBE", s.url("/live"))
	}
	for i := range n {
		a := c.answer()
		if a.Status != 200 || len(a.Body) < 50_000 {
			t.Fatalf("answer %d = %d with %d bytes", i, a.Status, len(a.Body))
		}
	}
}

func TestOptions(t *testing.T) {
	s := newServer(t, nil)
	for _, url := range []string{"*", s.url("/"), s.url("/nothing"), "rtsp://" + s.Addr().String()} {
		public := s.dial().must("OPTIONS", url).Header.Get("Public")
		for _, m := range []string{
			"OPTIONS", "DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "PAUSE", "RECORD", "GET_PARAMETER", "SET_PARAMETER", "TEARDOWN",
		} {
			if !contains(public, m) {
				t.Errorf("OPTIONS %s: Public = %q lacks %s", url, public, m)
			}
		}
	}
}

// TestAllow cites RFC 2326 §12.4: 405 says what is allowed.
func TestAllow(t *testing.T) {
	c := newServer(t, nil).dial()
	a := c.do("REDIRECT", "/live")
	wantStatus(t, "REDIRECT", a, 405)
	if allow := a.Header.Get("Allow"); !contains(allow, "DESCRIBE") || contains(allow, "REDIRECT") {
		t.Errorf("Allow = %q", allow)
	}
}

// TestTimestamp cites RFC 2326 §12.38: it is echoed.
func TestTimestamp(t *testing.T) {
	c := newServer(t, nil).dial()
	if got := c.must("OPTIONS", "*", "Timestamp: 17.25").Header.Get("Timestamp"); got != "17.25" {
		t.Errorf("Timestamp = %q, want 17.25", got)
	}
}

// TestDate cites RFC 2326 §12.18 and RFC 2068 §3.3.1.
func TestDate(t *testing.T) {
	c := newServer(t, nil).dial()
	v := c.must("OPTIONS", "*").Header.Get("Date")
	d, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", v)
	if err != nil || time.Since(d).Abs() > time.Minute {
		t.Errorf("Date = %q, %v", v, err)
	}
}

// TestParameters cites RFC 2326 §10.8, §10.9, §11.3.2: without a body they are pings, and what is not understood is
// named.
func TestParameters(t *testing.T) {
	s := newServer(t, nil)
	c := s.dial()
	for _, method := range []string{"GET_PARAMETER", "SET_PARAMETER"} {
		c.must(method, "*")
		c.must(method, s.url("/live"))
		a := c.doBody(method, s.url("/live"), "packets_received\r\nbarparam: barstuff\r\n", "Content-Type: text/parameters")
		wantStatus(t, method, a, 451)
		if got := string(a.Body); got != "packets_received\r\nbarparam\r\n" || a.Header.Get("Content-Type") != "text/parameters" {
			t.Errorf("%s: body = %q, %v", method, got, a.Header)
		}
	}
}

// TestConnectionClose cites RFC 2326 §12.10: the client may want it.
func TestConnectionClose(t *testing.T) {
	c := newServer(t, nil).dial()
	c.must("OPTIONS", "*", "Connection: close")
	c.gone()
}

// TestNotRTSP closes what cannot be RTSP, and nothing else.
func TestNotRTSP(t *testing.T) {
	s := newServer(t, nil)
	c := s.dial()
	c.write("\x16\x03\x01\x02\x00")
	wantStatus(t, "a TLS hello", c.answer(), 400)
	c.gone()
	c = s.dial()
	c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	a, err := readHTTP(c)
	if err != nil || !strings.HasPrefix(a, "HTTP/1.1 400 ") {
		t.Errorf("a browser is answered %q, %v", a, err)
	}
	c.gone()
}

// TestUnwantedAnswer ignores an answer to a question nobody asked.
func TestUnwantedAnswer(t *testing.T) {
	c := newServer(t, nil).dial()
	c.write("RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n")
	c.must("OPTIONS", "*")
}

// TestSlowHeader closes a connection whose request does not end within rtsp.header_timeout, and one on which nothing is
// done for rtsp.session_timeout; one with a session stays.
func TestSlowHeader(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	slow, idle, busy := s.dial(), s.dial(), s.dial()
	slow.write("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX-Slow:")
	busy.setup(s.url("/live"), 1)
	eventually(t, "the request has begun", func() bool {
		for _, c := range s.allConns() {
			if c.began.Load() != 0 {
				return true
			}
		}
		return false
	})
	s.tickAt(s.settings().HeaderTimeout / 2)
	slow.write(" x")
	s.tickAt(s.settings().HeaderTimeout + time.Second)
	slow.gone()
	idle.must("OPTIONS", "*")
	s.tickAt(s.settings().SessionTimeout + time.Second)
	idle.gone()
	busy.must("OPTIONS", "*")
}

// TestLimits cites rtsp.max_connections, rtsp.max_per_address and rtsp.max_sessions.
func TestLimits(t *testing.T) {
	s := newServer(t, func(c *conf.Config) {
		c.RTSP.MaxPerAddress = 3
		c.RTSP.MaxSessions = 2
	})
	s.live("live", h264Track)
	a := s.dial()
	b := s.dial()
	b.must("OPTIONS", "*")
	third := s.dial()
	third.must("OPTIONS", "*")
	s.dial().gone()
	third.Close()
	eventually(t, "another connection is taken", func() bool { return s.Status().Connections == 2 })
	s.dial().must("OPTIONS", "*")

	first := a.setup(s.url("/live"), 1)
	b.setup(s.url("/live"), 1)
	r := b.do("SETUP", s.url("/live/"+wire.Control(0)), "Transport: RTP/AVP/TCP;interleaved=4-5")
	wantStatus(t, "third SETUP", r, 503)
	if r.Header.Get("Retry-After") == "" {
		t.Error("Retry-After is missing")
	}
	a.must("TEARDOWN", s.url("/live"), first)
	b.must("SETUP", s.url("/live/"+wire.Control(0)), "Transport: RTP/AVP/TCP;interleaved=4-5")
}
