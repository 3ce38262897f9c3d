package rtsp

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"

	"peergate/conf"
	"peergate/media"
	"peergate/rtsp/wire"
)

// newMulticastServer starts a server whose streams have groups on loopback; the port is that of the first track.
func newMulticastServer(t *testing.T) (*server, int) {
	t.Helper()
	port := freePort(t)
	return newServer(t, func(c *conf.Config) {
		c.RTSP.Multicast = conf.Multicast{
			Groups: conf.Network{Prefix: netip.MustParsePrefix("239.255.42.0/24")}, Port: port, TTL: 1, Interface: "lo",
		}
	}), port
}

// TestMulticast cites RFC 2326 §12.39: players that ask for multicast are told group, ports and TTL, share one sending,
// and each can leave without the other.
func TestMulticast(t *testing.T) {
	s, port := newMulticastServer(t)
	s.live("live", h264Track, pcmuTrack)
	a, b := s.dial(), s.dial()
	joined := func(c *client) string {
		var ses string
		for i := range 2 {
			r := c.must("SETUP", s.url(fmt.Sprintf("/live/trackID=%d", i)), "Transport: RTP/AVP;multicast", "X: "+ses, ses)
			ses = sessionOf(r)
			tr := transportOf(t, r)
			if !tr.Multicast || tr.TTL != 1 || tr.Port == nil || tr.Port.First != port+2*i || tr.Client != nil || tr.Server != nil {
				t.Errorf("Transport = %q", r.Header.Get("Transport"))
			}
			if g, err := netip.ParseAddr(tr.Destination); err != nil || !netip.MustParsePrefix("239.255.42.0/24").Contains(g) {
				t.Errorf("destination = %q", tr.Destination)
			}
		}
		return ses
	}
	group := s.groupsNow().of(s.hub.Stream("live")).addr
	itf, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	in, err := net.ListenMulticastUDP("udp4", itf, &net.UDPAddr{IP: group.AsSlice(), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	one, two := joined(a), joined(b)
	if ts := info(t, a.must("PLAY", s.url("/live"), one)); !ts[0].HasSeq {
		t.Errorf("RTP-Info of the first = %+v", ts)
	}
	packet(t, in)
	if ts := info(t, b.must("PLAY", s.url("/live"), two)); ts[0].HasSeq || !ts[0].HasTime {
		t.Errorf("RTP-Info of the second = %+v, want only timestamps: the packets are under way", ts)
	}
	if n := s.hub.Stream("live").Subscribers(); n != 1 {
		t.Errorf("the stream is sent %d times", n)
	}
	a.must("TEARDOWN", s.url("/live"), one)
	packet(t, in)
	packet(t, in)
	b.must("PAUSE", s.url("/live"), two)
	eventually(t, "nothing is sent", func() bool { return s.hub.Stream("live").Subscribers() == 0 })
	b.must("PLAY", s.url("/live"), two)
	packet(t, in)
	if st := s.Status(); st.Players != 1 || st.Sessions[0].Transport != "multicast" {
		t.Errorf("Status = %+v", st)
	}
	b.must("TEARDOWN", s.url("/live"), two)
}

// TestMulticastReports cites RFC 3550 §6, RFC 2326 §12.37: reports keep the session of a multicast player, wherever he
// sends them: to the group, or to where the server's come from. The server's own reports do not.
func TestMulticastReports(t *testing.T) {
	s, port := newMulticastServer(t)
	s.live("live", h264Track)
	play := func(c *client) *session {
		ses := sessionOf(c.must("SETUP", s.url("/live"), "Transport: RTP/AVP;multicast"))
		c.must("PLAY", s.url("/live"), ses)
		return s.session(wire.SessionID(strings.TrimPrefix(ses, "Session: ")))
	}
	kept, other := play(s.dial()), play(s.dialFrom("127.0.0.2"))
	gs := s.groupsNow()
	group := gs.of(s.hub.Stream("live")).addr
	_, own := gs.pair.numbers()
	send := func(from string, kind byte, to netip.AddrPort) {
		t.Helper()
		out, err := openPair(netip.MustParseAddr(from), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer out.close()
		if err := aim(out.rtcp, gs.set); err != nil {
			t.Fatal(err)
		}
		if _, err := out.rtcp.WriteToUDPAddrPort([]byte{0x80, kind, 0, 1, 1, 2, 3, 4}, to); err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []netip.AddrPort{
		netip.AddrPortFrom(group, uint16(port+1)), netip.AddrPortFrom(group, uint16(port+3)), netip.AddrPortFrom(loopback, uint16(own)),
	} {
		kept.seen.Store(1)
		other.seen.Store(1)
		send("127.0.0.1", 200, to) // as the server's own; what comes after it is read after it
		send("127.0.0.2", 201, to)
		eventually(t, "report to "+to.String(), func() bool { return other.seen.Load() > 1 })
		if kept.seen.Load() != 1 {
			t.Errorf("%s: a sender report, or another host's, is a sign of life", to)
		}
		send("127.0.0.1", 201, to)
		eventually(t, "report to "+to.String(), func() bool { return kept.seen.Load() > 1 })
	}
}

// TestGroups gives each stream an address of its own, the same again, as long as there are any.
func TestGroups(t *testing.T) {
	set := conf.Multicast{Groups: conf.Network{Prefix: netip.MustParsePrefix("239.255.42.0/30")}, Port: 5000, TTL: 1}
	gs, err := openGroups(set, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer gs.close()
	s := newServer(t, nil)
	seen := make(map[netip.Addr]bool)
	for i := range 6 {
		pub, err := s.hub.Publish(media.Name(fmt.Sprintf("s%d", i)), []media.Track{h264Track}, media.Origin{})
		if err != nil {
			t.Fatal(err)
		}
		g := gs.of(pub.Stream())
		if (g == nil) != (i >= 4) {
			t.Fatalf("stream %d: group = %v, there are 4", i, g)
		}
		if g == nil {
			continue
		}
		if seen[g.addr] || !set.Groups.Contains(g.addr) || gs.of(pub.Stream()) != g {
			t.Errorf("stream %d has %s", i, g.addr)
		}
		seen[g.addr] = true
	}
	if none, err := openGroups(conf.Multicast{}, nil, nil); err != nil || none.of(nil) != nil {
		t.Errorf("groups without configuration: %v", err)
	}
	if a := addrOf(netip.MustParsePrefix("ff15::/16"), 0xfffffff1); a != netip.MustParseAddr("ff15::ffff:fff1") {
		t.Errorf("addrOf = %s", a)
	}
}
