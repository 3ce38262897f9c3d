package delivery

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"peergate/media"
)

func TestRuns(t *testing.T) {
	for _, c := range []struct {
		name  string
		sizes []int // negative: of track 1
		want  []int // packets of each run
	}{
		{"none", nil, nil},
		{"one", []int{500}, []int{1}},
		{"frame", []int{1400, 1400, 1400, 200}, []int{4}},
		{"two frames", []int{1400, 200, 1400, 1400}, []int{2, 2}},
		{"growing", []int{100, 200, 300}, []int{1, 1, 1}},
		{"shrinking", []int{300, 200, 100}, []int{2, 1}},
		{"tracks", []int{1400, -1400, 1400, -1400}, []int{2, 2}},
		{"many", slices.Repeat([]int{100}, 130), []int{64, 64, 2}},
		{"large", slices.Repeat([]int{30000}, 5), []int{2, 2, 1}},
		{"too large for a datagram", []int{0x10000, 1400}, []int{1}},
	} {
		var packets []media.Packet
		for _, n := range c.sizes {
			p := media.Packet{}
			if n < 0 {
				p.Track, n = 1, -n
			}
			p.Data = append([]byte{0x80}, make([]byte, n-1)...)
			packets = append(packets, p)
		}
		f := &form{}
		f.build(&layout{tracks: 3, datagrams: true}, packets, nil)
		var got []int
		for _, r := range f.runs {
			got = append(got, r.last-r.first)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: runs %v, want %v", c.name, got, c.want)
		}
	}
}

// A key frame that is larger than what a receiver's buffer holds is spread over some time.
func TestPacedStart(t *testing.T) {
	for _, portable := range []bool{false, true} {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: portable}, video)
		l.at = time.Now() // all at once: no rate is measured, so that the least one counts
		l.picture(true, 300)
		c := udpClient(t, l, 1)
		c.join(l)
		begun := time.Now()
		c.row(c.play()[0].Seq, 301)
		// 300 kB less the burst of 64 KiB, and as much that is sent at once at the end, at 2 MB/s.
		if d, want := time.Since(begun), 85*time.Millisecond; d < want {
			t.Errorf("the key frame took %v, want at least %v", d, want)
		}
	}
}

// Where the server has several addresses a player gets its packets from the one it asked.
func TestSource(t *testing.T) {
	for _, portable := range []bool{false, true} {
		for _, network := range []string{"udp", "udp4"} {
			l := newLab(t, Options{StartMaxAge: time.Minute, Portable: portable}, video)
			l.picture(true, 20)
			server, err := net.ListenUDP(network, &net.UDPAddr{})
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			user := listenUDP(t, "127.0.0.1")
			to := user.LocalAddr().(*net.UDPAddr).AddrPort()
			source := netip.MustParseAddr("127.0.0.7")
			c := newClient(t)
			c.outlets = []Outlet{{RTP: server, RTCP: server, RTPAddr: to, RTCPAddr: to, Source: source}}
			c.join(l)
			c.play()
			b := make([]byte, 2000)
			for range 22 { // with a report
				_, from, err := user.ReadFromUDPAddrPort(b)
				if err != nil {
					t.Fatal(err)
				}
				if from.Addr().Unmap() != source {
					t.Fatalf("%s: packet from %v, want %v", network, from, source)
				}
			}
		}
	}
}

// Over IPv6 things are the same.
func TestIPv6(t *testing.T) {
	for _, portable := range []bool{false, true} {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: portable}, video)
		l.picture(true, 20)
		c := newClient(t)
		server, user := listenUDP(t, ""), listenUDP(t, "::1")
		to := user.LocalAddr().(*net.UDPAddr).AddrPort()
		c.outlets = []Outlet{{RTP: server, RTCP: server, RTPAddr: to, RTCPAddr: to, Source: netip.MustParseAddr("::1")}}
		c.join(l)
		go c.receive(user, 0)
		seq := c.play()[0].Seq
		for range 22 {
			if g := c.next(0); g.b[1] != typeSR {
				if g.seq() != seq {
					t.Fatalf("packet %d, want %d", g.seq(), seq)
				}
				seq++
			}
		}
	}
}

// A stream with tracks that go out by sockets of their own, as a multicast one does.
func TestSeveralSockets(t *testing.T) {
	for _, portable := range []bool{false, true} {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: portable}, video, audio)
		l.picture(true, 5)
		l.write(1, 0, false, 8000, make([]byte, 160))
		c := udpClient(t, l, 2)
		c.outlets[1].RTP = listenUDP(t, "")
		c.join(l)
		starts := c.play()
		seq, at := starts[0].Seq, starts[1].Seq
		c.row(seq, 6)
		for i := range uint16(50) {
			l.write(1, 0, false, 8000+160*uint32(i), make([]byte, 160))
			l.picture(false, 3)
			c.row(seq+6+3*i, 3)
			if g := c.next(2); g.seq() != at+i {
				t.Fatalf("audio packet %d, want %d", g.seq(), at+i)
			}
		}
	}
}
