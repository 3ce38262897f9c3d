package delivery

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawAddr is a socket address as the kernel reads it.
type rawAddr struct {
	b [unix.SizeofSockaddrInet6]byte
	n uint32
}

// maxControl is the room in bytes for the control messages of an entry: UDP_SEGMENT and an IPv6 source address.
const maxControl = 96

// mmsg sends many messages with one sendmmsg, each of which the kernel cuts into datagrams (UDP_SEGMENT, Linux 4.18).
type mmsg struct {
	shard   *shard
	raw     syscall.RawConn
	six     bool // the socket is an IPv6 one
	cuts    bool // it knows UDP_SEGMENT
	headers [maxEntries]unix.Mmsghdr
	vectors [maxEntries]unix.Iovec
	control [maxEntries][maxControl]byte

	// call is sendmmsg for RawConn.Control, with its argument and results.
	call  func(fd uintptr)
	count int
	sent  int
	errno unix.Errno
	// sendmmsg is the system call; tests put in one that fails.
	sendmmsg func(fd uintptr, h []unix.Mmsghdr) (int, unix.Errno)
}

func (s *shard) newDatagrams(c *net.UDPConn) datagrams {
	raw, err := c.SyscallConn()
	if err != nil || s.sender.o.Portable {
		return newSingles(s, c)
	}
	m := &mmsg{shard: s, raw: raw, sendmmsg: sendmmsg}
	_ = raw.Control(func(fd uintptr) {
		domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		m.six = err == nil && domain == unix.AF_INET6
		_, err = unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		m.cuts = err == nil
	})
	for i := range m.headers {
		h := &m.headers[i].Hdr
		h.Iov = &m.vectors[i]
		h.SetIovlen(1)
	}
	m.call = func(fd uintptr) {
		for {
			m.sent, m.errno = m.sendmmsg(fd, m.headers[:m.count])
			if m.errno != unix.EINTR {
				return
			}
		}
	}
	return m
}

// sendmmsg does not block, and the runtime does not hear of it, as in direct.send.
func sendmmsg(fd uintptr, h []unix.Mmsghdr) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&h[0])), uintptr(len(h)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

func (m *mmsg) segments() bool { return m.cuts }

func (m *mmsg) send(entries []entry) (int, error) {
	entries = entries[:min(len(entries), maxEntries)]
	for i := range entries {
		e := &entries[i]
		h := &m.headers[i].Hdr
		h.Name, h.Namelen = &e.to.raw.b[0], e.to.raw.n
		v := &m.vectors[i]
		v.Base = unsafe.SliceData(e.data)
		v.SetLen(len(e.data))
		h.Control = nil
		h.SetControllen(0)
		if n := m.controls(&m.control[i], e); n > 0 {
			h.Control = &m.control[i][0]
			h.SetControllen(n)
		}
	}
	m.count = len(entries)
	if err := m.raw.Control(m.call); err != nil {
		return 0, err
	}
	if m.errno != 0 {
		switch m.errno {
		case unix.EAGAIN, unix.ENOBUFS:
			return 0, errAgain
		case unix.EIO, unix.EINVAL:
			// EIO: no checksum offload or IPsec on the way. EINVAL: a datagram is larger than the path's MTU.
			return 0, errSegments
		}
		return 0, m.errno
	}
	return m.sent, nil
}

// controls writes an entry's control messages and returns their length.
func (m *mmsg) controls(b *[maxControl]byte, e *entry) int {
	n := 0
	if e.size < len(e.data) {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		h.SetLen(unix.CmsgLen(2))
		binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], uint16(e.size))
		n = unix.CmsgSpace(2)
	}
	return n + copy(b[n:], e.to.oob)
}

func (m *mmsg) await(id uint64) { m.shard.poller.await(m.raw, id) }

func (m *mmsg) address(a netip.AddrPort) (r rawAddr) {
	if m.six {
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&r.b))
		sa.Family = unix.AF_INET6
		sa.Addr = a.Addr().As16()
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], a.Port())
		if zone := a.Addr().Zone(); zone != "" {
			if ifi, err := net.InterfaceByName(zone); err == nil {
				sa.Scope_id = uint32(ifi.Index)
			}
		}
		r.n = unix.SizeofSockaddrInet6
		return r
	}
	sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&r.b))
	sa.Family = unix.AF_INET
	if ip := a.Addr().Unmap(); ip.Is4() {
		sa.Addr = ip.As4()
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], a.Port())
	r.n = unix.SizeofSockaddrInet4
	return r
}

func (*singles) address(netip.AddrPort) (r rawAddr) { return r }
