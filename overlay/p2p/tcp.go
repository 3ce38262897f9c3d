package p2p

import (
	"context"
	"net"
	"syscall"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// tcpTransport is libp2p's TCP transport on sockets that tuneSocket has seen, dialled and accepted alike: the sender's
// side of a connection decides about congestion control, and it is often the accepting one.
type tcpTransport struct {
	*tcp.TcpTransport
	upgrader transport.Upgrader
	bbr      bool
}

// newTCP makes the transport for libp2p.
func (h *Host) newTCP(u transport.Upgrader, rm network.ResourceManager) (transport.Transport, error) {
	d := &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { return tuneSocket(c, h.o.BBR) }}
	t, err := tcp.NewTCPTransport(u, rm, nil, tcp.WithDialerForAddr(
		func(ma.Multiaddr) (tcp.ContextDialer, error) { return d, nil }))
	if err != nil {
		return nil, err
	}
	return patient{h.private(&tcpTransport{t, u, h.o.BBR})}, nil
}

// Listen accepts connections at the address.
func (t *tcpTransport) Listen(a ma.Multiaddr) (transport.Listener, error) {
	network, address, err := manet.DialArgs(a)
	if err != nil {
		return nil, err
	}
	l, err := listenTuned(context.Background(), network, address, t.bbr)
	if err != nil {
		return nil, err
	}
	ml, err := manet.WrapNetListener(l)
	if err != nil {
		l.Close()
		return nil, err
	}
	return t.upgrader.UpgradeGatedMaListener(t, t.upgrader.GateMaListener(ml)), nil
}

// tunedListener tunes what it accepts: the kernel hands the congestion control on, but not all options.
type tunedListener struct {
	*net.TCPListener
	bbr bool
}

func listenTuned(ctx context.Context, network, address string, bbr bool) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return tuneSocket(c, bbr) }}
	l, err := lc.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return tunedListener{l.(*net.TCPListener), bbr}, nil
}

func (l tunedListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	if raw, err := c.SyscallConn(); err == nil {
		_ = tuneSocket(raw, l.bbr)
	}
	return c, nil
}
