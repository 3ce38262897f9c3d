package p2p

import (
	"errors"
	"net"
	"sync/atomic"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/transport"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/quic-go/quic-go"
)

// newQUIC makes libp2p's transport for QUIC.
func (h *Host) newQUIC(
	key crypto.PrivKey, m *quicreuse.ConnManager, psk pnet.PSK, g connmgr.ConnectionGater, rm network.ResourceManager,
) (transport.Transport, error) {
	t, err := libp2pquic.NewTransport(key, m, psk, g, rm)
	if err != nil {
		return nil, err
	}
	return h.private(t), nil
}

// udpOptions makes libp2p use QUIC on the sockets that Options.UDP gives, and nothing of this machine. What it returns
// closes them, since libp2p does not.
func (h *Host) udpOptions() (opts []libp2p.Option, done func() error) {
	var m *quicreuse.ConnManager
	make := func(reset quic.StatelessResetKey, token quic.TokenGeneratorKey, opts ...quicreuse.Option) (*quicreuse.ConnManager, error) {
		var err error
		m, err = quicreuse.NewConnManager(reset, token, opts...)
		return m, err
	}
	from := new(listenIP)
	opts = []libp2p.Option{
		libp2p.QUICReuse(make,
			quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return from, nil }),
			quicreuse.OverrideListenUDP(func(_ string, a *net.UDPAddr) (net.PacketConn, error) {
				from.ip.Store(&a.IP)
				return h.o.UDP(a)
			})),
		libp2p.ResourceManager(&network.NullResourceManager{}), // libp2p's own stalls in simulated time
	}
	return opts, func() error {
		if m == nil {
			return nil
		}
		return m.Close()
	}
}

// listenIP makes packets leave from the address at which the host listens.
type listenIP struct{ ip atomic.Pointer[net.IP] }

// PreferredSourceIPForDestination implements quicreuse.SourceIPSelector.
func (l *listenIP) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	ip := l.ip.Load()
	if ip == nil {
		return nil, errors.New("the host does not listen")
	}
	return *ip, nil
}
