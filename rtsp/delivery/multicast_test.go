package delivery

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
)

// A group is one player, whoever listens.
func TestMulticast(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for _, portable := range []bool{false, true} {
		l := newLab(t, Options{StartMaxAge: time.Minute, Portable: portable}, video)
		l.picture(true, 20)
		server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		if err := ipv4.NewPacketConn(server).SetMulticastInterface(lo); err != nil {
			t.Fatal(err)
		}
		group := &net.UDPAddr{IP: net.IPv4(239, 255, 42, 7)}
		first, err := net.ListenMulticastUDP("udp4", lo, group)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		group.Port = first.LocalAddr().(*net.UDPAddr).Port
		second, err := net.ListenMulticastUDP("udp4", lo, group)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		c, d := newClient(t), newClient(t)
		go c.receive(first, 0)
		go d.receive(second, 0)
		to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, 255, 42, 7}), uint16(group.Port))
		c.outlets = []Outlet{{RTP: server, RTCP: server, RTPAddr: to, RTCPAddr: netip.AddrPortFrom(to.Addr(), to.Port()+1)}}
		c.join(l)
		seq := c.play()[0].Seq
		l.picture(false, 20)
		c.row(seq, 41)
		d.row(seq, 41)
	}
}
