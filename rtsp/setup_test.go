package rtsp

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"peergate/conf"
	"peergate/rtsp/wire"
)

// transportOf reads the Transport header of an answer.
func transportOf(t testing.TB, a *wire.Response) wire.Transport {
	t.Helper()
	ts := wire.ParseTransports(a.Header.Values("Transport"))
	if len(ts) != 1 {
		t.Fatalf("Transport = %q, want one", a.Header.Values("Transport"))
	}
	return ts[0]
}

// TestSetup cites RFC 2326 §12.39: the first alternative that can be served is taken; if there is none, 461.
func TestSetup(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track)
	u := newUDP(t)
	tcp := "RTP/AVP/TCP;unicast;interleaved=0-1"
	udp := fmt.Sprintf("RTP/AVP;unicast;client_port=%d-%d", u.port, u.port+1)
	tests := []struct {
		name, transport, want string
	}{
		{"interleaved", tcp, "interleaved=0-1"},
		{"other channels", "RTP/AVP/TCP;interleaved=6-7", "interleaved=6-7"},
		{"odd channels", "RTP/AVP/TCP;interleaved=3-4", "interleaved=3-4"},
		{"last channels", "RTP/AVP/TCP;interleaved=254-255", "interleaved=254-255"},
		{"one channel", "RTP/AVP/TCP;interleaved=8", "interleaved=8-9"},
		{"no channels", "RTP/AVP/TCP;unicast", "interleaved=0-1"},
		{"ports", udp, "client_port="},
		{"one port", fmt.Sprintf("RTP/AVP;unicast;client_port=%d", u.port), "client_port="},
		{"lower transport spelled out", strings.Replace(udp, "RTP/AVP", "RTP/AVP/UDP", 1), "client_port="},
		{"destination is the client", udp + ";destination=127.0.0.1", "client_port="},
		{"unknown first", "RAW/RAW/UDP;client_port=1-2, x, " + tcp, "interleaved=0-1"},
		{"multicast first", "RTP/AVP;multicast;ttl=1, " + tcp, "interleaved=0-1"},
		{"secure first", "RTP/SAVP/TCP;interleaved=0-1," + tcp, "interleaved=0-1"},
		{"preference", udp + "," + tcp, "client_port="},
		{"preference the other way", tcp + "," + udp, "interleaved=0-1"},
		{"mode", tcp + `;mode="PLAY"`, "interleaved=0-1"},
		{"mode bare", tcp + `;mode=play`, "interleaved=0-1"},
		{"unknown parameter", tcp + ";x-dynamic-rate=1", "interleaved=0-1"},
		{"recording what was not announced", tcp + ";mode=record", ""},
		{"unknown alone", "RAW/RAW/UDP;unicast", ""},
		{"nonsense", "nonsense", ""},
		{"no ports", "RTP/AVP;unicast", ""},
		{"port 0", "RTP/AVP;unicast;client_port=0-1", ""},
		{"another host", udp + ";destination=192.0.2.1", ""},
		{"a name", udp + ";destination=victim.example.org", ""},
		{"channels out of range", "RTP/AVP/TCP;interleaved=255-256", ""},
		{"channels apart", "RTP/AVP/TCP;interleaved=0-5", ""},
		{"multicast alone", "RTP/AVP;multicast", ""},
		{"secure alone", "RTP/SAVP/TCP;interleaved=0-1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := s.dial()
			a := c.do("SETUP", s.url("/live/"+wire.Control(0)), "Transport: "+tt.transport)
			if tt.want == "" {
				wantStatus(t, tt.transport, a, 461)
				if a.Header.Has("Session") {
					t.Error("a session was made")
				}
				return
			}
			wantStatus(t, tt.transport, a, 200)
			v := a.Header.Get("Transport")
			tr := transportOf(t, a)
			if !strings.Contains(v, tt.want) || !strings.Contains(v, `mode="PLAY"`) || !strings.Contains(v, "unicast") {
				t.Errorf("Transport = %q, want %s", v, tt.want)
			}
			if ssrc := s.hub.Stream("live").SSRC(0); !tr.HasSSRC || tr.SSRC != ssrc {
				t.Errorf("Transport = %q, want ssrc %08X", v, ssrc)
			}
			if tr.TCP == (tr.Server != nil) {
				t.Errorf("Transport = %q", v)
			}
			if p := tr.Server; p != nil && (p.First%2 != 0 || p.Second != p.First+1) {
				t.Errorf("server_port = %v, want an even one and the next (RFC 3550 §11)", p)
			}
			if p := tr.Client; p != nil && (p.First != u.port || p.Second != u.port+1) {
				t.Errorf("client_port = %v, want %d-%d", p, u.port, u.port+1)
			}
		})
	}
}

// TestSetupURL cites RFC 2326 §11.3.10, §10.4: the bare URL serves a stream of one track; for one of several it is an
// aggregate and 459.
func TestSetupURL(t *testing.T) {
	s := newServer(t, nil)
	s.live("one", h264Track)
	s.live("two", h264Track, pcmuTrack)
	for _, tt := range []struct {
		path string
		want int
	}{
		{"/one", 200},
		{"/one/", 200},
		{"/one/trackID=0", 200},
		{"/one/trackID=1", 404},
		{"/two", 459},
		{"/two/", 459},
		{"/two/trackID=1", 200},
		{"/two/trackID=2", 404},
		{"/none/trackID=0", 404},
	} {
		wantStatus(t, tt.path, s.dial().do("SETUP", s.url(tt.path), "Transport: RTP/AVP/TCP"), tt.want)
	}
	wantStatus(t, "no Transport", s.dial().do("SETUP", s.url("/one")), 400)
}

// TestSetupSession cites RFC 2326 §10.4, §12.37: further tracks join the session of the first; tracks of another stream
// cannot; two tracks of one session need different channels and one way.
func TestSetupSession(t *testing.T) {
	s := newServer(t, nil)
	s.live("live", h264Track, pcmuTrack)
	s.live("other", h264Track)
	c := s.dial()
	a := c.must("SETUP", s.url("/live/trackID=0"), "Transport: RTP/AVP/TCP;interleaved=0-1")
	if v := a.Header.Get("Session"); !strings.HasSuffix(v, ";timeout=60") || len(wire.SessionID(v)) < 8 {
		t.Errorf("Session = %q", v)
	}
	ses := sessionOf(a)
	b := c.must("SETUP", s.url("/live/trackID=1"), "Transport: RTP/AVP/TCP;interleaved=0-1", "Session: "+a.Header.Get("Session"))
	if sessionOf(b) != ses {
		t.Errorf("%s after %s", sessionOf(b), ses)
	}
	if p := transportOf(t, b).Interleaved; p.First == 0 {
		t.Errorf("interleaved = %v, which the first track has", p)
	}
	wantStatus(t, "another stream", c.do("SETUP", s.url("/other/trackID=0"), "Transport: RTP/AVP/TCP", ses), 459)
	wantStatus(t, "another way", c.do("SETUP", s.url("/live/trackID=1"), newUDP(t).transport(), ses), 461)
	wantStatus(t, "bogus session", c.do("SETUP", s.url("/live/trackID=1"), "Transport: RTP/AVP/TCP", "Session: bogus"), 454)
	again := c.must("SETUP", s.url("/live/trackID=1"), "Transport: RTP/AVP/TCP;interleaved=4-5", ses)
	if p := transportOf(t, again).Interleaved; p.First != 4 {
		t.Errorf("interleaved = %v after another SETUP", p)
	}
	c.must("PLAY", s.url("/live"), ses)
	c.frame(4)
	wantStatus(t, "while playing", c.do("SETUP", s.url("/live/trackID=1"), "Transport: RTP/AVP/TCP", ses), 455)
}

// TestUDPPorts: the configured ports are used and told.
func TestUDPPorts(t *testing.T) {
	port := freePort(t)
	s := newServer(t, func(c *conf.Config) { c.RTSP.UDPPorts = conf.Ports{RTP: port} })
	s.live("live", h264Track)
	u := newUDP(t)
	c := s.dial()
	a := c.must("SETUP", s.url("/live"), u.transport())
	if p := transportOf(t, a).Server; p.First != port || p.Second != port+1 {
		t.Errorf("server_port = %v, want %d-%d", p, port, port+1)
	}
	c.must("PLAY", s.url("/live"), sessionOf(a))
	if err := u.rtp.SetReadDeadline(deadline()); err != nil {
		t.Fatal(err)
	}
	_, from, err := u.rtp.ReadFromUDPAddrPort(make([]byte, 2048))
	if err != nil || plain(from) != netip.AddrPortFrom(loopback, uint16(port)) {
		t.Errorf("packet comes from %v, %v, want port %d", from, err, port)
	}
}

// TestTakenUDPPorts: ports that another program has are the server's failure at its begin.
func TestTakenUDPPorts(t *testing.T) {
	p, err := openPair(loopback, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	port, _ := p.numbers()
	if _, err := openSockets(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, conf.Ports{RTP: port}); err == nil || !strings.Contains(err.Error(), "rtsp.udp_ports") {
		t.Errorf("openSockets = %v, want an error about rtsp.udp_ports", err)
	}
}

// TestChannelsComeBack: a SETUP that is refused, or repeated, holds nothing (RFC 2326 §10.4).
func TestChannelsComeBack(t *testing.T) {
	s := newServer(t, func(c *conf.Config) { c.RTSP.MaxSessions = 1 })
	s.live("live", h264Track, pcmuTrack)
	c := s.dial()
	u := newUDP(t)
	ses := sessionOf(c.must("SETUP", s.url("/live/trackID=0"), u.transport()))
	wantStatus(t, "another way", c.do("SETUP", s.url("/live/trackID=1"), "Transport: RTP/AVP/TCP;interleaved=0-1", ses), 461)
	wantStatus(t, "another session", c.do("SETUP", s.url("/live/trackID=0"), "Transport: RTP/AVP/TCP;interleaved=2-3"), 503)
	a := c.must("SETUP", s.url("/live/trackID=0"), "Transport: RTP/AVP/TCP;interleaved=2-3", ses) // not over UDP after all
	if p := transportOf(t, a).Interleaved; p.First != 2 {
		t.Errorf("interleaved = %v, want 2-3", p)
	}
	a = c.must("SETUP", s.url("/live/trackID=1"), "Transport: RTP/AVP/TCP;interleaved=0-1", ses)
	if p := transportOf(t, a).Interleaved; p.First != 0 {
		t.Errorf("interleaved = %v, want 0-1", p)
	}
	s.ports.mu.Lock()
	held := len(s.ports.owners)
	s.ports.mu.Unlock()
	if held != 0 {
		t.Errorf("%d UDP ports are held", held)
	}
	c.must("PLAY", s.url("/live"), ses)
	c.frame(2)
	c.frame(0)
	c.must("TEARDOWN", s.url("/live"), ses)
	for _, conn := range s.allConns() {
		conn.mu.Lock()
		held := len(conn.channels) + len(conn.sessions)
		conn.mu.Unlock()
		if held != 0 {
			t.Errorf("%d channels and sessions are held", held)
		}
	}
}

// TestIPv6 plays over ::1, and a server at any address serves both families (RFC 2326 §3.2).
func TestIPv6(t *testing.T) {
	for _, listen := range []string{"[::1]:0", ":0"} {
		s := newServer(t, func(c *conf.Config) { c.RTSP.Listen = listen })
		s.live("live", h264Track)
		_, port, err := net.SplitHostPort(s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		hosts := []string{"::1"}
		if listen == ":0" {
			hosts = append(hosts, "127.0.0.1")
		}
		for _, host := range hosts {
			addr := net.JoinHostPort(host, port)
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			c := newClient(t, nc)
			url := "rtsp://" + addr + "/live"
			body := string(c.must("DESCRIBE", url).Body)
			if strings.Contains(body, " IN IP6 ::1\r\n") != (host == "::1") {
				t.Errorf("description of %s:\n%s", url, body)
			}
			in, err := openPair(netip.MustParseAddr(host), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer in.close()
			n, _ := in.numbers()
			ses := sessionOf(c.must("SETUP", url, fmt.Sprintf("Transport: RTP/AVP;unicast;client_port=%d-%d", n, n+1)))
			ts := info(t, c.must("PLAY", url, ses))
			if ts[0].URL != url {
				t.Errorf("RTP-Info = %+v", ts)
			}
			packet(t, in.rtp)
			c.must("TEARDOWN", url, ses)
		}
	}
}
