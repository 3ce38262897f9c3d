package rtsp

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/rtsp/wire"

	"github.com/pion/rtcp"
)

// testSDP announces one H.264 track.
const testSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" +
	"a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==\r\na=control:streamid=0\r\n"

// recorder is a client that publishes testSDP.
type recorder struct {
	*client
	session string
	answer  *wire.Response // to SETUP
}

// publish announces and records a stream.
func (s *server) publish(name, transport string) *recorder {
	s.t.Helper()
	c := s.dial()
	wantStatus(s.t, "ANNOUNCE", c.doBody("ANNOUNCE", s.url("/"+name), testSDP, "Content-Type: application/sdp"), 200)
	a := c.must("SETUP", s.url("/"+name+"/streamid=0"), transport)
	r := &recorder{c, sessionOf(a), a}
	c.must("RECORD", s.url("/"+name), r.session, "Range: npt=0.000-")
	return r
}

// dialFrom connects from another address of loopback.
func (s *server) dialFrom(ip string) *client {
	s.t.Helper()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 0))}
	nc, err := d.DialContext(context.Background(), "tcp", s.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	return newClient(s.t, nc)
}

// serverPort returns the host and port that an answer to SETUP tells.
func serverPort(t testing.TB, a *wire.Response, rtcp bool) string {
	t.Helper()
	p := transportOf(t, a).Server
	if rtcp {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Second))
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.First))
}

// report sends a packet from the RTCP port.
func (u *udp) report(t testing.TB, to string, b []byte) {
	t.Helper()
	if _, err := u.rtcp.WriteToUDPAddrPort(b, netip.MustParseAddrPort(to)); err != nil {
		t.Error(err)
	}
}

// TestRecord cites RFC 2326 §10.3, §10.11: what a client announces and records can be played, over UDP and interleaved.
func TestRecord(t *testing.T) {
	for _, way := range []string{"tcp", "udp"} {
		t.Run(way, func(t *testing.T) {
			s := newServer(t, nil)
			u := newUDP(t)
			transport := "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"
			if way == "udp" {
				transport = u.transport() + ";mode=record"
			}
			p := s.publish("pub", transport)
			if v := p.answer.Header.Get("Transport"); !strings.Contains(v, `mode="RECORD"`) || strings.Contains(v, "ssrc") {
				t.Errorf("Transport = %q", v)
			}
			c := s.dial()
			a := c.must("DESCRIBE", s.url("/pub"))
			for _, l := range []string{"m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000", "a=control:trackID=0"} {
				if !strings.Contains(string(a.Body), l+"\r\n") {
					t.Errorf("description lacks %s:\n%s", l, a.Body)
				}
			}
			stop := make(chan struct{})
			done := make(chan struct{})
			go func() {
				defer close(done)
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				for n := 0; ; n++ {
					b := testPacket(&h264Track, n)
					if way == "udp" {
						_, _ = u.rtp.WriteToUDPAddrPort(b, netip.MustParseAddrPort(serverPort(t, p.answer, false)))
					} else if _, err := p.Conn.Write((&wire.Frame{Channel: 0, Payload: b}).Append(nil)); err != nil {
						return
					}
					select {
					case <-tick.C:
					case <-stop:
						return
					}
				}
			}()
			defer func() { close(stop); <-done }()
			c.must("PLAY", s.url("/pub"), c.setup(s.url("/pub"), 1))
			for !strings.Contains(string(c.frame(0)), "packet ") { // the parameter sets go first
			}
			if st := s.Status(); st.Publishers != 1 || st.BytesIn == 0 {
				t.Errorf("Status = %+v", st)
			}
		})
	}
}

// TestReceiverReports cites RFC 3550 §6.4.2, §6.1: a publisher hears what arrives of its packets.
func TestReceiverReports(t *testing.T) {
	s := newServer(t, nil)
	u := newUDP(t)
	p := s.publish("pub", u.transport()+";mode=record")
	rtp, ctl := netip.MustParseAddrPort(serverPort(t, p.answer, false)), serverPort(t, p.answer, true)
	for n := range 20 {
		if n == 7 {
			continue
		}
		if _, err := u.rtp.WriteToUDPAddrPort(testPacket(&h264Track, n), rtp); err != nil {
			t.Fatal(err)
		}
	}
	sr, err := (&rtcp.SenderReport{SSRC: 0xcafe, NTPTime: 0x1122334455667788}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	u.report(t, ctl, sr)
	st := s.hub.Stream("pub")
	eventually(t, "the packets come", func() bool { return st.Stats().Packets == 19 })
	ses := s.session(wire.SessionID(strings.TrimPrefix(p.session, "Session: ")))
	ses.mu.Lock()
	in := ses.legs[0].intake
	ses.mu.Unlock()
	eventually(t, "the report comes", func() bool { in.mu.Lock(); defer in.mu.Unlock(); return in.ntp != 0 })
	s.tickAt(reportEvery / 2)
	pkts, err := rtcp.Unmarshal(packet(t, u.rtcp))
	if err != nil || len(pkts) != 2 {
		t.Fatalf("report = %v, %v", pkts, err)
	}
	rr, ok := pkts[0].(*rtcp.ReceiverReport)
	if !ok || len(rr.Reports) != 1 {
		t.Fatalf("report = %v", pkts)
	}
	r := rr.Reports[0]
	if r.SSRC != 0xcafe || r.LastSequenceNumber != 19 || r.TotalLost != 1 || r.FractionLost != 256/20 || r.LastSenderReport != 0x33445566 || r.Delay == 0 {
		t.Errorf("report = %+v", r)
	}
	if sd, ok := pkts[1].(*rtcp.SourceDescription); !ok || sd.Chunks[0].Source != rr.SSRC || !strings.HasSuffix(sd.Chunks[0].Items[0].Text, "@peergate") {
		t.Errorf("second packet = %v, want a CNAME of the reporter", pkts[1])
	}
}

// TestIntake counts packets as RFC 3550 §A.1, §A.3 and §A.8 do.
func TestIntake(t *testing.T) {
	in := newIntake(&h264Track, nil)
	now := time.Unix(1000, 0)
	if b := in.report("x", now); b != nil {
		t.Errorf("report before the first packet = %x", b)
	}
	in.received([]byte{1, 2, 3}, now)
	send := func(seq uint16, at time.Duration, ts uint32) {
		b := []byte{0x80, 96}
		b = binary.BigEndian.AppendUint16(b, seq)
		b = binary.BigEndian.AppendUint32(b, ts)
		in.received(binary.BigEndian.AppendUint32(b, 7), now.Add(at))
	}
	report := func() rtcp.ReceptionReport {
		t.Helper()
		pkts, err := rtcp.Unmarshal(in.report("x", now))
		if err != nil {
			t.Fatal(err)
		}
		return pkts[0].(*rtcp.ReceiverReport).Reports[0]
	}
	send(65534, 0, 0)
	send(65535, 10*time.Millisecond, 900)
	send(1, 20*time.Millisecond, 1800) // 0 is late
	if r := report(); r.LastSequenceNumber != 1<<16+1 || r.TotalLost != 1 || r.FractionLost != 64 || r.Jitter != 0 {
		t.Errorf("report = %+v", r)
	}
	send(0, 130*time.Millisecond, 1350)
	if r := report(); r.TotalLost != 0 || r.FractionLost != 0 || r.Jitter == 0 {
		t.Errorf("report after the late packet = %+v", r)
	}
	send(40000, 0, 0) // a new beginning
	if r := report(); r.LastSequenceNumber != 40000 || r.TotalLost != 0 {
		t.Errorf("report after a jump = %+v", r)
	}
}

// TestAnnounceRefused cites RFC 2326 §10.3, §7.1.1.
func TestAnnounceRefused(t *testing.T) {
	s := newServer(t, nil)
	for _, tt := range []struct {
		name, body string
		headers    []string
		want       int
	}{
		{"no body", "", []string{"Content-Type: application/sdp"}, 400},
		{"nonsense", "nonsense", []string{"Content-Type: application/sdp"}, 400},
		{"no media", "v=0\r\n", []string{"Content-Type: application/sdp"}, 400},
		{"other transport", "v=0\r\nm=video 0 udp 96\r\n", []string{"Content-Type: application/sdp"}, 400},
		{"another type", testSDP, []string{"Content-Type: text/xml"}, 415},
		{"packed", testSDP, []string{"Content-Type: application/sdp", "Content-Encoding: gzip"}, 415},
		{"no type", testSDP, nil, 200},
		{"parameters", testSDP, []string{"Content-Type: application/sdp;charset=utf-8"}, 200},
	} {
		a := s.dial().doBody("ANNOUNCE", s.url("/x"), tt.body, tt.headers...)
		wantStatus(t, tt.name, a, tt.want)
	}
	wantStatus(t, "no name", s.dial().doBody("ANNOUNCE", s.url("/"), testSDP), 404)
	wantStatus(t, "RECORD alone", s.dial().do("RECORD", s.url("/x")), 454)
	far := newServer(t, func(c *conf.Config) { c.RTSP.Listen = "127.0.0.1:0" })
	wantStatus(t, "SETUP of a track that was not announced", far.dial().do("SETUP", far.url("/x/streamid=0"), "Transport: RTP/AVP/TCP;mode=record"), 404)
}

// TestControlURLs finds the announced track that SETUP means, however the client builds its URL (RFC 2326 §C.1.1).
func TestControlURLs(t *testing.T) {
	for _, tt := range []struct {
		announce, control, setup string
		ok                       bool
	}{
		{"rtsp://h/a", "streamid=0", "rtsp://h/a/streamid=0", true},
		{"rtsp://h/a/", "stream=0", "rtsp://h/a/stream=0", true},
		{"rtsp://h/a", "trackID=0", "rtsp://h/a/trackID=0", true},
		{"rtsp://h/a", "rtsp://h/a/x", "rtsp://h/a/x", true},
		{"rtsp://h/a?q", "streamid=0", "rtsp://h/a?q/streamid=0", true},
		{"rtsp://h/a?q", "streamid=0", "rtsp://h/a/streamid=0?q", true},
		{"rtsp://h/a?q", "streamid=0", "rtsp://h/a/streamid=0", true},
		{"rtsp://h/a", "", "rtsp://h/a/trackID=0", true},
		{"rtsp://h/a", "", "rtsp://h/a", true},
		{"rtsp://h/a", "x", "rtsp://h/a/y", false},
		{"rtsp://h/a", "x", "rtsp://h/b/x", false},
	} {
		d, err := media.ParseSDP([]byte("m=video 0 RTP/AVP 96\r\na=control:" + tt.control))
		if err != nil {
			t.Fatal(err)
		}
		u, err1 := wire.ParseURL(tt.announce)
		v, err2 := wire.ParseURL(tt.setup)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if _, ok := (&announcement{url: u, desc: d}).track(v); ok != tt.ok {
			t.Errorf("ANNOUNCE %s, control %q, SETUP %s: found = %v, want %v", tt.announce, tt.control, tt.setup, ok, tt.ok)
		}
	}
}

// TestPublisherReturns: players stay while their publisher comes back, whether it said TEARDOWN, was cut off or is
// replaced; the one that is replaced is told.
func TestPublisherReturns(t *testing.T) {
	s := newServer(t, nil)
	const way = "Transport: RTP/AVP/TCP;interleaved=0-1;mode=record"
	key := (&wire.Frame{Payload: testPacket(&h264Track, 0)}).Append(nil)
	p := s.publish("pub", way)
	p.write(string(key))
	c := s.dial()
	ses := c.setup(s.url("/pub"), 1)
	c.must("PLAY", s.url("/pub"), ses)
	for i, leave := range []func(){
		func() { p.must("TEARDOWN", s.url("/pub"), p.session) },
		func() { p.Close() },
		func() {},
	} {
		c.frame(0)
		old := p
		leave()
		p = s.publish("pub", way)
		p.write(string(key))
		if i == 2 {
			old.gone()
		}
	}
	c.frame(0)
	c.must("GET_PARAMETER", s.url("/pub"), ses)
	p.must("PAUSE", s.url("/pub"), p.session)
	p.must("RECORD", s.url("/pub"), p.session)
	p.must("RECORD", s.url("/pub"), p.session)
	p.write(string(key))
	c.frame(0)
}

// TestLostPublisher: a publisher over UDP whose connection has ended and that sends nothing any more is soon gone.
func TestLostPublisher(t *testing.T) {
	s := newServer(t, func(c *conf.Config) { c.RTSP.PublisherGrace = 0 })
	p := s.publish("pub", newUDP(t).transport()+";mode=record")
	s.tickAt(orphanTime + time.Second)
	p.must("GET_PARAMETER", s.url("/pub"), p.session) // it may begin late
	p.Close()
	eventually(t, "the connection ends", func() bool { return s.Status().Connections == 0 })
	s.tickAt(orphanTime / 2)
	if s.hub.Stream("pub") == nil {
		t.Error("it is gone at once")
	}
	s.tickAt(orphanTime + time.Second)
	if s.hub.Stream("pub") != nil {
		t.Error("it is kept")
	}
}

// TestPartOfAnAnnouncement: tracks that were not set up are not published.
func TestPartOfAnAnnouncement(t *testing.T) {
	s := newServer(t, nil)
	c := s.dial()
	sdp := testSDP + "m=audio 0 RTP/AVP 0\r\na=control:streamid=1\r\n"
	wantStatus(t, "ANNOUNCE", c.doBody("ANNOUNCE", s.url("/pub"), sdp), 200)
	ses := sessionOf(c.must("SETUP", s.url("/pub/streamid=1"), "Transport: RTP/AVP/TCP;interleaved=0-1;mode=record"))
	c.must("RECORD", s.url("/pub"), ses)
	c.write(string((&wire.Frame{Payload: testPacket(&pcmuTrack, 0)}).Append(nil)))
	st := s.hub.Stream("pub")
	if ts := st.Tracks(); len(ts) != 1 || ts[0].Kind != "audio" {
		t.Fatalf("tracks = %v", ts)
	}
	eventually(t, "its packet comes", func() bool { return st.Stats().Packets == 1 })
}

// TestLargePackets: what a publisher sends interleaved and is too large for UDP reaches players over UDP in parts.
func TestLargePackets(t *testing.T) {
	s := newServer(t, nil)
	p := s.publish("pub", "Transport: RTP/AVP/TCP;interleaved=0-1;mode=record")
	large := func(seq uint16) {
		p.write(string((&wire.Frame{Payload: rtpOf(seq, true, nalUnit(5000, 0x65)...)}).Append(nil)))
	}
	large(1)
	c := s.dial()
	u := newUDP(t)
	ses := sessionOf(c.must("SETUP", s.url("/pub"), u.transport()))
	c.must("PLAY", s.url("/pub"), ses)
	large(2)
	var next uint16
	for units := 0; units < 2; {
		b := packet(t, u.rtp)
		seq := binary.BigEndian.Uint16(b[2:])
		if next != 0 && seq != next {
			t.Errorf("packet %d after %d", seq, next-1)
		}
		next = seq + 1
		if len(b) > maxPacket {
			t.Errorf("packet of %d bytes", len(b))
		}
		if b[rtpHeader]&0x1f == 28 && b[rtpHeader+1]&0x40 != 0 { // the end of a unit
			units++
			if b[1]&0x80 == 0 {
				t.Error("the last fragment has no marker")
			}
		}
	}
}

// TestPlayerTakesPublishersPorts: who may only read cannot cut off a publisher behind the same address.
func TestPlayerTakesPublishersPorts(t *testing.T) {
	s := newServer(t, nil)
	u := newUDP(t)
	p := s.publish("pub", u.transport()+";mode=record")
	s.live("live", h264Track)
	c := s.dial()
	ses := sessionOf(c.must("SETUP", s.url("/live/"+wire.Control(0)), u.transport()))
	for range 2 {
		before := s.Status().BytesIn
		u.report(t, serverPort(t, p.answer, true), []byte{0x80, 201, 0, 1, 1, 2, 3, 4})
		eventually(t, "the publisher's packets reach it", func() bool { return s.Status().BytesIn > before })
		c.do("TEARDOWN", s.url("/live"), ses)
	}
}
