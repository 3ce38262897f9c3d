//go:build integration

package netlab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
)

// Host is a machine of the lab.
type Host struct {
	Name   string
	Addr   netip.Addr // IPv4: public, or private behind NAT
	Addr6  netip.Addr // IPv6, always public
	Access *Access    // the link of its site
	Box    *Box       // the router of its LAN; nil on the core

	lab   *Lab
	space *space
}

// Host makes a site that is one machine.
func (l *Lab) Host(name string, link Link) *Host {
	l.t.Helper()
	h := &Host{Name: name, lab: l, space: l.namespace(name)}
	h.Access = l.access(h.space, link)
	h.Addr, h.Addr6 = address4(l.sites), address6(l.sites, 0, 1)
	l.must(name, h.space.ip(
		fmt.Sprintf("addr add %v/32 dev wan0", h.Addr),
		fmt.Sprintf("addr add %v/128 dev wan0 nodad", h.Addr6),
		"route add default dev wan0",
		"route add ::/0 dev wan0",
	))
	return h
}

// Prefix is a command that starts another one on the host, such as []string{"nsenter", "--net=...", "--"}.
func (h *Host) Prefix() []string { return h.space.prefix() }

// Command returns a command that runs on the host.
func (h *Host) Command(name string, args ...string) *exec.Cmd {
	all := append(append(h.Prefix(), name), args...)
	return exec.Command(all[0], all[1:]...)
}

// Do runs f on the host: sockets and processes that its goroutine makes are the host's for good, those of goroutines that it
// starts are not. So a gateway, a player or an encoder of package lab that f starts is on the host.
func (h *Host) Do(f func() error) error { return h.space.do(f) }

// DialContext connects from the host to an address of numbers.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var c net.Conn
	err := h.Do(func() error {
		var d net.Dialer
		var err error
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Listen listens on the host for TCP.
func (h *Host) Listen(address string) (net.Listener, error) {
	var l net.Listener
	err := h.Do(func() error {
		var err error
		l, err = net.Listen("tcp", address)
		return err
	})
	return l, err
}

// ListenUDP opens a UDP socket on the host.
func (h *Host) ListenUDP(address netip.AddrPort) (*net.UDPConn, error) {
	var c *net.UDPConn
	err := h.Do(func() error {
		var err error
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
		return err
	})
	return c, err
}

// Congestion sets the congestion control of the host's TCP, bbr or reno. A socket may ask for another one.
func (h *Host) Congestion(name string) {
	h.lab.t.Helper()
	h.lab.must(h.Name, h.space.sysctl("net/ipv4/tcp_congestion_control="+name))
}

// Filter loads rules of nftables on the host.
func (h *Host) Filter(rules string) {
	h.lab.t.Helper()
	h.lab.must(h.Name, h.space.run(rules, "nft", "-f", "-"))
}

// Move unplugs the host from its LAN and plugs it into another one, where it gets other addresses.
func (h *Host) Move(to *Box) {
	h.lab.t.Helper()
	if h.Box == nil {
		h.lab.t.Fatalf("netlab: %s is on the core, only hosts behind a box can move", h.Name)
	}
	h.lab.must(h.Name, h.space.ip("link del eth0"))
	to.plug(h)
}
