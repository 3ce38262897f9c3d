package p2p

import (
	"cmp"
	"context"
	"slices"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Outward returns the addresses to give to somebody who is elsewhere, once this gateway listens: those that are reached from
// anywhere first, TCP before QUIC, and those of this machine alone only when there are no others.
func (h *Host) Outward(ctx context.Context) ([]string, error) {
	if err := h.running(ctx); err != nil {
		return nil, err
	}
	return texts(outward(h.inner.Addrs())), nil
}

func outward(addrs []ma.Multiaddr) []ma.Multiaddr {
	var near, far []ma.Multiaddr
	for _, a := range addrs {
		switch {
		case !isTCP(a) && !isQUIC(a) && !isCircuit(a), manet.IsIP6LinkLocal(a):
		case manet.IsIPLoopback(a):
			near = append(near, a)
		default:
			far = append(far, a)
		}
	}
	if len(far) == 0 {
		far = near
	}
	slices.SortStableFunc(far, func(a, b ma.Multiaddr) int {
		return cmp.Or(cmp.Compare(distant(a), distant(b)), cmp.Compare(len(a), len(b)))
	})
	return slices.CompactFunc(far, ma.Multiaddr.Equal)
}

// distant is 0 of an address that is reached from anywhere, else 1.
func distant(a ma.Multiaddr) int {
	if manet.IsPublicAddr(a) || a[0].Code() == ma.P_DNS || a[0].Code() == ma.P_DNS4 || a[0].Code() == ma.P_DNS6 {
		return 0
	}
	return 1
}

// AnyPublic tells whether an address of the list is reached from anywhere.
func AnyPublic(addrs []string) bool {
	all, _ := parseAll(addrs) // what is none is not reached
	return slices.ContainsFunc(all, func(a ma.Multiaddr) bool { return distant(a) == 0 })
}
