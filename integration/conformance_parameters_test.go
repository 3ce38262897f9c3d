//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"

	"peergate/integration/lab"
)

// parameterClauses are about GET_PARAMETER, SET_PARAMETER and REDIRECT (§10.8, §10.9, §11.2).
var parameterClauses = []clause{
	{"GET_PARAMETER of nothing", "§10.8: a test whether the peer is alive", emptyParameter("GET_PARAMETER")},
	{"SET_PARAMETER of nothing", "RFC 7826 §13.9: likewise", emptyParameter("SET_PARAMETER")},
	{"GET_PARAMETER of the unknown", "§11.3.1, §10.8: 451", unknownParameter("GET_PARAMETER", "packets_received\r\njitter\r\n")},
	{"SET_PARAMETER of the unknown", "§11.3.1, §10.9: 451", unknownParameter("SET_PARAMETER", "barparam: barstuff\r\n")},
	{"redirection", "§11.2, RFC 2068 §10.3.3: 302 with Location", redirection},
}

func emptyParameter(method string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		c := lab.DialRaw(t, s.open.HostPort())
		interleaved(t, c, s.open.URL("live"))
		c.Want(200, method, s.open.URL("live"))
		c.Want(200, method, s.open.URL("live/"))
		c.Want(200, "PLAY", s.open.URL("live"))
		c.Want(200, method, s.open.URL("live"), "Content-Length", "0")
	}
}

func unknownParameter(method, body string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		c := lab.DialRaw(t, s.open.HostPort())
		interleaved(t, c, s.open.URL("live"))
		for range 2 {
			if m := c.AskBody(method, s.open.URL("live"), body, "Content-Type", "text/parameters"); m.Status != 451 {
				t.Errorf("%s of unknown parameters = %s, want 451", method, m.Line)
			}
			c.Want(200, method, s.open.URL("live"))
			c.Session = ""
		}
	}
}

// redirection asks for a stream that is elsewhere; players follow.
func redirection(t *testing.T, s *site) {
	g := lab.NewGateway(t, "away")
	to := s.open.URL("live")
	g.More = "streams:\n  away: {redirect: \"" + to + "\"}\n  loop: {redirect: \"rtsp://" + g.HostPort() + "/loop\"}\n"
	out := lab.Spawn(t, lab.Binary(t), "check", g.Write())
	if err := out.Wait(lab.Patience); err == nil { // a loop may be refused where it is configured
		g.Start()
		if m := lab.DialRaw(t, g.HostPort()).Ask("DESCRIBE", g.URL("loop")); m.Status < 400 {
			t.Errorf("a redirection to itself is answered %s, %s", m.Line, m.Header.Get("Location"))
		}
		g.Stop()
	} else if text := out.Err.String(); !strings.Contains(text, "streams.loop.redirect") {
		t.Errorf("check says\n%s\nwant a word about streams.loop.redirect", text)
	}
	g.More = fmt.Sprintf("streams:\n  away: {redirect: %q}\n", to)
	g.Start()
	c := lab.DialRaw(t, g.HostPort())
	for _, method := range []string{"DESCRIBE", "SETUP", "OPTIONS"} {
		if method == "OPTIONS" {
			c.Want(200, method, "*")
			continue
		}
		m := c.Want(302, method, g.URL("away"), "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
		if got := m.Header.Get("Location"); got != to {
			t.Errorf("%s: Location is %q, want %q", method, got, to)
		}
		c.Alive()
	}
}
