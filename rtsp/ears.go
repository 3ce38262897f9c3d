package rtsp

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"peergate/conf"
)

// maxEars is of how many tracks of a group the reports are heard. A player reports about each, so that one would do.
const maxEars = 4

// rtcpReceiverReport is the packet type that only receivers begin a report with (RFC 3550 §6.4.2): the server's own
// sender reports come back to its groups.
const rtcpReceiverReport = 201

// ears listen for the reports of multicast players, which go to their group (RFC 3550 §6): for some, such as QuickTime,
// they are the only sign of life.
type ears struct {
	itf   *net.Interface // nil: the system chooses
	conns []*net.UDPConn // of the RTCP port of each track
}

// openEars opens the ports of a group's reports; after an error, those that could be had. Other programs of this host may have them open as well.
func openEars(set conf.Multicast) (*ears, error) {
	e := new(ears)
	if set.Interface != "" {
		var err error
		if e.itf, err = net.InterfaceByName(set.Interface); err != nil {
			return e, err
		}
	}
	for i := range maxEars {
		// The first address opens the port for all: which groups are heard is said by join.
		a := netip.AddrPortFrom(set.Groups.Masked().Addr(), uint16(set.Port+2*i+1))
		c, err := net.ListenMulticastUDP(family(a.Addr()), e.itf, net.UDPAddrFromAddrPort(a))
		if err != nil {
			return e, err
		}
		e.conns = append(e.conns, c)
	}
	return e, nil
}

func (e *ears) close() {
	for _, c := range e.conns {
		c.Close()
	}
}

// join begins to listen to a group. Where the system does not let us (Linux allows 20 groups a socket), players still have
// all other signs of life.
func (e *ears) join(group netip.Addr) {
	for _, c := range e.conns {
		_ = memberOf(c).JoinGroup(e.itf, groupAddr(group))
	}
}

func (e *ears) leave(group netip.Addr) {
	for _, c := range e.conns {
		_ = memberOf(c).LeaveGroup(e.itf, groupAddr(group))
	}
}

// member joins and leaves groups, of IPv4 or IPv6.
type member interface {
	JoinGroup(*net.Interface, net.Addr) error
	LeaveGroup(*net.Interface, net.Addr) error
}

func memberOf(c *net.UDPConn) member {
	if addrPort(c.LocalAddr()).Addr().Is4() {
		return ipv4.NewPacketConn(c)
	}
	return ipv6.NewPacketConn(c)
}

func groupAddr(a netip.Addr) net.Addr { return &net.UDPAddr{IP: a.AsSlice()} }

// listeners are the sockets on which reports of multicast players come: those of the groups, and the one from which our
// own are sent, to which ffmpeg answers.
func (gs *groups) listeners() []*net.UDPConn {
	if gs.pair == nil {
		return nil
	}
	return append([]*net.UDPConn{gs.pair.rtcp}, gs.ears.conns...)
}

// hear takes reports from a socket until it is closed. They do not tell of which group they are: all sessions that their
// sender's host has in groups are alive.
func (gs *groups) hear(c *net.UDPConn) {
	b := make([]byte, maxDatagram)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && n >= 8 && b[0]>>6 == 2 && b[1] == rtcpReceiverReport {
			gs.alive(plain(from).Addr())
		}
	}
}

// alive notes a sign of life of a host.
func (gs *groups) alive(client netip.Addr) {
	gs.mu.Lock()
	all := make([]*group, 0, len(gs.all))
	for _, g := range gs.all {
		all = append(all, g)
	}
	gs.mu.Unlock()
	for _, g := range all {
		g.alive(client)
	}
}

func (g *group) alive(client netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for sh := range g.players {
		if sh.client == client {
			sh.touch()
		}
	}
}
