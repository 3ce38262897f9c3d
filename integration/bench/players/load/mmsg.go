//go:build linux

package load

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	datagrams    = 32       // read by one system call
	datagramSize = 64 << 10 // bytes: with UDP_GRO, a datagram is many packets of one size
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// receiver reads datagrams of sockets, many at a time.
type receiver struct {
	msgs    [datagrams]mmsghdr
	iovs    [datagrams]unix.Iovec
	control [datagrams][32]byte // room for one control message with an int
	buf     []byte
}

func newReceiver() *receiver {
	r := &receiver{buf: make([]byte, datagrams*datagramSize)}
	for i := range r.msgs {
		r.iovs[i].Base = &r.buf[i*datagramSize]
		r.iovs[i].SetLen(datagramSize)
		r.msgs[i].hdr.Iov = &r.iovs[i]
		r.msgs[i].hdr.SetIovlen(1)
		r.msgs[i].hdr.Control = &r.control[i][0]
	}
	return r
}

// receive reads what a socket has, up to a limit, and hands each packet to take.
func (r *receiver) receive(fd int, take func(packet []byte)) error {
	for i := range r.msgs {
		r.msgs[i].hdr.SetControllen(len(r.control[i]))
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.msgs[0])), datagrams, unix.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
	case unix.EAGAIN, unix.EINTR:
		return nil
	default:
		return errno
	}
	for i := range r.msgs[:n] {
		m := &r.msgs[i]
		b := r.buf[i*datagramSize:][:m.n]
		size := segment(r.control[i][:m.hdr.Controllen])
		if size == 0 {
			size = len(b)
		}
		for len(b) > 0 {
			k := min(size, len(b))
			take(b[:k])
			b = b[k:]
		}
	}
	return nil
}

// segment returns the size of the packets in a datagram as its UDP_GRO control message tells, 0 without one.
func segment(control []byte) int {
	const data = unix.SizeofCmsghdr
	if len(control) < data+4 {
		return 0
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	if h.Level != unix.IPPROTO_UDP || h.Type != unix.UDP_GRO {
		return 0
	}
	return int(binary.NativeEndian.Uint32(control[data:]))
}
