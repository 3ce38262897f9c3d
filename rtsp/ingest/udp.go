package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/pion/rtp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	// udpBuffer is the receive buffer of a socket in bytes: it holds a key frame of 4K, which comes at once. The system may
	// grant less.
	udpBuffer = 2 << 20
	// maxDatagram is the largest UDP datagram in bytes.
	maxDatagram = 64 << 10
	// nextSender is how long one sender must be silent for another one to be heard. Two at once would make nonsense.
	nextSender = time.Second
	// transportType is the RTP payload type of transport streams (RFC 3551 §6).
	transportType = 33
)

// udpSource is MPEG-TS in datagrams, which may have RTP headers, sent to a group or to this machine.
type udpSource struct {
	at   netip.AddrPort // the group, or the address to listen at
	from netip.Addr     // the only sender to hear; zero: any
	itf  string         // to join the group at; "" lets the system choose
	Options
}

// newUDP returns the source of a URL such as udp://239.1.2.3:5000?interface=eth0&source=192.0.2.7.
func newUDP(u *url.URL, o Options) (*udpSource, error) {
	host := u.Hostname()
	if host == "" {
		host = "0.0.0.0"
	}
	at, err := netip.ParseAddrPort(net.JoinHostPort(host, u.Port()))
	if err != nil {
		return nil, fmt.Errorf("the source's URL: %w: it must be such as udp://239.1.2.3:5000 or udp://:5000", err)
	}
	s := &udpSource{at: at, itf: u.Query().Get("interface"), Options: o}
	if from := u.Query().Get("source"); from != "" {
		if s.from, err = netip.ParseAddr(from); err != nil {
			return nil, fmt.Errorf("the source's URL: source: %w", err)
		}
	}
	return s, nil
}

// feed publishes what comes until ctx ends or nothing comes any more.
func (s *udpSource) feed(ctx context.Context, begin Begin) error {
	c, err := s.listen()
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	err = play(&datagrams{udpSource: s, conn: c}, s.Options, begin)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errNoProgram):
		return err
	}
	return explain(err, s.SilentAfter)
}

// listen opens the socket. That of a group may be opened by other programs too.
func (s *udpSource) listen() (*net.UDPConn, error) {
	var itf *net.Interface
	var err error
	if s.itf != "" {
		if itf, err = net.InterfaceByName(s.itf); err != nil {
			return nil, fmt.Errorf("interface %s: %w", s.itf, err)
		}
	}
	to := net.UDPAddrFromAddrPort(s.at)
	var c *net.UDPConn
	switch {
	case !s.at.Addr().IsMulticast():
		c, err = net.ListenUDP("udp", to)
	case s.from.IsValid():
		c, err = s.join(itf, to)
	default:
		c, err = net.ListenMulticastUDP("udp", itf, to)
	}
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(udpBuffer) // less is no reason not to try
	return c, nil
}

// join joins a group for one sender alone (RFC 4607).
func (s *udpSource) join(itf *net.Interface, group *net.UDPAddr) (*net.UDPConn, error) {
	c, err := net.ListenMulticastUDP("udp", itf, group)
	if err != nil {
		return nil, err
	}
	from := &net.UDPAddr{IP: s.from.AsSlice()}
	if s.at.Addr().Is4() {
		p := ipv4.NewPacketConn(c)
		_ = p.LeaveGroup(itf, group) // which was joined for all senders
		err = p.JoinSourceSpecificGroup(itf, group, from)
	} else {
		p := ipv6.NewPacketConn(c)
		_ = p.LeaveGroup(itf, group)
		err = p.JoinSourceSpecificGroup(itf, group, from)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("join %v for %v: %w", group, s.from, err)
	}
	return c, nil
}

// datagrams reads what one sender at a time sends.
type datagrams struct {
	*udpSource
	conn   *net.UDPConn
	buf    [maxDatagram]byte
	sender netip.AddrPort
	heard  time.Time // when the sender's last datagram came
}

// Read returns the content of the next datagram; it is for a buffer that has room for it.
func (d *datagrams) Read(b []byte) (int, error) {
	for {
		if err := d.conn.SetReadDeadline(time.Now().Add(d.SilentAfter)); err != nil {
			return 0, err
		}
		n, from, err := d.conn.ReadFromUDPAddrPort(d.buf[:])
		if err != nil {
			return 0, err
		}
		now := time.Now()
		if d.from.IsValid() && from.Addr().Unmap() != d.from {
			continue
		}
		if from != d.sender && now.Sub(d.heard) < nextSender {
			continue
		}
		d.sender, d.heard = from, now
		if content := unwrap(d.buf[:n]); len(content) > 0 {
			return copy(b, content), nil
		}
	}
}

// unwrap takes off an RTP header (RFC 2250 §2), if there is one.
func unwrap(b []byte) []byte {
	if len(b) == 0 || b[0] == syncByte || b[0]>>6 != 2 {
		return b
	}
	var p rtp.Packet
	if err := p.Unmarshal(b); err != nil || p.PayloadType != transportType {
		return b
	}
	return p.Payload
}
