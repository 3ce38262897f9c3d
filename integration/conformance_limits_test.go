//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"peergate/integration/lab"
)

// The limits of the tight gateway. Its clauses come from different addresses of loopback, as from different hosts.
const (
	tightConnections = 6
	tightSessions    = 3
)

// limitClauses are about clients that take more than their share (§16).
var limitClauses = []clause{
	{"slow header", "§16, RFC 7826 §21.1: a request that never ends is not waited for", slowHeader},
	{"slow body", "§16: likewise", slowBody},
	{"idle connection", "§9.1: a connection may be idle between requests", idleConnection},
	{"connections of an address", "§16, RFC 7826 §21.1", connectionsPerAddress},
	{"sessions of an address", "§16, RFC 7826 §21.1", sessionsPerAddress},
}

func slowHeader(t *testing.T, s *site) {
	for i, text := range []string{"O", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX-Slow:", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n"} {
		c := lab.DialRawFrom(t, fmt.Sprintf("127.0.1.%d", 1+i), s.tight.HostPort())
		c.Send(text)
		checkEnds(t, c, text)
	}
}

// checkEnds wants a connection to be closed soon after header_timeout, which is a second.
func checkEnds(t *testing.T, c *lab.Raw, what string) {
	t.Helper()
	began := time.Now()
	c.Ends()
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("%q is waited for %v", what, d)
	}
}

func slowBody(t *testing.T, s *site) {
	c := lab.DialRawFrom(t, "127.0.1.10", s.tight.HostPort())
	text := "GET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 10\r\n\r\nhalf"
	c.Send(text)
	checkEnds(t, c, text)
}

func idleConnection(t *testing.T, s *site) {
	c := lab.DialRawFrom(t, "127.0.1.11", s.tight.HostPort())
	c.Alive()
	if m, err := c.NextWithin(3 * time.Second); err == nil || !strings.Contains(err.Error(), "in time") {
		t.Errorf("an idle connection gets %v, %v", m, err)
	}
	c.Alive()
}

func connectionsPerAddress(t *testing.T, s *site) {
	conns := make([]*lab.Raw, tightConnections)
	for i := range conns {
		conns[i] = lab.DialRawFrom(t, "127.0.1.12", s.tight.HostPort())
		conns[i].Alive()
	}
	over := lab.DialRawFrom(t, "127.0.1.12", s.tight.HostPort())
	over.Send("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
	over.Ends() // after an answer, or without
	lab.DialRawFrom(t, "127.0.1.13", s.tight.HostPort()).Alive()
	for _, c := range conns {
		c.Alive()
	}
	conns[0].Close()
	lab.Eventually(t, lab.Patience, "there is room again", func() bool {
		c := lab.DialRawFrom(t, "127.0.1.12", s.tight.HostPort())
		defer c.Close()
		c.Send("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
		m, err := c.NextWithin(lab.Patience)
		return err == nil && m.Status == 200
	})
}

func sessionsPerAddress(t *testing.T, s *site) {
	c := lab.DialRawFrom(t, "127.0.1.14", s.tight.HostPort())
	track := tracksOf(t, c, s.tight.URL("live"))[0]
	_, udp := tcpAnd(t)
	var last string
	for range tightSessions {
		m := c.Want(200, "SETUP", track, "Transport", udp)
		last, _ = m.SessionID()
	}
	if m := c.Ask("SETUP", track, "Transport", udp); m.Status != 503 && m.Status != 453 {
		t.Errorf("session %d = %s, want 503", tightSessions+1, m.Line)
	}
	lab.DialRawFrom(t, "127.0.1.15", s.tight.HostPort()).Want(200, "SETUP", track, "Transport", udp)
	c.Session = last
	c.Want(200, "TEARDOWN", s.tight.URL("live"))
	c.Session = ""
	c.Want(200, "SETUP", track, "Transport", udp)
}
