package p2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"
)

// libp2p keeps one connection to a peer and opens all streams on it. Over QUIC a lost packet slows them all; streams on
// connections of their own bear loss far better (docs/links.md). A lane is such a connection: dialled through the
// transport, past libp2p's swarm, which would say that there is one already. The peer accepts it as any other.

// negotiateTimeout is how long a peer may take to say what a stream on a lane is for; it is libp2p's.
const negotiateTimeout = 10 * time.Second

// laneKey names a lane.
type laneKey struct {
	peer ID
	n    int
}

// OpenLane is Open on lane n of those to a peer that is reached over QUIC: on a connection of its own, unless n is 0.
func (h *Host) OpenLane(ctx context.Context, id ID, proto Protocol, n int) (*Stream, error) {
	if n == 0 {
		return h.Open(ctx, id, proto)
	}
	if err := h.running(ctx); err != nil {
		return nil, err
	}
	c, err := h.lane(ctx, laneKey{id, n})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", proto, err)
	}
	s, err := c.OpenStream(ctx)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", proto, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	if err := multistream.SelectProtoOrFail(protocol.ID(proto), s); err != nil {
		_ = s.Reset()
		return nil, fmt.Errorf("open %s: %w", proto, err)
	}
	return &Stream{s: s, h: h, peer: id, remote: c.RemoteMultiaddr(), dialled: true}, nil
}

// lane returns the connection of a lane, dialled now if there is none that is alive.
func (h *Host) lane(ctx context.Context, k laneKey) (transport.CapableConn, error) {
	h.mu.Lock()
	c := h.lanes[k]
	h.mu.Unlock()
	if c != nil && !c.IsClosed() {
		return c, nil
	}
	addr, err := h.quicAddr(k.peer)
	if k.n == observeLane {
		addr, err = h.observerAddr(k.peer)
	}
	if err != nil {
		return nil, err
	}
	if c, err = h.dialTransport(ctx, k.peer.peer(), addr); err != nil {
		return nil, err
	}
	if !h.keepLane(k, c) {
		return nil, errors.Join(ErrStopped, c.Close())
	}
	return c, nil
}

// keepLane notes a lane and serves the streams that the peer opens on it: to its libp2p it is a connection like the others,
// and perhaps the best. It reports false when the host is about to stop.
func (h *Host) keepLane(k laneKey, c transport.CapableConn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing {
		return false
	}
	if old := h.lanes[k]; old != nil {
		_ = old.Close()
	}
	h.lanes[k] = c
	h.serving.Go(func() {
		for {
			s, err := c.AcceptStream()
			if err != nil {
				_ = c.Close()
				return
			}
			h.serving.Go(func() { h.serveLane(k.peer, c, s) })
		}
	})
	return true
}

// serveLane serves one stream that the peer has opened on a lane. What is not for this program, such as the question who we
// are, is refused: the peer knows that from the first connection.
func (h *Host) serveLane(id ID, c transport.CapableConn, s network.MuxedStream) {
	st := &Stream{s: s, h: h, peer: id, remote: c.RemoteMultiaddr()}
	if err := st.SetDeadline(time.Now().Add(negotiateTimeout)); err != nil {
		st.Reset()
		return
	}
	proto, _, err := h.inner.Mux().Negotiate(s)
	serve := h.o.Handlers[Protocol(proto)]
	if err != nil || serve == nil || st.SetDeadline(time.Time{}) != nil {
		st.Reset()
		return
	}
	h.handle(st, serve)
}

// dropLanes closes the lanes to a peer, or to all when id is "".
func (h *Host) dropLanes(id ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, c := range h.lanes {
		if id == "" || k.peer == id {
			_ = c.Close()
			delete(h.lanes, k)
		}
	}
}

// quicAddr returns the address of the peer's connection, if that is a direct one over QUIC.
func (h *Host) quicAddr(id ID) (ma.Multiaddr, error) {
	conns := h.inner.Network().ConnsToPeer(id.peer())
	i := slices.IndexFunc(conns, func(c network.Conn) bool { return isQUIC(c.RemoteMultiaddr()) })
	if i < 0 {
		return nil, errors.New("the peer is not reached over QUIC")
	}
	return conns[i].RemoteMultiaddr(), nil
}

// observerAddr returns an address to reach a peer at over QUIC, of the machine that it is connected from if there is one.
func (h *Host) observerAddr(id ID) (ma.Multiaddr, error) {
	if a, err := h.quicAddr(id); err == nil {
		return a, nil
	}
	c := h.direct(id.peer())
	if c == nil {
		return nil, errors.New("the peer is not connected directly")
	}
	at, err := manet.ToIP(c.RemoteMultiaddr())
	if err != nil {
		return nil, err
	}
	for _, a := range h.inner.Peerstore().Addrs(id.peer()) {
		if ip, err := manet.ToIP(a); err == nil && isQUIC(a) && ip.Equal(at) {
			return a, nil
		}
	}
	return nil, errors.New("no QUIC address of the peer is known")
}
