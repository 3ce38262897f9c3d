//go:build !linux

package delivery

import (
	"net"
	"net/netip"
)

// rawAddr is of use on Linux only.
type rawAddr struct{}

func (s *shard) newDatagrams(c *net.UDPConn) datagrams { return newSingles(s, c) }

func (*singles) address(netip.AddrPort) (r rawAddr) { return r }
