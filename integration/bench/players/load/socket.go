//go:build linux

package load

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// clients are the addresses that players come from, so that no limit for one address is met and ports last: 127.0.1.1 to
// 127.0.1.250.
const clients = 250

func clientAddr(i int) [4]byte { return [4]byte{127, 0, 1, byte(1 + i%clients)} }

// dial connects to a server from an address. On loopback that does not take time.
func dial(from [4]byte, to netip.AddrPort, room int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	err = func() error {
		if room > 0 {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, room); err != nil {
				return fmt.Errorf("set SO_RCVBUF: %w", err)
			}
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return fmt.Errorf("set TCP_NODELAY: %w", err)
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return fmt.Errorf("set IP_BIND_ADDRESS_NO_PORT: %w", err)
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: from}); err != nil {
			return fmt.Errorf("bind: %w", err)
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}); err != nil {
			return fmt.Errorf("connect to %v: %w", to, err)
		}
		return unix.SetNonblock(fd, true)
	}()
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// datagram opens a UDP socket; a large one has a buffer for bursts, and gets runs of packets as one when gro is set.
func datagram(at [4]byte, port int, large, gro bool) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	err = func() error {
		room := 1 // the least there is, for reports that nobody reads
		if large {
			room = udpBuffer
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, room); err != nil {
			return fmt.Errorf("set SO_RCVBUF: %w", err)
		}
		if gro {
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1); err != nil {
				return fmt.Errorf("set UDP_GRO: %w", err)
			}
		}
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: at, Port: port})
	}()
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// firstPort and lastPort bound the ports of UDP players, below those that the system gives away.
const (
	firstPort = 10000
	lastPort  = 32000
)

// pair opens two UDP sockets of an address with an even port and the next (RFC 3550 §11). It looks from port next on and
// returns the port.
func pair(at [4]byte, next int, gro bool) (rtp, rtcp, port int, err error) {
	for port = next; port < lastPort; port += 2 {
		if rtp, err = datagram(at, port, true, gro); err != nil {
			continue
		}
		if rtcp, err = datagram(at, port+1, false, false); err != nil {
			_ = unix.Close(rtp)
			continue
		}
		return rtp, rtcp, port, nil
	}
	return -1, -1, 0, fmt.Errorf("no pair of UDP ports: %w", err)
}
