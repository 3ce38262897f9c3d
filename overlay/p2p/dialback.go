package p2p

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
)

// answerObserve answers a question of a peer.
func (h *Host) answerObserve(s network.Stream) {
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(observeWithin))
	q, err := readQuestion(s)
	if err != nil {
		_ = s.Reset()
		return
	}
	seen, err := addrPort(s.Conn().RemoteMultiaddr())
	if err != nil {
		_ = s.Reset()
		return
	}
	a, w := observeAnswer{Seen: seen.String()}, json.NewEncoder(s)
	if w.Encode(a) != nil {
		_ = s.Reset()
		return
	}
	if p := s.Conn().RemotePeer(); h.mayDialBack(p, time.Now()) {
		ctx, cancel := context.WithTimeout(context.Background(), observeWithin)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { a.TCP = h.backTCP(ctx, p, seen.Addr(), q.TCP) })
		wg.Go(func() {
			if q.UDP != 0 {
				a.UDP = h.backUDP(ctx, p, seen)
			}
		})
		wg.Wait()
	}
	if w.Encode(a) != nil {
		_ = s.Reset()
	}
}

// mayDialBack bounds how often others can have this gateway connect somewhere; it is only ever to where they are.
func (h *Host) mayDialBack(p peer.ID, now time.Time) bool {
	h.observed.mu.Lock()
	defer h.observed.mu.Unlock()
	if now.Sub(h.observed.back[p]) < backSoonest {
		return false
	}
	if len(h.observed.back) >= maxStrangers {
		clear(h.observed.back)
	}
	h.observed.back[p] = now
	return true
}

// backTCP connects to a port of the peer over TCP. Our connections leave from a new port, so no flow of the peer's helps.
func (h *Host) backTCP(ctx context.Context, p peer.ID, ip netip.Addr, port int) string {
	if port <= 0 || port > 65535 {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, backWithin)
	defer cancel()
	c, err := h.dialTransport(ctx, p, tcpAt(netip.AddrPortFrom(ip, uint16(port))))
	if err != nil {
		return clip(firstLine(err))
	}
	_ = c.Close()
	return backOK
}

// backUDP connects to the peer over QUIC, from a port that the peer has sent nothing to.
func (h *Host) backUDP(ctx context.Context, p peer.ID, at netip.AddrPort) string {
	ctx, cancel := context.WithTimeout(ctx, backWithin)
	defer cancel()
	key, err := crypto.UnmarshalEd25519PrivateKey(h.o.Identity.Key)
	if err != nil {
		return clip(err.Error())
	}
	id, err := tls.NewIdentity(key)
	if err != nil {
		return clip(err.Error())
	}
	conf, _ := id.ConfigForPeer(p)
	c, err := quic.DialAddr(ctx, at.String(), conf, nil)
	if err != nil {
		return clip(firstLine(err))
	}
	_ = c.CloseWithError(0, "")
	return backOK
}

// dialTransport dials past libp2p's swarm, which would say that there is a connection already.
func (h *Host) dialTransport(ctx context.Context, p peer.ID, a ma.Multiaddr) (transport.CapableConn, error) {
	sw, ok := h.inner.Network().(*swarm.Swarm)
	if !ok {
		return nil, errors.New("libp2p has no swarm")
	}
	t := sw.TransportForDialing(a)
	if t == nil {
		return nil, fmt.Errorf("no transport for %s", a)
	}
	return t.Dial(ctx, a, p)
}
