//go:build integration

package integration

import (
	"encoding/binary"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"peergate/integration/lab"
)

// rtcpClauses are about sender reports and the end of streams (RFC 3550).
var rtcpClauses = []clause{
	{"report after the first packet", "RFC 3550 §6.1, §6.4.1, §6.5.1: a compound packet of SR and SDES with CNAME", firstReport},
	{"reports over UDP", "RFC 3550 §11: from the odd port", udpReports},
	{"reports go on", "RFC 3550 §6.2: every 5 s, more or less", laterReports},
	{"counts of the report", "RFC 3550 §6.4.1: what was sent until then", reportCounts},
	{"clock of the source", "RFC 3550 §6.4.1: reports of all tracks relate to one clock, the source's own relation kept", sourceClock},
	{"BYE when the stream ends", "RFC 3550 §6.6", byeAtTheEnd},
	{"BYE when the server ends a session", "RFC 3550 §6.6", byeAtTeardown},
}

// report is a sender report.
type report struct {
	ssrc            uint32
	ntp             time.Time
	ts              uint32
	packets, octets uint32
	cname           string
	bye             bool
}

// parseReport reads a compound packet strictly.
func parseReport(t *testing.T, b []byte) report {
	t.Helper()
	var r report
	first := true
	for len(b) > 0 {
		if len(b) < 4 || b[0]>>6 != 2 || len(b) < 4+4*int(binary.BigEndian.Uint16(b[2:])) {
			t.Fatalf("RTCP is malformed: %x", b)
		}
		kind, body := b[1], b[:4+4*int(binary.BigEndian.Uint16(b[2:]))]
		if first && kind != 200 && kind != 201 {
			t.Errorf("the first RTCP packet is of type %d, want a report (RFC 3550 §6.1)", kind)
		}
		first = false
		switch {
		case kind == 200 && len(body) >= 28:
			r.ssrc = binary.BigEndian.Uint32(body[4:])
			sec, frac := binary.BigEndian.Uint32(body[8:]), binary.BigEndian.Uint32(body[12:])
			r.ntp = time.Unix(int64(sec)-2208988800, int64(frac)*1e9>>32)
			r.ts, r.packets, r.octets = binary.BigEndian.Uint32(body[16:]), binary.BigEndian.Uint32(body[20:]), binary.BigEndian.Uint32(body[24:])
		case kind == 202 && len(body) > 10 && body[8] == 1:
			r.cname = string(body[10:min(10+int(body[9]), len(body))])
		case kind == 203:
			r.bye = true
		}
		b = b[len(body):]
	}
	return r
}

func firstReport(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, c, s.open.URL("live"))
	c.Want(200, "PLAY", s.open.URL("live"))
	packets := make(map[uint8]int)
	var began [2]time.Time
	names := make(map[string]bool)
	for reported := 0; reported < 2; {
		f := c.Next().Frame
		track := f.Channel / 2
		if f.Channel%2 == 0 {
			if packets[track] == 0 {
				began[track] = time.Now()
			}
			packets[track]++
			continue
		}
		if packets[track] == 0 {
			t.Errorf("track %d: a report before the first packet", track)
		}
		r := parseReport(t, f.Payload)
		if r.cname == "" {
			t.Errorf("track %d: no CNAME", track)
		}
		names[r.cname] = true
		if d := time.Since(began[track]); d > time.Second {
			t.Errorf("track %d: the first report comes %v after the first packet", track, d)
		}
		reported++
	}
	if len(names) != 1 { // §6.5.1: it binds the tracks of one sender
		t.Errorf("CNAMEs are %v, want one", names)
	}
}

func udpReports(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	_, rtcp, server := udpSession(t, c, s.open.URL("live"))
	c.Want(200, "PLAY", s.open.URL("live"))
	for i, conn := range rtcp {
		b := make([]byte, 2000)
		_ = conn.SetReadDeadline(time.Now().Add(lab.Patience))
		n, addr, err := conn.ReadFromUDP(b)
		if err != nil {
			t.Fatalf("track %d: no report: %v", i, err)
		}
		if _, odd, _ := strings.Cut(server[i], "-"); odd != strconv.Itoa(addr.Port) {
			t.Errorf("the report comes from port %d, server_port is %s", addr.Port, server[i])
		}
		if r := parseReport(t, b[:n]); r.cname == "" || r.ssrc == 0 {
			t.Errorf("report of track %d is %+v", i, r)
		}
	}
}

func laterReports(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, c, s.open.URL("solo"))
	c.Want(200, "PLAY", s.open.URL("solo"))
	began := time.Now()
	for n := 0; n < 2; {
		if f := c.Next().Frame; f.Channel == 1 {
			n++
		}
	}
	// The interval is 5 s times 0.5 to 1.5, divided by e - 1.5 (§6.3.1): 6.2 s at most.
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("the second report comes after %v", d)
	}
}

func reportCounts(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, c, s.open.URL("solo"))
	c.Want(200, "PLAY", s.open.URL("solo"))
	var packets, octets uint32
	for n := 0; n < 2; {
		f := c.Next().Frame
		if f.Channel == 0 {
			packets++
			octets += uint32(len(f.Payload) - 12)
			continue
		}
		r := parseReport(t, f.Payload)
		n++
		// What is on its way when a report is made may be before or after it.
		const slack = 60
		if d := int32(r.packets - packets); d < -slack || d > slack {
			t.Errorf("report %d counts %d packets, %d have come", n, r.packets, packets)
		}
		if d := int32(r.octets - octets); d < -slack*1000 || d > slack*1000 {
			t.Errorf("report %d counts %d octets, %d have come", n, r.octets, octets)
		}
	}
}

// sourceClock publishes sound half a second behind the pictures of the same instant, by a clock that is years off: its
// reports alone tell which picture belongs to which sound.
func sourceClock(t *testing.T, s *site) {
	o := sourceOptions{reports: true, lag: 500 * time.Millisecond, epoch: time.Date(1970, 1, 1, 0, 10, 0, 250e6, time.UTC)}
	newSource(t, s.open.URL("clocked"), o)
	c := lab.DialRaw(t, s.open.HostPort())
	interleaved(t, c, s.open.URL("clocked"))
	lab.Eventually(t, lab.Patience, "the source has reported", func() bool { // else arrival alone would be known
		m := c.Ask("PLAY", s.open.URL("clocked"))
		k := clocks{o: o}
		k.read(c, 2)
		c.Want(200, "PAUSE", s.open.URL("clocked"))
		return m.Status == 200 && k.at[1] > time.Second
	})
	c.Frames = nil
	c.Want(200, "PLAY", s.open.URL("clocked"))
	k := clocks{o: o}
	k.known = make(map[int]bool)
	reports := make(map[int]report)
	for len(reports) < 2 || len(k.known) < 2 {
		f := c.Next().Frame
		track := int(f.Channel / 2)
		if f.Channel%2 == 0 {
			k.take(track, f.Payload)
		} else {
			reports[track] = parseReport(t, f.Payload)
		}
	}
	// The source began at this time, by the reports of each track.
	video := reports[0].ntp.Add(-k.instant(0, reports[0].ts))
	audio := reports[1].ntp.Add(-k.instant(1, reports[1].ts))
	// Arrival alone would put them half a second apart. The reports are of two moments, between which the gateway may have
	// corrected its idea of the source's clock by a few milliseconds, on a busy machine by more.
	if d := video.Sub(audio).Abs(); d > 100*time.Millisecond {
		t.Errorf("by the reports pictures and sound are %v apart", d)
	}
}

func byeAtTheEnd(t *testing.T, s *site) {
	name := "ends"
	source := newSource(t, s.brief.URL(name), sourceOptions{})
	tcp, udp := lab.DialRaw(t, s.brief.HostPort()), lab.DialRaw(t, s.brief.HostPort())
	interleaved(t, tcp, s.brief.URL(name))
	_, rtcp, _ := udpSession(t, udp, s.brief.URL(name))
	tcp.Want(200, "PLAY", s.brief.URL(name))
	udp.Want(200, "PLAY", s.brief.URL(name))
	for range 10 {
		tcp.Next()
	}
	source.end()
	deadline := time.Now().Add(lab.Patience)
	for n := 0; n < 2; {
		m, err := tcp.NextWithin(time.Until(deadline))
		if err != nil {
			t.Fatalf("%d of 2 tracks have their BYE over TCP: %v", n, err)
		}
		if m.Frame != nil && m.Frame.Channel%2 == 1 && parseReport(t, m.Frame.Payload).bye {
			n++
		}
	}
	waitBye(t, rtcp)
}

func waitBye(t *testing.T, rtcp []*net.UDPConn) {
	t.Helper()
	for _, conn := range rtcp {
		for !parseReport(t, receive(t, conn)).bye {
		}
	}
}

func byeAtTeardown(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.brief.HostPort())
	_, rtcp, _ := udpSession(t, c, s.brief.URL("live"))
	c.Want(200, "PLAY", s.brief.URL("live"))
	waitBye(t, rtcp) // nothing is heard of the player any more
}
