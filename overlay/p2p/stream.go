package p2p

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Stream is one of many byte streams to a peer. Reading and writing may go on at once, each from one goroutine.
type Stream struct {
	s       network.MuxedStream
	h       *Host
	peer    ID
	remote  ma.Multiaddr
	dialled bool
	where   sync.Once // for local
	local   bool
}

// newStream returns the stream that libp2p made.
func newStream(s network.Stream, h *Host) *Stream {
	return &Stream{
		s: s, h: h, peer: idOf(s.Conn().RemotePeer()), remote: s.Conn().RemoteMultiaddr(),
		dialled: s.Stat().Direction == network.DirOutbound,
	}
}

// Peer returns the gateway at the other end.
func (s *Stream) Peer() ID { return s.peer }

// Remote returns the address of the peer that the stream's connection goes to.
func (s *Stream) Remote() string { return s.remote.String() }

// Dialled tells whether this gateway opened the stream.
func (s *Stream) Dialled() bool { return s.dialled }

func (s *Stream) Read(b []byte) (int, error) {
	n, err := s.s.Read(b)
	s.h.in.Add(uint64(n))
	return n, plain(err)
}

func (s *Stream) Write(b []byte) (int, error) {
	n, err := s.s.Write(b)
	s.h.out.Add(uint64(n))
	return n, plain(err)
}

// plain says in short that the other end has reset the stream.
func plain(err error) error {
	if errors.Is(err, network.ErrReset) {
		return errReset
	}
	return err
}

var errReset = errors.New("the peer has hung up")

// The ways of a connection to a peer, Stream.Way.
const (
	WayDirect  = "direct"
	WayPunched = "punched" // directly, through holes that both sides have made in their NAT
	WayRelayed = "relayed" // through another gateway
)

// Way tells how the stream's connection goes.
func (s *Stream) Way() string {
	switch {
	case isRelayed(s.remote):
		return WayRelayed
	case s.h.punched(s.peer.peer(), s.remote):
		return WayPunched
	}
	return WayDirect
}

// Relayed tells whether the stream's connection goes through another gateway.
func (s *Stream) Relayed() bool { return isRelayed(s.remote) }

// Transport tells what the stream's connection goes over, to the relay if it is relayed: "tcp" or "quic".
func (s *Stream) Transport() string {
	if _, err := s.remote.ValueForProtocol(ma.P_TCP); err == nil {
		return "tcp"
	}
	return "quic"
}

// Local tells whether the peer is on the same site: on this machine or in a network that one of its interfaces is in.
func (s *Stream) Local() bool {
	s.where.Do(func() { s.local = !isRelayed(s.remote) && isLocal(s.remote) })
	return s.local
}

// Subnet returns the network from which the peer connects, an IPv4 /24 or an IPv6 /48; "" when another gateway passes the
// connection on.
func (s *Stream) Subnet() string {
	ip, err := manet.ToIP(s.remote)
	if err != nil || s.Relayed() {
		return ""
	}
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return ""
	}
	bits := 48
	if a = a.Unmap(); a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// QUIC tells whether the stream's connection is a direct one over QUIC, so that there may be lanes beside it.
func (s *Stream) QUIC() bool { return isQUIC(s.remote) }

// SetDeadline bounds how long a Read or a Write waits; the zero time takes the bound off.
func (s *Stream) SetDeadline(t time.Time) error { return s.s.SetDeadline(t) }

// SetReadDeadline bounds how long a Read waits; the zero time takes the bound off.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.s.SetReadDeadline(t) }

// SetWriteDeadline bounds how long a Write waits; the zero time takes the bound off.
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.s.SetWriteDeadline(t) }

// Close ends the stream after what was written; it is idempotent.
func (s *Stream) Close() error { return s.s.Close() }

// CloseWrite tells the peer that nothing more comes; what it sends can still be read.
func (s *Stream) CloseWrite() error { return s.s.CloseWrite() }

// Reset ends the stream at once, both ways; what was not yet sent is lost. It is idempotent and unblocks Read and Write.
func (s *Stream) Reset() { _ = s.s.Reset() }
