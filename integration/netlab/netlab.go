//go:build integration

// Package netlab is a small internet in network namespaces of one machine. A site is a namespace, or a LAN of several behind a
// router box with or without NAT. Sites hang on a core by access links that have a rate, a queue, a delay, jitter and loss, each
// way separately, and that count every byte. The kernel here has no netem and no fq, so the core is a router in this process:
// the outer end of an access link is a TUN device whose packets are read, held back, lost or written to another one.
//
//	      core (router.go, one thread)
//	TUN ┌──────┼──────────┐ TUN                  each link: rate, queue, delay, jitter, loss, counters
//	host a   host b     box home ── bridge       box: routes, or masquerades by nftables and conntrack
//	                               │     │
//	                            host c  box inner ── bridge ── host d
//
// Addresses look public (11.7.N.1 and 2a10:77:N::1 for site N) and exist in the namespaces only; nothing there leads out. The
// namespaces have no names and the TUN devices are not persistent, so the kernel removes all when the processes in them are
// gone; a helper kills those when this process dies, however it dies.
//
// It needs root, bash, iproute2, nftables and util-linux.
package netlab

import (
	"fmt"
	"net/netip"
	"os"
)

// Units of a rate.
const (
	Kbit = 1000
	Mbit = 1000 * Kbit
)

// T is told when something fails and has what must be cleaned up in the end: a testing.TB, or the command beside this package.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Cleanup(f func())
}

// maxSites is how many sites and boxes there can be: they are numbered in one byte of their addresses.
const maxSites = 250

// Lab is the core and what hangs on it. Its methods are for the goroutine of the test.
type Lab struct {
	t      T
	core   *router
	reaper *reaper
	spaces []*space
	sites  int
	boxes  int
}

// New makes an empty lab, which lives until the test ends. Without root it fails the test.
func New(t T) *Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatalf("netlab makes network namespaces, which needs root")
	}
	r, err := newReaper()
	if err != nil {
		t.Fatalf("netlab: %v", err)
	}
	l := &Lab{t: t, reaper: r}
	t.Cleanup(l.close)
	l.core, err = newRouter()
	l.must("core", err)
	t.Cleanup(l.core.Close)
	return l
}

// close kills what still runs in the namespaces, and lets them go.
func (l *Lab) close() {
	if err := l.reaper.Close(); err != nil {
		l.t.Errorf("netlab: %v", err)
	}
	for _, s := range l.spaces {
		s.Close()
	}
}

// Split cuts the given sites off from all others, but not from each other; sites that were split off before stay where they are.
func (l *Lab) Split(sites ...*Access) { l.core.split(sites) }

// Heal ends all splits.
func (l *Lab) Heal() { l.core.heal() }

// Load returns how the core did: how many packets it has passed on and the latest that it was for one.
func (l *Lab) Load() Load { return l.core.loadNow() }

// must fails the test on an error.
func (l *Lab) must(what string, err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatalf("netlab: %s: %v", what, err)
	}
}

// namespace makes a namespace with the loopback up, which the reaper knows.
func (l *Lab) namespace(name string) *space {
	l.t.Helper()
	s, err := newSpace()
	l.must("namespace of "+name, err)
	l.spaces = append(l.spaces, s)
	l.must("namespace of "+name, l.reaper.watch(s))
	l.must("namespace of "+name, s.ip("link set lo up"))
	for _, c := range []string{
		"net/ipv6/conf/all/accept_ra=0", "net/ipv6/conf/default/accept_ra=0", "net/ipv6/conf/default/accept_dad=0",
		"net/ipv6/conf/default/router_solicitations=0",
	} {
		l.must("namespace of "+name, s.sysctl(c))
	}
	return s
}

// address4 is the IPv4 address of site n.
func address4(n int) netip.Addr { return netip.AddrFrom4([4]byte{11, 7, byte(n), 1}) }

// address6 is the IPv6 address of machine m in LAN lan of site n. LAN 0 is the access link.
func address6(n, lan, m int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("2a10:77:%x:%x::%x", n, lan, m))
}

// access makes the access link of a new site in its namespace, where its device is called wan0.
func (l *Lab) access(s *space, link Link) *Access {
	l.t.Helper()
	if l.sites++; l.sites > maxSites {
		l.t.Fatalf("netlab: more than %d sites", maxSites)
	}
	fd, err := openTUN(s)
	l.must("access link", err)
	a := l.core.attach(fd, l.sites, link)
	l.must("access link", s.ip("link set wan0 up mtu 1500 txqueuelen 2000"))
	return a
}
