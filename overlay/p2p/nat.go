package p2p

import (
	"slices"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Whether others can connect to this gateway, Options.Reachability.
const (
	ReachAuto    = "auto"    // as peers find out
	ReachPublic  = "public"  // yes
	ReachPrivate = "private" // no
)

// portMapping has the router lead our ports here, by UPnP or NAT-PMP, if that is wanted.
func (h *Host) portMapping() libp2p.Option {
	if !h.o.PortMapping {
		return func(*libp2p.Config) error { return nil }
	}
	return libp2p.NATManager(func(n network.Network) basichost.NATManager {
		h.router = basichost.NewNATManager(n)
		return h.router
	})
}

// mappedAddrs returns the addresses that the router leads here.
func (h *Host) mappedAddrs() []ma.Multiaddr {
	if h.router == nil {
		return nil
	}
	var all []ma.Multiaddr
	for _, a := range h.inner.Network().ListenAddresses() {
		if m := h.router.GetMapping(a); m != nil && !slices.ContainsFunc(all, m.Equal) {
			all = append(all, m)
		}
	}
	return all
}

func (h *Host) mapped() []string { return texts(h.mappedAddrs()) }

// announce is libp2p's question which addresses others are to be told: of those of the interfaces and the router, and of what
// peers could connect to, all, and the way through relays when there is no other.
func (h *Host) announce(addrs []ma.Multiaddr) []ma.Multiaddr {
	if !h.listens() {
		return addrs
	}
	if h.public() {
		return ma.Unique(append(addrs, h.observedAddrs()...))
	}
	for _, r := range h.places.held() {
		addrs = append(addrs, h.circuitsOf(r)...)
	}
	return addrs
}

// circuitsOf returns the addresses of this gateway through a relay.
func (h *Host) circuitsOf(r peer.ID) []ma.Multiaddr {
	var all []ma.Multiaddr
	for _, a := range h.inner.Peerstore().Addrs(r) {
		if (isTCP(a) || isQUIC(a)) && manet.IsPublicAddr(a) && len(all) < 2 {
			all = append(all, a.Encapsulate(circuit(r)))
		}
	}
	return all
}

// changed tells that others reach this gateway in another way than before.
func (h *Host) changed() {
	if h.o.Changed != nil {
		h.o.Changed()
	}
}
