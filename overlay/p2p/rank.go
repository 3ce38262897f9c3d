package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	// familyDelay is the head start of a dial over the next address of the same transport, as in RFC 8305 §5.
	familyDelay = 250 * time.Millisecond
	// nearDelay is the same for addresses of the local network, where an answer comes at once.
	nearDelay = 100 * time.Millisecond
	// maxRank bounds how often the delay is added: a peer with many dead addresses must not hide its last one.
	maxRank = 4
	// relayDelay is the head start of direct addresses, all begun, before relays.
	relayDelay = 500 * time.Millisecond
)

// rank orders dials: TCP before QUIC, since it costs a third of the CPU and, with BBR, bears loss far better; IPv6
// before IPv4; relays last. libp2p by itself would prefer QUIC.
func rank(addrs []ma.Multiaddr) []network.AddrDelay {
	var ranked []network.AddrDelay
	for _, near := range []bool{true, false} {
		step, next, n := familyDelay, time.Duration(0), 0
		if near {
			step = nearDelay
		}
		for _, is := range []func(ma.Multiaddr) bool{isTCP6, isTCP4, isQUIC6, isQUIC4, isOther} {
			for _, a := range addrs {
				if manet.IsPrivateAddr(a) != near || !is(a) {
					continue
				}
				ranked = append(ranked, network.AddrDelay{Addr: a, Delay: next})
				if n++; n <= maxRank {
					next += step
				}
			}
		}
	}
	last := time.Duration(0)
	for _, r := range ranked {
		last = max(last, r.Delay+relayDelay)
	}
	for _, a := range addrs {
		if isRelayed(a) {
			ranked = append(ranked, network.AddrDelay{Addr: a, Delay: last})
		}
	}
	return ranked
}

func isTCP6(a ma.Multiaddr) bool  { return isTCP(a) && a[0].Code() == ma.P_IP6 }
func isTCP4(a ma.Multiaddr) bool  { return isTCP(a) && a[0].Code() != ma.P_IP6 }
func isQUIC6(a ma.Multiaddr) bool { return isQUIC(a) && a[0].Code() == ma.P_IP6 }
func isQUIC4(a ma.Multiaddr) bool { return isQUIC(a) && a[0].Code() != ma.P_IP6 }
func isOther(a ma.Multiaddr) bool { return !isTCP(a) && !isQUIC(a) && !isRelayed(a) }
