package p2p

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// ParseAddrs reads an address of a gateway. It is a multiaddr, "/ip4/192.0.2.7/tcp/8555", which may end in "/p2p/ID", or
// through a relay, "/ip4/192.0.2.7/tcp/8555/p2p/RELAY/p2p-circuit",
// or for short "192.0.2.7:8555" or "gw.example.org:8555", which stand for both TCP and QUIC on that port.
func ParseAddrs(s string) ([]string, error) {
	if !strings.HasPrefix(s, "/") {
		return parseHostPort(s)
	}
	a, err := parseMultiaddr(s)
	if err != nil {
		return nil, err
	}
	return []string{a.String()}, nil
}

// parseHostPort expands the short form of an address.
func parseHostPort(s string) ([]string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return nil, fmt.Errorf("address %q is neither host:port nor a multiaddr such as /ip4/192.0.2.7/tcp/8555", clip(s))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("address %q has port %q, must be 1 to 65535", clip(s), clip(port))
	}
	kind := "dns"
	if ip, err := netip.ParseAddr(host); err == nil {
		kind = "ip4"
		if ip.Is6() {
			kind = "ip6"
		}
	}
	base := "/" + kind + "/" + host
	var all []string
	for _, tail := range []string{"/tcp/" + port, "/udp/" + port + "/quic-v1"} {
		a, err := parseMultiaddr(base + tail)
		if err != nil {
			return nil, err
		}
		all = append(all, a.String())
	}
	return all, nil
}

// parseMultiaddr reads a multiaddr of a transport that gateways have and takes a final /p2p/ID off.
func parseMultiaddr(s string) (ma.Multiaddr, error) {
	a, err := ma.NewMultiaddr(s)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", clip(s), err)
	}
	if n := len(a) - 1; n > 0 && a[n].Code() == ma.P_P2P {
		a = a[:n]
	}
	if !isTCP(a) && !isQUIC(a) && !isCircuit(a) {
		return nil, fmt.Errorf("address %q must end in /tcp/PORT, /udp/PORT/quic-v1 or, behind a relay, one of these and /p2p/ID/p2p-circuit", clip(s))
	}
	return a, nil
}

// parseAll reads addresses that may come from a peer and leaves out those that cannot be dialled.
func parseAll(addrs []string) ([]ma.Multiaddr, error) {
	var all []ma.Multiaddr
	var errs []error
	for _, s := range addrs {
		list, err := ParseAddrs(s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, t := range list {
			all = append(all, ma.StringCast(t))
		}
	}
	return all, errors.Join(errs...)
}

func isTCP(a ma.Multiaddr) bool {
	return len(a) == 2 && isHost(a[0].Code()) && a[1].Code() == ma.P_TCP
}

func isQUIC(a ma.Multiaddr) bool {
	return len(a) == 3 && isHost(a[0].Code()) && a[1].Code() == ma.P_UDP && a[2].Code() == ma.P_QUIC_V1
}

// isCircuit tells whether an address leads through a relay, whose address and ID it begins with.
func isCircuit(a ma.Multiaddr) bool {
	n := len(a) - 2
	return n > 0 && a[n].Code() == ma.P_P2P && a[n+1].Code() == ma.P_CIRCUIT && (isTCP(a[:n]) || isQUIC(a[:n]))
}

func isHost(code int) bool {
	switch code {
	case ma.P_IP4, ma.P_IP6, ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
		return true
	}
	return false
}

// Announce returns the addresses under which others can dial a gateway that listens on these: "every address" becomes
// those of the machine's interfaces, loopback only when there is no other.
func Announce(listen []string) ([]string, error) {
	addrs, err := parseAll(listen)
	if err != nil {
		return nil, err
	}
	ifaces, err := manet.InterfaceMultiaddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	addrs, err = manet.ResolveUnspecifiedAddresses(addrs, ifaces)
	if err != nil {
		return nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	var near, far []string
	for _, a := range addrs {
		switch {
		case manet.IsIP6LinkLocal(a):
		case manet.IsIPLoopback(a):
			near = append(near, a.String())
		default:
			far = append(far, a.String())
		}
	}
	if len(far) == 0 {
		return near, nil
	}
	return far, nil
}

// isLocal tells whether an address is this machine's or in one of its networks that are not public.
func isLocal(a ma.Multiaddr) bool {
	ip, err := manet.ToIP(a)
	switch {
	case err != nil:
		return false
	case ip.IsLoopback(), ip.IsLinkLocalUnicast():
		return true
	case !ip.IsPrivate():
		return false
	}
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, n := range nets {
		if n, ok := n.(*net.IPNet); ok && n.Contains(ip) {
			return true
		}
	}
	return false
}
