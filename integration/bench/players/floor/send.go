//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"peergate/integration/bench/players/camera"
)

const (
	maxMessages = 1024  // of one sendmmsg (UIO_MAXIOV)
	maxSegments = 64    // packets of one message (UDP_MAX_SEGMENTS of older kernels)
	maxDatagram = 65507 // bytes of one message: what IPv4 and UDP leave of 65535
)

// streams are the sockets of TCP players. They block, so that a write is always whole.
type streams struct {
	files []*os.File
	fds   []int
}

func (s *streams) add(f *os.File) error {
	fd := int(f.Fd())
	s.files, s.fds = append(s.files, f), append(s.fds, fd)
	return unix.SetNonblock(fd, false)
}

func (s *streams) send(f *camera.Frame) error {
	b := f.Interleaved()
	for _, fd := range s.fds {
		if _, err := unix.Write(fd, b); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// datagrams sends to UDP players from one socket.
type datagrams struct {
	fd    int
	msgs  []mmsghdr // one for each player, which share all but their address
	to    []unix.RawSockaddrInet4
	iov   unix.Iovec
	size  *uint16 // of the packets of a message, in its control message
	ctrl  [24]byte
	buf   []byte
	sizes []int
}

func openDatagrams(to []netip.AddrPort) (*datagrams, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	d := &datagrams{fd: fd, msgs: make([]mmsghdr, len(to)), to: make([]unix.RawSockaddrInet4, len(to))}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&d.ctrl[0]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	d.size = (*uint16)(unsafe.Pointer(&d.ctrl[unix.CmsgLen(0)]))
	for i, a := range to {
		d.to[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.Addr().As4()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&d.to[i].Port))[:], a.Port())
		m := &d.msgs[i].hdr
		m.Name, m.Namelen = (*byte)(unsafe.Pointer(&d.to[i])), unix.SizeofSockaddrInet4
		m.Iov = &d.iov
		m.SetIovlen(1)
		m.Control = &d.ctrl[0]
		m.SetControllen(len(d.ctrl))
	}
	return d, nil
}

func (d *datagrams) send(f *camera.Frame) error {
	d.buf, d.sizes = f.Packets(d.buf[:0], d.sizes[:0])
	b := d.buf
	for s := d.sizes; len(s) > 0; {
		packets, bytes := message(s)
		d.iov.Base = &b[0]
		d.iov.SetLen(bytes)
		*d.size = uint16(s[0])
		if err := d.flush(); err != nil {
			return err
		}
		b, s = b[bytes:], s[packets:]
	}
	return nil
}

// message returns how many packets go as one message, and their bytes: all of one size but the last, which may be smaller.
func message(sizes []int) (packets, bytes int) {
	for _, n := range sizes {
		if n > sizes[0] || packets == maxSegments || bytes+n > maxDatagram {
			break
		}
		packets++
		bytes += n
		if n < sizes[0] {
			break
		}
	}
	return packets, bytes
}

// flush sends the message to all players.
func (d *datagrams) flush() error {
	for m := d.msgs; len(m) > 0; {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(d.fd), uintptr(unsafe.Pointer(&m[0])), uintptr(min(len(m), maxMessages)), 0, 0, 0)
		if errno != 0 {
			return fmt.Errorf("sendmmsg: %w", errno)
		}
		m = m[n:]
	}
	return nil
}
