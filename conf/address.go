package conf

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// addressForm tells what an address of the overlay looks like.
const addressForm = "host:port, /ip4/192.0.2.1/tcp/8555 or /dns4/example.org/udp/8555/quic-v1"

// listenAddress checks host:port, where an empty host is any address.
func listenAddress(f faults, key, v string) {
	if _, port, ok := hostPort(v); !ok || !isPort(port, 0) {
		f.fault(key, "is %q, must be host:port or :port, such as :8554 or [::1]:8554", v)
	}
}

// overlayListen checks an address at which the overlay is to listen; port 0 lets the system choose.
func overlayListen(f faults, key, v string) {
	if id, ok := overlayAddress(v, 0); !ok || id != "" || strings.HasSuffix(v, "/p2p-circuit") {
		f.fault(key, "is %q, must be of the form %s", v, addressForm)
	}
}

// overlayDial checks an address of a peer. It may end in /p2p/ and the peer's ID.
func overlayDial(f faults, key, v, peer string) {
	id, ok := overlayAddress(v, 1)
	switch {
	case !ok:
		f.fault(key, "is %q, must be of the form %s", v, addressForm)
	case id != "" && id != peer:
		f.fault(key, "is %q, which ends in another ID than the peer's: correct one of them", v)
	}
}

// overlayAddress checks an address in the forms that p2p.ParseAddrs knows and returns the ID that it ends in.
func overlayAddress(v string, leastPort uint64) (id string, ok bool) {
	if !strings.HasPrefix(v, "/") {
		host, port, ok := hostPort(v)
		return "", ok && host != "" && !strings.Contains(host, "%") && isPort(port, 1)
	}
	if relay, end, ok := strings.Cut(v, "/p2p-circuit"); ok {
		via, ok := overlayAddress(relay, 1)
		id, named := strings.CutPrefix(end, "/p2p/")
		return id, ok && via != "" && (end == "" || named && peerID.MatchString(id))
	}
	v, id, hasID := strings.Cut(v, "/p2p/")
	if hasID && !peerID.MatchString(id) {
		return "", false
	}
	p := strings.Split(v, "/")
	if len(p) < 5 || !isHost(p[1], p[2]) || !isPort(p[4], leastPort) {
		return "", false
	}
	tcp := len(p) == 5 && p[3] == "tcp"
	quic := len(p) == 6 && p[3] == "udp" && p[5] == "quic-v1"
	return id, tcp || quic
}

// splitLink takes a share link apart and tells whether it is one, as far as can be seen here: its name and its addresses
// are read by the overlay.
func splitLink(v string) (owner, name string, ok bool) {
	rest, ok := strings.CutPrefix(v, "peergate://")
	rest, _, _ = strings.Cut(rest, "?")
	owner, name, _ = strings.Cut(rest, "/")
	return owner, name, ok && peerID.MatchString(owner) && name != ""
}

// hostPort splits host:port and checks the host, which may be empty.
func hostPort(v string) (host, port string, ok bool) {
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		return "", "", false
	}
	_, err = netip.ParseAddr(host)
	return host, port, err == nil || host == "" || isDomain(host)
}

// isHost checks the first two parts of a multiaddress.
func isHost(kind, host string) bool {
	switch kind {
	case "ip4", "ip6":
		a, err := netip.ParseAddr(host)
		return err == nil && a.Zone() == "" && a.Is4() == (kind == "ip4")
	case "dns", "dns4", "dns6":
		return isDomain(host)
	}
	return false
}

// isDomain checks the characters of a host's name.
func isDomain(s string) bool {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
	}
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, bad)
}

// isPort checks a port number.
func isPort(s string, least uint64) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n >= least
}
