package rtsp

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/rtsp/wire"
)

// TestSessionNotFound cites RFC 2326 §11.3.5: a session that is missing, bogus or over is 454, whatever the method.
func TestSessionNotFound(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	c := s.dial()
	for _, m := range []string{"PLAY", "PAUSE", "RECORD", "TEARDOWN"} {
		wantStatus(t, m+" without session", c.do(m, s.url("/live")), 454)
	}
	for _, m := range []string{"OPTIONS", "DESCRIBE", "SETUP", "PLAY", "PAUSE", "RECORD", "GET_PARAMETER", "SET_PARAMETER", "TEARDOWN"} {
		a := c.do(m, s.url("/live"), "Session: 12345678", "Transport: RTP/AVP/TCP")
		wantStatus(t, m+" with a bogus session", a, 454)
		if a.Header.Has("Session") {
			t.Errorf("%s: the bogus session is echoed", m)
		}
	}
	ses := c.setup(s.url("/live"), 1)
	c.must("TEARDOWN", s.url("/live"), ses)
	wantStatus(t, "after TEARDOWN", c.do("PLAY", s.url("/live"), ses), 454)
}

// TestWrongState cites RFC 2326 §11.3.6, §A.2: 455 with the methods that are possible.
func TestWrongState(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	c := s.dial()
	ses := c.setup(s.url("/live"), 1)
	for _, m := range []string{"PAUSE", "RECORD", "ANNOUNCE"} {
		a := c.do(m, s.url("/live"), ses)
		wantStatus(t, m+" before PLAY", a, 455)
		if allow := a.Header.Get("Allow"); !contains(allow, "PLAY") || contains(allow, "PAUSE") {
			t.Errorf("%s: Allow = %q", m, allow)
		}
	}
	c.must("PLAY", s.url("/live"), ses)
	wantStatus(t, "RECORD", c.do("RECORD", s.url("/live"), ses), 455)
	c.must("PAUSE", s.url("/live"), ses)
	wantStatus(t, "PAUSE twice", c.do("PAUSE", s.url("/live"), ses), 455)

	p := s.publish("pub", "Transport: RTP/AVP/TCP;interleaved=0-1;mode=record")
	for _, m := range []string{"PLAY", "SETUP"} {
		wantStatus(t, m+" while recording", p.do(m, s.url("/pub"), p.session, "Transport: RTP/AVP/TCP"), 455)
	}
}

// TestAggregate cites RFC 2326 §11.3.10, §11.3.11: what concerns a session of several tracks is asked of all of them.
func TestAggregate(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track, pcmuTrack)
	c := s.dial()
	ses := c.setup(s.url("/live"), 2)
	for _, m := range []string{"PLAY", "PAUSE", "TEARDOWN"} {
		wantStatus(t, m+" of a track", c.do(m, s.url("/live/trackID=1"), ses), 460)
	}
	wantStatus(t, "another stream", c.do("PLAY", s.url("/other"), ses), 404)
	c.must("PLAY", s.url("/live/"), ses)

	c = s.dial()
	ses = c.setup(s.url("/live"), 1)
	c.must("PLAY", s.url("/live/trackID=0"), ses) // the only track
	c.must("TEARDOWN", s.url("/live/trackID=0"), ses)
}

// TestTimeout cites RFC 2326 §12.37: a session that gives no sign of life for the announced time ends, whether it played
// or not, and over TCP too.
func TestTimeout(t *testing.T) {
	for _, tt := range []struct {
		name string
		play bool
		udp  bool
	}{{"never played", false, true}, {"plays over UDP", true, true}, {"plays over TCP", true, false}} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, func(c *conf.Config) { c.RTSP.SessionTimeout = 30 * time.Second })
			s.live("live", h264Track)
			c := s.dial()
			transport := "Transport: RTP/AVP/TCP;interleaved=0-1"
			if tt.udp {
				transport = newUDP(t).transport()
			}
			a := c.must("SETUP", s.url("/live"), transport)
			if got, err := wire.ParseSession(a.Header.Get("Session")); err != nil || got.Timeout != 30*time.Second {
				t.Errorf("Session = %q, want a timeout of 30 s", a.Header.Get("Session"))
			}
			if tt.play {
				c.must("PLAY", s.url("/live"), sessionOf(a))
			}
			s.tickAt(31 * time.Second) // a sign of life may be a little late
			if s.Status().Players != 1 {
				t.Error("the session ends early")
			}
			s.tickAt(35 * time.Second)
			if s.Status().Players != 0 {
				t.Error("the session goes on")
			}
			wantStatus(t, "afterwards", s.dial().do("GET_PARAMETER", s.url("/live"), sessionOf(a)), 454)
			if !tt.udp {
				c.gone() // or else the player would believe that it plays
			}
		})
	}
}

// TestSweep ends a session by itself.
func TestSweep(t *testing.T) {
	s := newServer(t, func(c *conf.Config) { c.RTSP.SessionTimeout = 0 })
	s.live("live", h264Track)
	s.dial().must("SETUP", s.url("/live"), newUDP(t).transport())
	eventually(t, "the session ends", func() bool { return s.Status().Players == 0 })
}

// TestSignsOfLife cites RFC 2326 §12.37, RFC 7826 §10.5: any request with the session, RTCP, and what players send
// without a Session header keep it; media that goes to the player does not.
func TestSignsOfLife(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	c, tcp := s.dial(), s.dial()
	u := newUDP(t)
	a := c.must("SETUP", s.url("/live"), u.transport())
	ses := sessionOf(a)
	c.must("PLAY", s.url("/live"), ses)
	interleaved := tcp.setup(s.url("/live"), 1)
	tcp.must("PLAY", s.url("/live"), interleaved)
	report := []byte{0x80, 201, 0, 1, 1, 2, 3, 4}
	for _, tt := range []struct {
		name, session string
		sign          func()
	}{
		{"OPTIONS", ses, func() { c.must("OPTIONS", s.url("/live"), ses) }},
		{"OPTIONS without session", ses, func() { c.must("OPTIONS", s.url("/live")) }},
		{"GET_PARAMETER", ses, func() { c.must("GET_PARAMETER", s.url("/live"), ses) }},
		{"SET_PARAMETER", ses, func() { c.must("SET_PARAMETER", s.url("/live"), ses) }},
		{"unknown parameter", ses, func() { c.doBody("GET_PARAMETER", s.url("/live"), "x\r\n", ses) }},
		{"timeout echoed", ses, func() { c.must("GET_PARAMETER", s.url("/live"), ses+";timeout=60") }},
		{"RTCP", ses, func() { u.report(t, serverPort(t, a, true), report) }},
		{"RTCP interleaved", interleaved, func() { tcp.write(string((&wire.Frame{Channel: 1, Payload: report}).Append(nil))) }},
	} {
		kept := s.session(wire.SessionID(strings.TrimPrefix(tt.session, "Session: ")))
		kept.seen.Store(1)
		tt.sign()
		eventually(t, tt.name, func() bool { return kept.seen.Load() > 1 })
	}
	silent := s.session(wire.SessionID(strings.TrimPrefix(ses, "Session: ")))
	silent.seen.Store(1)
	packet(t, u.rtp)
	if _, err := u.rtp.WriteToUDPAddrPort(testPacket(&h264Track, 0), netip.MustParseAddrPort(serverPort(t, a, false))); err != nil {
		t.Fatal(err)
	}
	packet(t, u.rtp)
	if silent.seen.Load() != 1 {
		t.Error("a player that says nothing is kept")
	}
}

// TestOtherConnection cites RFC 2326 §1.1, §3: a session over UDP outlives its connection and goes on over another; an
// interleaved one ends.
func TestOtherConnection(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	c := s.dial()
	u := newUDP(t)
	ses := sessionOf(c.must("SETUP", s.url("/live"), u.transport()))
	c.must("PLAY", s.url("/live"), ses)
	packet(t, u.rtp)
	c.Close()
	eventually(t, "the connection ends", func() bool { return s.Status().Connections == 0 })
	packet(t, u.rtp)
	other := s.dial()
	other.must("GET_PARAMETER", s.url("/live"), ses)
	other.must("PAUSE", s.url("/live"), ses)
	other.must("PLAY", s.url("/live"), ses)
	other.must("TEARDOWN", s.url("/live"), ses)

	c = s.dial()
	ses = c.setup(s.url("/live"), 1)
	c.must("PLAY", s.url("/live"), ses)
	c.Close()
	eventually(t, "the session ends", func() bool { return s.Status().Players == 0 })
	wantStatus(t, "afterwards", s.dial().do("GET_PARAMETER", s.url("/live"), ses), 454)
}

// TestHijack: a session of another host does not exist (RFC 2326 §16).
func TestHijack(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	c := s.dial()
	ses := c.setup(s.url("/live"), 1)
	thief := s.dialFrom("127.0.0.2")
	for _, m := range []string{"TEARDOWN", "PLAY", "GET_PARAMETER", "SETUP"} {
		wantStatus(t, m, thief.do(m, s.url("/live"), ses, "Transport: RTP/AVP/TCP"), 454)
	}
	c.must("PLAY", s.url("/live"), ses)
}

// TestEnd: when the server ends, players get their BYE (RFC 3550 §6.6) and connections are closed.
func TestEnd(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	c := s.dial()
	c.must("PLAY", s.url("/live"), c.setup(s.url("/live"), 1))
	c.frame(0)
	s.stop()
	eventuallyBye(t, c)
	c.gone()
}

// TestReconfigure: new limits hold for what comes, and users who lost their rights keep their sessions.
func TestReconfigure(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	c := s.dial()
	ses := c.setup(s.url("/live"), 1)
	cfg := conf.Default()
	cfg.RTSP.SessionTimeout = 30 * time.Second
	cfg.RTSP.MaxSessions = 1
	s.Reconfigure(cfg)
	if got := c.must("GET_PARAMETER", s.url("/live"), ses).Header.Get("Session"); got != wire.SessionID(got)+";timeout=30" {
		t.Errorf("Session = %q, want a timeout of 30 s", got)
	}
	wantStatus(t, "second SETUP", c.do("SETUP", s.url("/live"), "Transport: RTP/AVP/TCP"), 503)
	c.must("PLAY", s.url("/live"), ses)
	c.frame(0)
}

// TestPausedStreamEnds: a paused player learns that there is nothing to go on with.
func TestPausedStreamEnds(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	pub, err := s.hub.Publish("live", []media.Track{h264Track}, media.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	c := s.dial()
	ses := c.setup(s.url("/live"), 1)
	pub.End()
	eventually(t, "PLAY is refused", func() bool { return c.do("PLAY", s.url("/live"), ses).Status >= 400 })
}
