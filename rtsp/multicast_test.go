package rtsp

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"peergate/conf"
	"peergate/media"
)

// TestMulticast cites RFC 2326 §12.39: players that ask for multicast are told group, ports and TTL, share one sending,
// and each can leave without the other.
func TestMulticast(t *testing.T) {
	free, err := openPair(loopback, 0)
	if err != nil {
		t.Fatal(err)
	}
	port, _ := free.numbers()
	free.close()
	s := newServer(t, func(c *conf.Config) {
		c.RTSP.Multicast = conf.Multicast{
			Groups: conf.Network{Prefix: netip.MustParsePrefix("239.255.42.0/24")}, Port: port, TTL: 1, Interface: "lo",
		}
	})
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

// TestGroups gives each stream an address of its own, the same again, as long as there are any.
func TestGroups(t *testing.T) {
	set := conf.Multicast{Groups: conf.Network{Prefix: netip.MustParsePrefix("239.255.42.0/30")}, Port: 5000, TTL: 1}
	gs, err := openGroups(set, nil)
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
	if none, err := openGroups(conf.Multicast{}, nil); err != nil || none.of(nil) != nil {
		t.Errorf("groups without configuration: %v", err)
	}
	if a := addrOf(netip.MustParsePrefix("ff15::/16"), 0xfffffff1); a != netip.MustParseAddr("ff15::ffff:fff1") {
		t.Errorf("addrOf = %s", a)
	}
}
