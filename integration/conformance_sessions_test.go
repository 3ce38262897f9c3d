//go:build integration

package integration

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"peergate/integration/lab"
)

// sessionClauses are about sessions and their states (§12.37, appendix A).
var sessionClauses = []clause{
	{"unknown session", "§11.3.5: 454", unknownSession},
	{"no session", "§11.3.5, RFC 7826 §18.49: 454 for what needs a session", noSession},
	{"wrong state", "§11.3.6, appendix A.2: 455, with Allow", wrongState},
	{"wrong state of a publisher", "§11.3.6, appendix A.2: 455", wrongPublisherState},
	{"RECORD without ANNOUNCE", "§11.3.6, §10.11: 455", recordWithoutAnnounce},
	{"timeout in the request", "§12.37: some clients echo the header whole", echoedTimeout},
	{"timeout announced", "§12.37: the server says after how long it will close the session", announcedTimeout},
	{"TEARDOWN", "§10.7: the session identifier is no longer valid", teardown},
	{"another host", "RFC 7826 §21.1: sessions cannot be taken over", anotherHost},
	{"another connection", "§1.2, §9.2: a session does not depend on a connection", anotherConnection},
	{"another connection with credentials", "§14, RFC 7826 §21.1: each connection proves who it is", anotherConnectionProves},
	{"connection of interleaved media ends", "§10.12: the session cannot go on without it", interleavedEnds},
	{"time-outs", "§12.37, appendix A: sessions end when nothing is heard for the timeout", timeouts},
}

func unknownSession(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	track := tracksOf(t, c, s.open.URL("live"))[0]
	for _, id := range []string{"12345678", "no-such-session;timeout=60"} {
		c.Session = id
		for _, method := range []string{"PLAY", "PAUSE", "RECORD", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER"} {
			c.Want(454, method, s.open.URL("live"))
		}
		c.Want(454, "SETUP", track, "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
		c.Alive()
	}
}

func noSession(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	for _, method := range []string{"PLAY", "PAUSE", "TEARDOWN", "RECORD"} {
		c.Want(454, method, s.open.URL("live"))
		c.Alive()
	}
}

func wrongState(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, c, s.open.URL("live"))
	wrong := func(method string) {
		t.Helper()
		m := c.Want(455, method, s.open.URL("live"))
		if allow := m.Header.Get("Allow"); !strings.Contains(allow, "TEARDOWN") || !strings.Contains(allow, "PLAY") {
			t.Errorf("%s: Allow is %q", method, allow)
		}
	}
	wrong("PAUSE") // in Ready
	wrong("RECORD")
	c.Want(200, "PLAY", s.open.URL("live"))
	wrong("RECORD")
	c.Want(200, "GET_PARAMETER", s.open.URL("live"))
}

func wrongPublisherState(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	url := s.open.URL("wrong-state")
	o := sourceOptions{solo: true}
	announce(t, c, url, o.sdp())
	m := c.Want(200, "SETUP", url+"/track0", "Transport", "RTP/AVP/TCP;unicast;mode=record;interleaved=0-1")
	c.Session, _ = m.SessionID()
	c.Want(455, "PLAY", url)
	c.Want(200, "RECORD", url)
	c.Want(455, "PLAY", url)
	c.Want(200, "TEARDOWN", url)
}

func announce(t *testing.T, c *lab.Raw, url, sdp string, headers ...string) {
	t.Helper()
	m := c.AskBody("ANNOUNCE", url, sdp, append(headers, "Content-Type", "application/sdp")...)
	if m.Status != 200 {
		t.Fatalf("ANNOUNCE %s = %s\n%s", url, m.Line, m.Body)
	}
	c.Session, _ = m.SessionID() // which may come with SETUP only
}

func recordWithoutAnnounce(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, c, s.open.URL("solo"))
	c.Want(455, "RECORD", s.open.URL("solo"))
	c.Want(200, "PLAY", s.open.URL("solo"))
}

func echoedTimeout(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, c, s.open.URL("solo"))
	for _, suffix := range []string{";timeout=60", "; timeout=60", ";timeout=60;x=y"} {
		id, _, _ := strings.Cut(c.Session, ";")
		c.Session = id + suffix
		c.Want(200, "GET_PARAMETER", s.open.URL("solo"))
	}
	c.Want(200, "PLAY", s.open.URL("solo"))
}

func announcedTimeout(t *testing.T, s *site) {
	for _, want := range []struct {
		g       *lab.Gateway
		timeout time.Duration
	}{{s.open, time.Minute}, {s.brief, briefTimeout}} {
		c := lab.DialRaw(t, want.g.HostPort())
		track := tracksOf(t, c, want.g.URL("live"))[0]
		m := c.Want(200, "SETUP", track, "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
		id, timeout := m.SessionID()
		if len(id) < 8 { // §3.4: at least eight octets
			t.Errorf("session ID %q is too short", id)
		}
		if time.Duration(timeout)*time.Second != want.timeout {
			t.Errorf("Session is %q, want timeout %v", m.Header.Get("Session"), want.timeout)
		}
	}
}

func teardown(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, c, s.open.URL("live"))
	c.Want(200, "PLAY", s.open.URL("live"))
	c.Want(200, "TEARDOWN", s.open.URL("live"))
	c.Frames = nil
	c.Want(454, "PLAY", s.open.URL("live"))
	c.Alive()
	for _, f := range c.Frames {
		if f.Channel%2 == 0 {
			t.Errorf("a packet on channel %d after TEARDOWN", f.Channel)
			break
		}
	}
	c.Session = ""
	interleaved(t, c, s.open.URL("live")) // the connection is as good as new
	c.Want(200, "PLAY", s.open.URL("live"))
}

// udpSession sets all tracks of a stream up over UDP, on a connection from an address of its own, and returns their sockets.
func udpSession(t *testing.T, c *lab.Raw, url string) (rtp, rtcp []*net.UDPConn, server []string) {
	t.Helper()
	for _, track := range tracksOf(t, c, url) {
		a, b := lab.UDPPair(t)
		port := a.LocalAddr().(*net.UDPAddr).Port
		m := c.Want(200, "SETUP", track, "Transport", fmt.Sprintf("RTP/AVP;unicast;client_port=%d-%d", port, port+1))
		c.Session, _ = m.SessionID()
		ports, _ := m.Param("server_port")
		rtp, rtcp, server = append(rtp, a), append(rtcp, b), append(server, ports)
	}
	return rtp, rtcp, server
}

func anotherHost(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	udpSession(t, c, s.open.URL("live"))
	c.Want(200, "PLAY", s.open.URL("live"))
	thief := lab.DialRawFrom(t, "127.0.0.66", s.open.HostPort())
	thief.Session = c.Session
	for _, method := range []string{"PAUSE", "TEARDOWN", "PLAY", "GET_PARAMETER"} {
		thief.Want(454, method, s.open.URL("live")) // it does not even learn that there is one
	}
	c.Want(200, "PAUSE", s.open.URL("live"))
	c.Want(200, "TEARDOWN", s.open.URL("live"))
}

func anotherConnection(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	rtp, _, _ := udpSession(t, c, s.open.URL("live"))
	c.Close()
	again := lab.DialRaw(t, s.open.HostPort())
	again.Session = c.Session
	again.Want(200, "PLAY", s.open.URL("live"))
	receive(t, rtp[0])
	again.Close()
	third := lab.DialRaw(t, s.open.HostPort())
	third.Session = c.Session
	third.Want(200, "TEARDOWN", s.open.URL("live"))
}

// receive waits for a packet.
func receive(t *testing.T, c *net.UDPConn) []byte {
	t.Helper()
	b := make([]byte, 64<<10)
	_ = c.SetReadDeadline(time.Now().Add(lab.Patience))
	n, err := c.Read(b)
	if err != nil {
		t.Fatalf("no packet: %v", err)
	}
	return b[:n]
}

func interleavedEnds(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, c, s.open.URL("live"))
	c.Want(200, "PLAY", s.open.URL("live"))
	c.Close()
	other := lab.DialRaw(t, s.open.HostPort())
	other.Session = c.Session
	lab.Eventually(t, lab.Patience, "the session has ended", func() bool {
		return other.Ask("GET_PARAMETER", s.open.URL("live")).Status == 454
	})
}

// timed is a session and how it shows that it is alive.
type timed struct {
	name string
	tcp  bool
	play bool
	sign func(p *timed) // nil for one that is silent
	c    *lab.Raw
	rtcp *net.UDPConn
	to   *net.UDPAddr // of the server's RTCP
	gone bool         // expected in the end
}

// timeouts runs sessions side by side for three times their timeout: those that show a sign of life in one of the ways that
// players have go on, the others end, and not before their time.
func timeouts(t *testing.T, s *site) {
	url := s.brief.URL("live")
	report := []byte{0x80, 201, 0, 1, 1, 2, 3, 4}
	ask := func(method string) func(*timed) {
		return func(p *timed) { p.c.Ask(method, url) }
	}
	all := []*timed{
		{name: "set up and never played", gone: true},
		{name: "set up over TCP and never played", tcp: true, gone: true},
		{name: "silent over UDP", play: true, gone: true},
		{name: "silent over TCP", play: true, tcp: true, gone: true},
		{name: "OPTIONS", play: true, sign: ask("OPTIONS")},
		{name: "GET_PARAMETER", play: true, sign: ask("GET_PARAMETER")},
		{name: "SET_PARAMETER", play: true, sign: ask("SET_PARAMETER")},
		{name: "GET_PARAMETER without play", sign: ask("GET_PARAMETER")},
		{name: "OPTIONS over TCP", play: true, tcp: true, sign: ask("OPTIONS")},
		{name: "GET_PARAMETER over TCP", play: true, tcp: true, sign: ask("GET_PARAMETER")},
		{name: "RTCP over UDP", play: true, sign: func(p *timed) { _, _ = p.rtcp.WriteToUDP(report, p.to) }},
		{name: "RTCP over TCP", play: true, tcp: true, sign: func(p *timed) { p.c.Send("$\x01\x00\x08" + string(report)) }},
	}
	for _, p := range all {
		p.begin(t, s.brief)
	}
	began := time.Now()
	tick := time.NewTicker(briefTimeout / 4)
	defer tick.Stop()
	early := false
	for time.Since(began) < 3*briefTimeout {
		<-tick.C
		for _, p := range all {
			if p.sign != nil {
				p.sign(p)
			}
		}
		if !early && time.Since(began) < briefTimeout-time.Second {
			early = true
			for _, p := range all {
				p.check(t, s.brief, false)
			}
			began = time.Now() // that was a sign of life
		}
	}
	if !early {
		t.Error("the machine was too slow to see whether sessions end before their time")
	}
	for _, p := range all {
		p.check(t, s.brief, p.gone)
	}
}

func (p *timed) begin(t *testing.T, g *lab.Gateway) {
	t.Helper()
	p.c = lab.DialRaw(t, g.HostPort())
	if p.tcp {
		interleaved(t, p.c, g.URL("live"))
	} else {
		_, rtcp, server := udpSession(t, p.c, g.URL("live"))
		_, port, _ := strings.Cut(server[0], "-")
		to, err := net.ResolveUDPAddr("udp4", net.JoinHostPort(g.Host, port))
		if err != nil {
			t.Fatal(err)
		}
		p.rtcp, p.to = rtcp[0], to
	}
	if p.play {
		p.c.Want(200, "PLAY", g.URL("live"))
	}
}

// check asks over another connection, since that of a session over TCP may be closed with it.
func (p *timed) check(t *testing.T, g *lab.Gateway, gone bool) {
	t.Helper()
	c := lab.DialRaw(t, g.HostPort())
	c.Session = p.c.Session
	want := 200
	if gone {
		want = 454
	}
	if m := c.Ask("GET_PARAMETER", g.URL("live")); m.Status != want {
		t.Errorf("%s: session answers %s, want %d", p.name, m.Line, want)
	}
}
