//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"peergate/integration/lab"
)

// messageClauses are about requests and answers as such.
var messageClauses = []clause{
	{"request in single bytes", "§4, RFC 7826 §5: a message is a run of bytes, however TCP cuts it", splitRequest},
	{"requests pipelined", "§9.1: a server must answer requests in the order it got them", pipelined},
	{"folded headers", "§4.2, RFC 2068 §4.2, RFC 7826 §20.2: a line that begins with a space goes on with the one before", folded},
	{"LF line ends", "§4: receivers should take LF by itself as a line end", lineEnds},
	{"header names in any case", "§4.2, RFC 2068 §4.2: field names are case-insensitive", headerCase},
	{"empty lines before a request", "RFC 2068 §4.1, RFC 7826 §5: empty lines are skipped", emptyLines},
	{"frames between requests", "§10.12: interleaved data may come between any two messages", framesBetween},
	{"frames of no channel", "§10.12: data for a channel that nobody set up harms nobody", strangeFrames},
	{"answers of the client", "§9.2, RFC 7826 §10: a client's answer is not a request", clientAnswers},
	{"unknown headers", "§4.5: unrecognized header fields are ignored", unknownHeaders},
	{"unknown method", "§11, RFC 7826 §17.5.2: 501 for a method that is not known", unknownMethod},
	{"method names are case-sensitive", "§6.1: the method is case-sensitive", methodCase},
	{"method not allowed", "§7.1.1, RFC 2068 §10.4.6: 405 with Allow for a method that is known but of no use here", methodNotAllowed},
	{"unknown versions", "§3.1, RFC 7826 §17.5.6: 505", unknownVersions},
	{"missing CSeq", "§12.17: every request must have CSeq; RFC 7826 §18.20: 400", missingCSeq},
	{"malformed requests", "§7.1.1: 400; framing is not lost", malformed},
	{"URL too long", "§7.1.1, RFC 2068 §10.4.15: 414", longURL},
	{"body too large", "§7.1.1, RFC 2068 §10.4.14: 413", largeBody},
	{"header too large", "RFC 6585 §5: 431, or 400", largeHeader},
	{"Timestamp echoed", "§12.38: the server must send the same value back", timestamp},
	{"Public is complete", "§10.1, §12.29: all methods that the server knows", public},
	{"Require of the unknown", "§12.32: 551 with Unsupported", require("Require")},
	{"Proxy-Require of the unknown", "§12.27: 551 with Unsupported", require("Proxy-Require")},
	{"Accept", "§12.1, RFC 2068 §14.1: 406 unless SDP is acceptable", accept},
	{"nothing there", "§11: 404 for a stream that does not exist", notFound},
	{"Connection close", "§12.10, RFC 2068 §14.10: the server closes after its answer", connectionClose},
}

// barrier returns when the server has had the time to read what was sent before: it answers on another connection.
func barrier(c *lab.Raw) { c.Ask("OPTIONS", "*") }

func splitRequest(t *testing.T, s *site) {
	c, other := lab.DialRaw(t, s.open.HostPort()), lab.DialRaw(t, s.open.HostPort())
	body := "position\r\n"
	text := fmt.Sprintf("DESCRIBE %s RTSP/1.0\r\nCSeq: 77\r\nAccept: application/sdp\r\n\r\n", s.open.URL("live")) +
		fmt.Sprintf("GET_PARAMETER %s RTSP/1.0\r\nCSeq: 78\r\nContent-Length: %d\r\n\r\n%s", s.open.URL("live"), len(body), body)
	for i := range len(text) {
		c.Send(text[i : i+1])
		barrier(other)
	}
	for _, want := range []struct {
		cseq   string
		status int
	}{{"77", 200}, {"78", 451}} {
		if m := c.Answer(); m.Status != want.status || m.Header.Get("CSeq") != want.cseq {
			t.Errorf("answer is %s, CSeq %s, want %d, %s", m.Line, m.Header.Get("CSeq"), want.status, want.cseq)
		}
	}
}

func pipelined(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	var b strings.Builder
	const n = 30
	for i := range n {
		method, path := "OPTIONS", "live"
		if i%3 == 1 {
			method = "DESCRIBE"
		} else if i%3 == 2 {
			method, path = "DESCRIBE", "nothing"
		}
		fmt.Fprintf(&b, "%s %s RTSP/1.0\r\nCSeq: %d\r\n\r\n", method, s.open.URL(path), 100+i)
	}
	c.Send(b.String())
	for i := range n {
		want := []int{200, 200, 404}[i%3]
		if m := c.Answer(); m.Header.Get("CSeq") != strconv.Itoa(100+i) || m.Status != want {
			t.Errorf("answer %d is %s, CSeq %s, want %d", i, m.Line, m.Header.Get("CSeq"), want)
		}
	}
}

func folded(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	track := tracksOf(t, c, s.open.URL("live"))[0]
	c.Send("SETUP " + track + " RTSP/1.0\r\nCSeq: 9\r\nTransport: RTP/AVP/TCP;unicast;\r\n interleaved=2-3\r\nX-Long: a\r\n\tb\r\n  c\r\n\r\n")
	m := c.Answer()
	if v, _ := m.Param("interleaved"); m.Status != 200 || v != "2-3" {
		t.Errorf("answer is %s, Transport %q, want 200 and interleaved=2-3", m.Line, m.Header.Get("Transport"))
	}
}

func lineEnds(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	for _, eol := range []string{"\n", "\r\n"} {
		c.Send(strings.Join([]string{"DESCRIBE " + s.open.URL("live") + " RTSP/1.0", "CSeq: 5", "Accept: application/sdp", "", ""}, eol))
		if m := c.Answer(); m.Status != 200 || m.Header.Get("CSeq") != "5" {
			t.Errorf("lines with %q: %s, CSeq %s", eol, m.Line, m.Header.Get("CSeq"))
		}
	}
	c.Send("OPTIONS * RTSP/1.0\nCSeq: 6\r\nX-A: b\n\r\n") // one of each
	if m := c.Answer(); m.Status != 200 || m.Header.Get("CSeq") != "6" {
		t.Errorf("mixed lines: %s", m.Line)
	}
}

func headerCase(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	track := tracksOf(t, c, s.open.URL("solo"))[0]
	c.Send("SETUP " + track + " RTSP/1.0\r\ncseq: 4\r\nTRANSPORT: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n")
	m := c.Answer()
	id, _ := m.SessionID()
	if m.Status != 200 || m.Header.Get("CSeq") != "4" || id == "" {
		t.Fatalf("answer is %s %v", m.Line, m.Header)
	}
	c.Send("PLAY " + s.open.URL("solo") + " RTSP/1.0\r\ncSEQ:5\r\nsEsSiOn:   " + id + "  \r\n\r\n")
	if m := c.Answer(); m.Status != 200 || m.Header.Get("CSeq") != "5" {
		t.Errorf("PLAY = %s", m.Line)
	}
}

func emptyLines(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	c.Send("\r\n\r\n")
	c.Alive()
	c.Send("\r\n\n")
	c.Alive()
}

func framesBetween(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, c, s.open.URL("live"))
	report := "$\x01\x00\x08\x80\xc9\x00\x01\x01\x02\x03\x04"
	c.Send(report)
	c.Want(200, "PLAY", s.open.URL("live"))
	for i := range 5 {
		c.Send(strings.Repeat(report, i) + "$\x03\x00\x00") // an empty one, too
		c.Want(200, "GET_PARAMETER", s.open.URL("live"))
	}
}

func strangeFrames(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	for _, f := range []string{"$\x00\x00\x04abcd", "$\xff\x00\x01x", "$\x07\xff\xff" + strings.Repeat("\x80", 0xffff)} {
		c.Send(f)
		c.Alive()
	}
}

func clientAnswers(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	c.Send("RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 4\r\n\r\nbody")
	c.Alive()
}

func unknownHeaders(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	m := c.Want(200, "DESCRIBE", s.open.URL("live"), "x-Retransmit", "our-retransmit", "Bandwidth", "393216",
		"ClientChallenge", "9e26d33f2984236010ef6253fb1887f7", "RegionData", "0")
	if m.Header.Get("X-Retransmit") != "" {
		t.Error("x-Retransmit is echoed") // §12.41: what is not understood is not answered
	}
}

func unknownMethod(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	for _, method := range []string{"FOO", "PLAY_NOTIFY", "X", "OPTIONSX", "M-SEARCH"} {
		c.Want(501, method, s.open.URL("live"))
		c.Alive()
	}
}

func methodCase(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	for _, method := range []string{"options", "Describe", "pLAY"} {
		c.Want(501, method, s.open.URL("live"))
		c.Alive()
	}
}

func methodNotAllowed(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	m := c.Want(405, "REDIRECT", s.open.URL("live")) // from servers to clients only (§10.10)
	if allow := m.Header.Get("Allow"); !strings.Contains(allow, "DESCRIBE") || !strings.Contains(allow, "SETUP") || strings.Contains(allow, "REDIRECT") {
		t.Errorf("Allow is %q", allow)
	}
	c.Alive()
}

func unknownVersions(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	for i, version := range []string{"RTSP/2.0", "RTSP/9.9", "RTSP/1.1"} {
		cseq := strconv.Itoa(40 + i)
		c.Send("DESCRIBE " + s.open.URL("live") + " " + version + "\r\nCSeq: " + cseq + "\r\n\r\n")
		m := c.Answer()
		if version == "RTSP/1.1" && m.Status == 200 {
			continue // a minor version more says only that more is understood (§3.1, RFC 2068 §3.1)
		}
		if m.Status != 505 || m.Header.Get("CSeq") != cseq || !strings.HasPrefix(m.Line, "RTSP/1.0 ") {
			t.Errorf("%s: %s, CSeq %s, want 505", version, m.Line, m.Header.Get("CSeq"))
		}
		c.Alive()
	}
}

func missingCSeq(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	for _, method := range []string{"OPTIONS", "DESCRIBE", "PLAY"} {
		c.Send(method + " " + s.open.URL("live") + " RTSP/1.0\r\nUser-Agent: test\r\n\r\n")
		if m := c.Answer(); m.Status != 400 {
			t.Errorf("%s without CSeq = %s, want 400", method, m.Line)
		}
		c.Alive()
	}
}

func malformed(t *testing.T, s *site) {
	for _, request := range []string{
		"OPTIONS\r\nCSeq: 1\r\n\r\n",
		"OPTIONS *\r\nCSeq: 1\r\n\r\n",
		"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nno colon\r\n\r\n",
		"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n: no name\r\n\r\n",
		"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -5\r\n\r\n",
		"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 0x10\r\n\r\n",
		"DESCRIBE rtsp://[::1/live RTSP/1.0\r\nCSeq: 1\r\n\r\n",
		"DESCRIBE rtsp://127.0.0.1/%zz RTSP/1.0\r\nCSeq: 1\r\n\r\n",
	} {
		c := lab.DialRaw(t, s.open.HostPort())
		c.Send(request)
		if m := c.Answer(); m.Status != 400 {
			t.Errorf("%q = %s, want 400", request, m.Line)
		}
		if strings.Contains(request, "Content-Length") {
			continue // where the next message begins is not known
		}
		c.Alive()
	}
}

func longURL(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	for _, n := range []int{10_000, 300_000} {
		c.Want(414, "DESCRIBE", s.open.URL(strings.Repeat("x", n)))
		c.Alive()
	}
}

func largeBody(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	if m := c.AskBody("GET_PARAMETER", s.open.URL("live"), strings.Repeat("x", 1_000_000)); m.Status != 413 {
		t.Errorf("GET_PARAMETER with 1 MB = %s, want 413", m.Line)
	}
	c.Alive()
	c = lab.DialRaw(t, s.open.HostPort())
	c.Send("ANNOUNCE " + s.open.URL("huge") + " RTSP/1.0\r\nCSeq: 3\r\nContent-Type: application/sdp\r\nContent-Length: 4000000000\r\n\r\nv=0\r\n")
	if m := c.Answer(); m.Status != 413 || m.Header.Get("CSeq") != "3" {
		t.Errorf("ANNOUNCE with 4 GB = %s, want 413", m.Line)
	}
	c.Ends() // nobody waits for 4 GB
}

func largeHeader(t *testing.T, s *site) {
	for _, header := range []string{"X-Long: " + strings.Repeat("x", 100_000), strings.Repeat("X-Many: x\r\n", 20_000) + "X-Last: x"} {
		c := lab.DialRaw(t, s.open.HostPort())
		c.Send("OPTIONS * RTSP/1.0\r\nCSeq: 12\r\n" + header + "\r\n\r\n")
		if m := c.Answer(); m.Status != 431 && m.Status != 400 {
			t.Errorf("%d bytes of header = %s, want 431", len(header), m.Line)
		}
		c.Alive()
	}
}

func timestamp(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	m := c.Want(200, "OPTIONS", "*", "Timestamp", "12.345")
	value, delay, _ := strings.Cut(m.Header.Get("Timestamp"), " ")
	if _, err := strconv.ParseFloat("0"+delay, 64); value != "12.345" || err != nil {
		t.Errorf("Timestamp is %q, want 12.345, perhaps with a delay", m.Header.Get("Timestamp"))
	}
}

func public(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	for _, url := range []string{"*", s.open.URL("live"), s.open.URL("")} {
		m := c.Want(200, "OPTIONS", url)
		var got []string
		for v := range strings.SplitSeq(m.Header.Get("Public"), ",") {
			got = append(got, strings.TrimSpace(v))
		}
		for _, method := range []string{
			"OPTIONS", "DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "PAUSE", "RECORD", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER",
		} {
			if !slices.Contains(got, method) {
				t.Errorf("OPTIONS %s: Public is %q, without %s", url, got, method)
			}
		}
	}
}

func require(header string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		c := lab.DialRaw(t, s.open.HostPort())
		for _, method := range []string{"OPTIONS", "DESCRIBE", "SETUP"} {
			m := c.Want(551, method, s.open.URL("live"), header, "funky-feature", "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
			if got := m.Header.Get("Unsupported"); got != "funky-feature" {
				t.Errorf("%s: Unsupported is %q", method, got)
			}
			c.Alive()
		}
	}
}

func accept(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	for value, want := range map[string]int{
		"application/sdp": 200,
		"APPLICATION/SDP": 200,
		"application/rtsl, application/sdp;level=-2": 200,
		"text/plain;q=0.9, application/sdp;q=0.1":    200,
		"application/*":                         200,
		"*/*":                                   200,
		"application/rtsl":                      406,
		"text/*, application/mheg":              406,
		"application/sdp;q=0, application/rtsl": 406,
	} {
		c.Want(want, "DESCRIBE", s.open.URL("live"), "Accept", value)
	}
	c.Want(200, "DESCRIBE", s.open.URL("live"))
}

func notFound(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	for _, name := range []string{"nothing", "live/nothing", "", "Live"} {
		c.Want(404, "DESCRIBE", s.open.URL(name))
	}
	c.Want(404, "SETUP", s.open.URL("nothing/track0"), "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
	track := tracksOf(t, c, s.open.URL("live"))[0]
	c.Want(404, "SETUP", track+"9", "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
	c.Alive()
}

func connectionClose(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	c.Want(200, "OPTIONS", "*", "Connection", "close")
	if n := c.Ends(); n > 0 {
		t.Errorf("%d messages after the last answer", n)
	}
}
