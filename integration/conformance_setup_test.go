//go:build integration

package integration

import (
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"peergate/integration/lab"
)

// setupClauses are about SETUP and the Transport header (§10.4, §12.39).
var setupClauses = []clause{
	{"alternatives in order of preference", "§12.39: transports are listed in order of preference", preference},
	{"unknown alternatives", "§12.39: what the server does not know does not spoil the rest", unknownAlternatives},
	{"no valid alternative", "§11.3.13: 461", noAlternative},
	{"no Transport", "§10.4: the header is what SETUP is about; 400 or 461", noTransport},
	{"UDP", "§12.39: client_port, server_port, a pair of which the first is even (RFC 3550 §11), and ssrc", setupUDP},
	{"UDP port range", "§12.39, issue: configurable", portRange},
	{"lower transport named", "§12.39: RTP/AVP/UDP is RTP/AVP", lowerTransport},
	{"mode", "§12.39: PLAY is the default, quoted or not", transportMode},
	{"destination elsewhere", "§12.39: no denial of service against a third host", destination},
	{"interleaved channels as asked", "§10.12, §12.39", askedChannels},
	{"interleaved channels chosen", "§12.39: the server chooses those that are not given", chosenChannels},
	{"tracks over TCP and UDP", "§12.39: transports are of a track", mixedTransports},
	{"SETUP without DESCRIBE", "§10.2: a description may come by other ways", withoutDescribe},
	{"SETUP of the whole", "§11.3.11: 459 for the URL of several tracks", aggregateSetup},
	{"SETUP of the whole where it is one track", "§14.1, appendix C.2: the bare URL, as VLC tries it", bareSetup},
	{"track of another stream", "§11.3.11, §10.4: 459 or 455, a session is one presentation", otherStream},
	{"PLAY of one track of several", "§11.3.12: 460", aggregatePlay},
	{"PLAY of the only track", "§10.5, §11.3.12: aggregate control only where it applies", singlePlay},
	{"PLAY with and without the final slash", "appendix C.1.1: the presentation's URL either way, as VLC retries it", finalSlash},
}

// tcpAnd is a transport over TCP and one over UDP.
func tcpAnd(t *testing.T) (tcp, udp string) {
	t.Helper()
	rtp, _ := lab.UDPPair(t)
	port := rtp.LocalAddr().(*net.UDPAddr).Port
	return "RTP/AVP/TCP;unicast;interleaved=0-1", fmt.Sprintf("RTP/AVP;unicast;client_port=%d-%d", port, port+1)
}

// chosen sets a track up and returns whether the server took TCP.
func chosen(t *testing.T, s *site, transport string) (tcp bool) {
	t.Helper()
	c := lab.DialRaw(t, s.open.HostPort())
	track := tracksOf(t, c, s.open.URL("live"))[0]
	m := c.Want(200, "SETUP", track, "Transport", transport)
	got := m.Header["Transport"]
	if len(got) != 1 || strings.Contains(got[0], ",") {
		t.Fatalf("Transport is %q, want the one that was chosen", got)
	}
	_, channels := m.Param("interleaved")
	_, ports := m.Param("server_port")
	if channels == ports || channels != strings.HasPrefix(got[0], "RTP/AVP/TCP") {
		t.Errorf("Transport is %q", got[0])
	}
	return channels
}

func preference(t *testing.T, s *site) {
	tcp, udp := tcpAnd(t)
	if !chosen(t, s, tcp+","+udp) {
		t.Error("UDP is chosen, TCP was asked for first")
	}
	if chosen(t, s, udp+", "+tcp) {
		t.Error("TCP is chosen, UDP was asked for first")
	}
}

func unknownAlternatives(t *testing.T, s *site) {
	tcp, udp := tcpAnd(t)
	for _, unknown := range []string{
		"RAW/RAW/UDP;unicast;client_port=4000", "x-real-rdt/mcast;client_port=6970;mode=play", "RTP/XYZ;unicast;client_port=4000-4001",
		"RTP/AVP/SCTP;unicast", `x/y;z="a,b;c"`, "RTP/AVP;unicast;client_port=x", "RTP/AVP;unicast;client_port=70000-70001",
	} {
		if !chosen(t, s, unknown+","+tcp) {
			t.Errorf("after %s TCP is not chosen", unknown)
		}
		if chosen(t, s, unknown+","+udp+","+unknown) {
			t.Errorf("after %s UDP is not chosen", unknown)
		}
	}
}

func noAlternative(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	track := tracksOf(t, c, s.open.URL("live"))[0]
	for _, transport := range []string{
		"RAW/RAW/UDP;unicast;client_port=4000", "RTP/AVP;multicast", "RTP/SAVP;unicast;client_port=4000-4001", "nonsense", ";;;", ",",
	} {
		m := c.Want(461, "SETUP", track, "Transport", transport)
		if id, _ := m.SessionID(); id != "" {
			t.Errorf("%s: a session is made", transport)
		}
		c.Alive()
	}
}

func noTransport(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	track := tracksOf(t, c, s.open.URL("live"))[0]
	if m := c.Ask("SETUP", track); m.Status != 400 && m.Status != 461 {
		t.Errorf("SETUP without Transport = %s, want 400 or 461", m.Line)
	}
	c.Alive()
}

func setupUDP(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	track := tracksOf(t, c, s.open.URL("live"))[0]
	rtp, rtcp := lab.UDPPair(t)
	port := rtp.LocalAddr().(*net.UDPAddr).Port
	asked := fmt.Sprintf("%d-%d", port, port+1)
	m := c.Want(200, "SETUP", track, "Transport", "RTP/AVP;unicast;client_port="+asked)
	c.Session, _ = m.SessionID()
	if got, _ := m.Param("client_port"); got != asked {
		t.Errorf("client_port is %q, want %s", got, asked)
	}
	first := serverPort(t, m)
	ssrc, _ := m.Param("ssrc")
	if n, err := strconv.ParseUint(ssrc, 16, 32); err != nil || len(ssrc) != 8 || n == 0 {
		t.Errorf("ssrc is %q, want 8 hexadecimal digits", ssrc)
	}
	c.Want(200, "PLAY", track)
	b := make([]byte, 2000)
	for i, from := range []*net.UDPConn{rtp, rtcp} {
		_ = from.SetReadDeadline(time.Now().Add(lab.Patience))
		_, addr, err := from.ReadFromUDP(b)
		if err != nil {
			t.Fatal(err)
		}
		if addr.Port != first+i {
			t.Errorf("packets come from port %d, want server_port %d", addr.Port, first+i)
		}
		if got := fmt.Sprintf("%08x", binary.BigEndian.Uint32(b[8-4*i:])); !strings.EqualFold(got, ssrc) {
			t.Errorf("SSRC is %s, want %s", got, ssrc)
		}
	}
}

// serverPort returns the first of the pair server_port.
func serverPort(t *testing.T, m lab.Message) int {
	t.Helper()
	v, _ := m.Param("server_port")
	a, b, _ := strings.Cut(v, "-")
	first, err := strconv.Atoi(a)
	if err != nil || first%2 != 0 || b != strconv.Itoa(first+1) {
		t.Fatalf("server_port is %q, want an even port and the next", v)
	}
	return first
}

func portRange(t *testing.T, s *site) {
	c := lab.DialRawFrom(t, "127.0.0.31", s.tight.HostPort())
	track := tracksOf(t, c, s.tight.URL("live"))[0]
	_, udp := tcpAnd(t)
	m := c.Want(200, "SETUP", track, "Transport", udp)
	if got := serverPort(t, m); got != s.tight.Port+100 {
		t.Errorf("server_port begins with %d, want %d", got, s.tight.Port+100)
	}
}

func lowerTransport(t *testing.T, s *site) {
	_, udp := tcpAnd(t)
	if chosen(t, s, strings.Replace(udp, "RTP/AVP;", "RTP/AVP/UDP;", 1)) {
		t.Error("TCP is chosen")
	}
	if chosen(t, s, strings.Replace(udp, "RTP/AVP;unicast", "rtp/avp;UNICAST", 1)) {
		t.Error("TCP is chosen")
	}
}

func transportMode(t *testing.T, s *site) {
	for _, mode := range []string{`mode=PLAY`, `mode="PLAY"`, `mode=play`, `mode="play"`} {
		c := lab.DialRaw(t, s.open.HostPort())
		track := tracksOf(t, c, s.open.URL("live"))[0]
		m := c.Want(200, "SETUP", track, "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1;"+mode)
		if got, ok := m.Param("mode"); ok && !strings.EqualFold(strings.Trim(got, `"`), "PLAY") {
			t.Errorf("%s: answered mode is %s", mode, got)
		}
	}
	c := lab.DialRaw(t, s.open.HostPort())
	track := tracksOf(t, c, s.open.URL("live"))[0]
	if m := c.Ask("SETUP", track, "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1;mode=RECORD"); m.Status < 400 {
		t.Errorf("mode=RECORD of a stream to play = %s, want an error", m.Line)
	}
}

func destination(t *testing.T, s *site) {
	victim, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 99)})
	if err != nil {
		t.Fatal(err)
	}
	defer victim.Close()
	port := victim.LocalAddr().(*net.UDPAddr).Port
	c := lab.DialRaw(t, s.open.HostPort())
	track := tracksOf(t, c, s.open.URL("solo"))[0]
	m := c.Ask("SETUP", track, "Transport", fmt.Sprintf("RTP/AVP;unicast;destination=127.0.0.99;client_port=%d-%d", port, port+1))
	if m.Status != 200 {
		return // refused
	}
	c.Session, _ = m.SessionID()
	c.Want(200, "PLAY", track)
	_ = victim.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := victim.Read(make([]byte, 2000)); err == nil {
		t.Error("packets come to another host")
	}
}

func askedChannels(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	tracks := tracksOf(t, c, s.open.URL("live"))
	for i, want := range []string{"8-9", "4-5"} {
		m := c.Want(200, "SETUP", tracks[i], "Transport", "RTP/AVP/TCP;unicast;interleaved="+want)
		c.Session, _ = m.SessionID()
		if got, _ := m.Param("interleaved"); got != want {
			t.Fatalf("interleaved is %q, want %s", got, want)
		}
	}
	c.Want(200, "PLAY", s.open.URL("live"))
	seen := make(map[uint8]int)
	for seen[8] < 20 || seen[4] < 20 || seen[9] == 0 || seen[5] == 0 {
		m := c.Next()
		if m.Frame == nil {
			t.Fatalf("an answer to nothing: %s", m.Line)
		}
		seen[m.Frame.Channel]++
		kind := m.Frame.Payload[1] & 0x7f
		want := map[uint8]byte{8: 96, 4: 97, 9: 200 & 0x7f, 5: 200 & 0x7f}[m.Frame.Channel]
		if kind != want && m.Frame.Payload[1] != 203 {
			t.Fatalf("channel %d has a packet of type %d, want %d", m.Frame.Channel, kind, want)
		}
	}
}

func chosenChannels(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	seen := make(map[string]bool)
	for _, track := range tracksOf(t, c, s.open.URL("live")) {
		m := c.Want(200, "SETUP", track, "Transport", "RTP/AVP/TCP;unicast")
		c.Session, _ = m.SessionID()
		v, _ := m.Param("interleaved")
		a, b, _ := strings.Cut(v, "-")
		first, err := strconv.Atoi(a)
		if err != nil || b != strconv.Itoa(first+1) || seen[v] {
			t.Fatalf("interleaved is %q, want a new pair of channels", v)
		}
		seen[v] = true
	}
	c.Want(200, "PLAY", s.open.URL("live"))
}

func mixedTransports(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	tracks := tracksOf(t, c, s.open.URL("live"))
	rtp, _ := lab.UDPPair(t)
	port := rtp.LocalAddr().(*net.UDPAddr).Port
	m := c.Want(200, "SETUP", tracks[0], "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
	c.Session, _ = m.SessionID()
	m = c.Ask("SETUP", tracks[1], "Transport", fmt.Sprintf("RTP/AVP;unicast;client_port=%d-%d", port, port+1))
	if m.Status == 461 {
		return // it may insist on one transport, as long as it says so
	}
	if m.Status != 200 {
		t.Fatalf("second SETUP over UDP = %s, want 200 or 461", m.Line)
	}
	c.Want(200, "PLAY", s.open.URL("live"))
	if b := receive(t, rtp); b[1]&0x7f != 97 {
		t.Errorf("payload type %d over UDP, want the sound's 97", b[1]&0x7f)
	}
	if m := c.Next(); m.Frame == nil || m.Frame.Channel > 1 {
		t.Errorf("over TCP comes %+v", m)
	}
}

func withoutDescribe(t *testing.T, s *site) {
	track := tracksOf(t, lab.DialRaw(t, s.open.HostPort()), s.open.URL("live"))[1]
	c := lab.DialRaw(t, s.open.HostPort())
	m := c.Want(200, "SETUP", track, "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
	c.Session, _ = m.SessionID()
	c.Want(200, "PLAY", track)
}

func aggregateSetup(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	for _, url := range []string{s.open.URL("live"), s.open.URL("live/")} {
		c.Want(459, "SETUP", url, "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
		c.Alive()
	}
}

func bareSetup(t *testing.T, s *site) {
	for _, url := range []string{s.open.URL("solo"), s.open.URL("solo/")} {
		c := lab.DialRaw(t, s.open.HostPort())
		m := c.Want(200, "SETUP", url, "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
		c.Session, _ = m.SessionID()
		c.Want(200, "PLAY", url)
		if m := c.Next(); m.Frame == nil {
			t.Errorf("after PLAY comes %s", m.Line)
		}
	}
}

func otherStream(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	other := tracksOf(t, c, s.open.URL("solo"))[0]
	interleaved(t, c, s.open.URL("live"))
	if m := c.Ask("SETUP", other, "Transport", "RTP/AVP/TCP;unicast;interleaved=4-5"); m.Status != 459 && m.Status != 455 {
		t.Errorf("SETUP of another stream's track = %s, want 459 or 455", m.Line)
	}
	c.Want(200, "PLAY", s.open.URL("live"))
}

func aggregatePlay(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	tracks := interleaved(t, c, s.open.URL("live"))
	c.Want(460, "PLAY", tracks[0])
	c.Want(200, "PLAY", s.open.URL("live"))
	c.Want(460, "PAUSE", tracks[1])
	c.Want(200, "PAUSE", s.open.URL("live"))
}

func singlePlay(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	track := tracksOf(t, c, s.open.URL("live"))[0]
	m := c.Want(200, "SETUP", track, "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
	c.Session, _ = m.SessionID()
	c.Want(200, "PLAY", track)
	c.Want(200, "PAUSE", track)
	c.Want(200, "PLAY", s.open.URL("live"))
	c.Want(200, "TEARDOWN", track)
}

func finalSlash(t *testing.T, s *site) {
	for _, url := range []string{s.open.URL("live"), s.open.URL("live/")} {
		c := lab.DialRaw(t, s.open.HostPort())
		interleaved(t, c, s.open.URL("live"))
		c.Want(200, "PLAY", url)
		c.Want(200, "PAUSE", url)
		c.Want(200, "TEARDOWN", url)
	}
}
