package p2p

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	manet "github.com/multiformats/go-multiaddr/net"
)

// moveLook is the time between looks at the addresses of this machine. A look costs some 50 us.
const moveLook = 250 * time.Millisecond

// watchMoves closes connections that leave from an address which this machine has no more, until ctx ends: a laptop in
// another network would else wait until they time out.
func (h *Host) watchMoves(ctx context.Context) {
	t := time.NewTicker(moveLook)
	defer t.Stop()
	had := h.ownAddresses()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		has := h.ownAddresses()
		if lost := slices.ContainsFunc(had, func(a netip.Addr) bool { return !slices.Contains(has, a) }); lost {
			h.move(has)
		}
		if len(has) > 0 && !slices.Equal(had, has) {
			select {
			case h.around <- struct{}{}:
			default:
			}
		}
		if len(has) > 0 {
			had = has
		}
	}
}

// move lets go of what an address that is gone has left behind. Connections over QUIC leave from every address; whether they
// still work is for Options.Moved to find out.
func (h *Host) move(has []netip.Addr) {
	h.log.Info("addresses of this machine have changed")
	h.observed.mu.Lock()
	clear(h.observed.by)
	clear(h.observed.asked)
	h.observed.mu.Unlock()
	for _, c := range h.inner.Network().Conns() {
		a, err := manet.ToIP(c.LocalMultiaddr())
		if err != nil || a.IsUnspecified() {
			continue
		}
		if ip, ok := netip.AddrFromSlice(a); ok && !slices.Contains(has, ip.Unmap()) {
			_ = c.Close()
		}
	}
	if h.o.Moved != nil {
		h.o.Moved()
	}
}

// HangUp closes all connections to a peer, whose addresses stay known.
func (h *Host) HangUp(id ID) {
	if h.listens() {
		h.dropLanes(id)
		_ = h.inner.Network().ClosePeer(id.peer())
	}
}

// KeepOnly closes all connections to a stream's peer but the one that it is on.
func (h *Host) KeepOnly(s *Stream) {
	h.dropLanes(s.peer)
	for _, c := range h.inner.Network().ConnsToPeer(s.peer.peer()) {
		if on, ok := s.s.(interface{ Conn() network.Conn }); ok && on.Conn() != c {
			_ = c.Close()
		}
	}
}
