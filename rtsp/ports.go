package rtsp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"peergate/conf"
)

const (
	// socketBuffer is what is asked of the system for the packets of all players or publishers at once, in bytes: 20 ms of
	// 1 Gbit/s. Without CAP_NET_ADMIN the system gives less.
	socketBuffer = 4 << 20
	// maxPortTries bounds the search for an even port whose next one is free too.
	maxPortTries = 100
	// maxDatagram is the longest UDP datagram.
	maxDatagram = 64 << 10
)

// pair is two UDP sockets, for RTP and RTCP.
type pair struct{ rtp, rtcp *net.UDPConn }

func (p *pair) close() {
	p.rtp.Close()
	p.rtcp.Close()
}

// numbers returns the ports.
func (p *pair) numbers() (rtp, rtcp int) {
	return p.rtp.LocalAddr().(*net.UDPAddr).Port, p.rtcp.LocalAddr().(*net.UDPAddr).Port
}

// sockets are pairs by address family: where the server listens on any address, one for IPv4 and one for IPv6.
type sockets map[string]*pair

func (s sockets) close() {
	for _, p := range s {
		p.close()
	}
}

// family returns the network of an address.
func family(a netip.Addr) string {
	if a.Is4() {
		return "udp4"
	}
	return "udp6"
}

// openSockets opens the UDP sockets beside a TCP address.
func openSockets(a *net.TCPAddr, want conf.Ports) (sockets, error) {
	host := plain(a.AddrPort()).Addr()
	hosts := []netip.Addr{host}
	if host.IsUnspecified() {
		hosts = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	s := make(sockets)
	for _, h := range hosts {
		p, err := openPair(h, want.RTP)
		if host.IsUnspecified() && lacksFamily(err) {
			continue
		}
		if err != nil {
			s.close()
			return nil, fmt.Errorf("rtsp.udp_ports: %w", err)
		}
		s[family(h)] = p
	}
	return s, nil
}

// lacksFamily reports whether an error means that the machine has no addresses of a family, such as IPv6.
func lacksFamily(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// openPair opens an even port and the next (RFC 3550 §11); 0 lets the system choose.
func openPair(host netip.Addr, port int) (*pair, error) {
	for range maxPortTries {
		rtp, err := listenPort(host, port)
		if err != nil {
			return nil, err
		}
		n := rtp.LocalAddr().(*net.UDPAddr).Port
		if n%2 != 0 {
			rtp.Close()
			continue
		}
		rtcp, err := listenPort(host, n+1)
		if err == nil {
			return &pair{rtp, rtcp}, nil
		}
		rtp.Close()
		if port != 0 {
			return nil, err
		}
	}
	return nil, errors.New("no even port with a free next one was found")
}

func listenPort(host netip.Addr, port int) (*net.UDPConn, error) {
	c, err := net.ListenUDP(family(host), net.UDPAddrFromAddrPort(netip.AddrPortFrom(host, uint16(port))))
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(socketBuffer) // as much as the system allows
	_ = c.SetWriteBuffer(socketBuffer)
	return c, nil
}

// ports tells whose a packet is that came over UDP.
type ports struct {
	mu     sync.RWMutex // guards the field below
	owners map[portKey]owner
}

// portKey is a client's port.
type portKey struct {
	client netip.AddrPort
	rtcp   bool
}

type owner struct {
	ses *session
	leg *leg
}

func newPorts() *ports { return &ports{owners: make(map[portKey]owner)} }

// claim gives the ports of a leg to a session. The last one that sets a port up has it: the client knows which of its
// sessions is alive. But a player cannot take those of a publisher, who may be somebody else behind the same address.
func (p *ports) claim(ses *session, l *leg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range []portKey{{l.rtp, false}, {l.rtcp, true}} {
		if o, ok := p.owners[k]; ok && o.ses.announce != nil && ses.announce == nil {
			continue
		}
		p.owners[k] = owner{ses, l}
	}
}

// release takes the ports of a leg back.
func (p *ports) release(l *leg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range []portKey{{l.rtp, false}, {l.rtcp, true}} {
		if p.owners[k].leg == l {
			delete(p.owners, k)
		}
	}
}

func (p *ports) owner(client netip.AddrPort, rtcp bool) (owner, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	o, ok := p.owners[portKey{client, rtcp}]
	return o, ok
}

// receive takes packets from a socket until it is closed. Those of nobody are ignored.
func (s *Server) receive(c *net.UDPConn, rtcp bool) {
	b := make([]byte, maxDatagram)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // an ICMP error of a packet that was sent, for example
			continue
		}
		if o, ok := s.ports.owner(plain(from), rtcp); ok {
			o.ses.take(o.leg, rtcp, append([]byte(nil), b[:n]...), time.Now())
		}
	}
}
