//go:build integration

package lab

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Transport is how packets travel between a client of the lab and the server.
type Transport string

// The transports of RFC 2326 §10.12 and §12.39.
const (
	UDP Transport = "udp"
	TCP Transport = "tcp"
)

// Player reads a stream and audits every packet of it.
type Player struct {
	Conn   *Conn
	SDP    string
	URL    string
	Tracks []*Audit
	Asked  time.Time // when PLAY was sent
	t      testing.TB
}

// Play plays a stream; failing to is the test's failure.
func Play(t testing.TB, url string, transport Transport) *Player {
	t.Helper()
	p := Open(t, url, transport)
	p.Resume()
	go p.stayAlive()
	return p
}

// aliveEvery is how often a player says that it is there: three times in the 60 s that a session lives by itself.
const aliveEvery = 20 * time.Second

func (p *Player) stayAlive() {
	tick := time.NewTicker(aliveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_, _ = p.Conn.Do("GET_PARAMETER", p.URL, nil, "") // the packets show whether it was understood
		case <-p.Conn.Gone():
			return
		}
	}
}

// Open describes a stream and sets its tracks up, up to but without PLAY.
func Open(t testing.TB, address string, transport Transport) *Player {
	t.Helper()
	conn, address := DialURL(t, address)
	p := &Player{Conn: conn, URL: address, t: t}
	r := p.Conn.Must("DESCRIBE", address, []string{"Accept", "application/sdp"}, "")
	p.SDP = r.Body
	base := address
	if b := r.Header.Get("Content-Base"); b != "" {
		base = b
	}
	for i, control := range controls(base, p.SDP) {
		p.Tracks = append(p.Tracks, newAudit(Sections(p.SDP)[i]))
		if transport == TCP {
			p.setupTCP(i, control)
		} else {
			p.setupUDP(i, control)
		}
	}
	p.Conn.OnPacket(func(channel uint8, b []byte) {
		if track := int(channel / 2); track < len(p.Tracks) {
			p.Tracks[track].take(b, channel%2 == 1)
		}
	})
	return p
}

func (p *Player) setupTCP(track int, control string) {
	p.t.Helper()
	want := fmt.Sprintf("interleaved=%d-%d", 2*track, 2*track+1)
	r := p.Conn.Must("SETUP", control, []string{"Transport", "RTP/AVP/TCP;unicast;" + want}, "")
	if got := r.Header.Get("Transport"); !strings.Contains(got, want) {
		p.t.Fatalf("Transport is %q, want %s", got, want)
	}
	p.Tracks[track].announced = param(r.Header.Get("Transport"), "ssrc")
}

func (p *Player) setupUDP(track int, control string) {
	p.t.Helper()
	rtp, rtcp := UDPPair(p.t)
	port := rtp.LocalAddr().(*net.UDPAddr).Port
	r := p.Conn.Must("SETUP", control, []string{"Transport", fmt.Sprintf("RTP/AVP;unicast;client_port=%d-%d", port, port+1)}, "")
	from, _, _ := strings.Cut(param(r.Header.Get("Transport"), "server_port"), "-")
	if from == "" {
		p.t.Fatalf("Transport is %q, which has no server_port", r.Header.Get("Transport"))
	}
	a := p.Tracks[track]
	a.announced = param(r.Header.Get("Transport"), "ssrc")
	go a.receive(rtp, false)
	go a.receive(rtcp, true)
}

// receive takes packets from a socket until it is closed.
func (a *Audit) receive(c *net.UDPConn, control bool) {
	b := make([]byte, 64<<10)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		a.take(append([]byte(nil), b[:n]...), control)
	}
}

// UDPPair returns two sockets with an even port and the next.
func UDPPair(t testing.TB) (rtp, rtcp *net.UDPConn) {
	t.Helper()
	for range 100 {
		port := freePort(t)
		var err error
		if rtp, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port}); err != nil {
			continue
		}
		if rtcp, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port + 1}); err != nil {
			rtp.Close()
			continue
		}
		largeBuffer(rtp)
		t.Cleanup(func() { rtp.Close(); rtcp.Close() })
		return rtp, rtcp
	}
	t.Fatal("no pair of UDP ports")
	return nil, nil
}

// largeBuffer lets a socket wait for this process when the machine is busy: the server is not to blame for that. Root may
// exceed the system's limit.
func largeBuffer(c *net.UDPConn) {
	const size = 4 << 20
	_ = c.SetReadBuffer(size)
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) })
	}
}

// param returns a parameter of a Transport header.
func param(header, name string) string {
	for p := range strings.SplitSeq(header, ";") {
		if v, ok := strings.CutPrefix(p, name+"="); ok {
			return v
		}
	}
	return ""
}

// Resume sends PLAY and notes what RTP-Info promises.
func (p *Player) Resume() {
	p.t.Helper()
	for _, a := range p.Tracks {
		a.restart()
	}
	p.Asked = time.Now()
	r := p.Conn.Must("PLAY", p.URL, []string{"Range", "npt=0.000-"}, "")
	for i, info := range strings.Split(r.Header.Get("Rtp-Info"), ",") {
		if i >= len(p.Tracks) {
			break
		}
		if seq, err := strconv.ParseUint(param(info, "seq"), 10, 16); err == nil {
			p.Tracks[i].promise(uint16(seq))
		}
	}
}

// Pause sends PAUSE.
func (p *Player) Pause() {
	p.t.Helper()
	for _, a := range p.Tracks {
		a.pause()
	}
	p.Conn.Must("PAUSE", p.URL, nil, "")
}

// KeepAlive asks for nothing, as players do to keep a session.
func (p *Player) KeepAlive() {
	p.t.Helper()
	if r, err := p.Conn.Do("GET_PARAMETER", p.URL, nil, ""); err != nil || r.Status != 200 {
		p.t.Errorf("GET_PARAMETER = %d, %v", r.Status, err)
	}
}

// Stop sends TEARDOWN and closes the connection.
func (p *Player) Stop() {
	p.t.Helper()
	p.Conn.Must("TEARDOWN", p.URL, nil, "")
	p.Conn.Close()
}

// Plays waits until every track has gone on by so much of its own time.
func (p *Player) Plays(d time.Duration) {
	p.t.Helper()
	want := make([]time.Duration, len(p.Tracks))
	for i, a := range p.Tracks {
		want[i] = a.Stats().Played + d
	}
	var waits string
	done := func() bool {
		for i, a := range p.Tracks {
			if s := a.Stats(); s.Played < want[i] {
				waits = fmt.Sprintf("track %d is %v behind that, %s", i, want[i]-s.Played, p.Conn.state())
				return false
			}
		}
		return true
	}
	if !within(2*Patience, done) {
		p.t.Fatalf("%s does not go on by %v: %s", p.URL, d, waits)
	}
}

// state says whether the connection is there, for messages.
func (c *Conn) state() string {
	select {
	case <-c.gone:
		return "connection lost"
	default:
		return "connected"
	}
}

// Connected fails the test when the RTSP connection has ended.
func (p *Player) Connected() {
	p.t.Helper()
	select {
	case <-p.Conn.gone:
		p.t.Errorf("%s: the server closed the connection", p.URL)
	default:
	}
}

// Flawless fails the test when anything was wrong with the packets so far: none lost, late, doubled or strange.
func (p *Player) Flawless() {
	p.t.Helper()
	for i, a := range p.Tracks {
		s := a.Stats()
		if s.Missing+s.Late+s.Sources-1 != 0 || len(s.Faults) > 0 || s.Packets == 0 {
			p.t.Errorf("%s track %d: %+v", p.URL, i, s)
		}
	}
}
