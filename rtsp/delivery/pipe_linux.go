package delivery

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// unsentLimit is how much of what was written to a connection may not have been sent yet, in bytes: half a second of an
// 8 Mbit/s stream. It keeps a slow player's delay in our hands, which can skip, instead of in the kernel's buffers.
const unsentLimit = 512 << 10

// direct writes on a TCP connection without blocking and without a goroutine.
type direct struct {
	shard *shard
	raw   syscall.RawConn

	// call is the system call for RawConn.Control, with its arguments and results.
	call    func(fd uintptr)
	vectors []unix.Iovec
	n       int
	errno   unix.Errno
}

func (s *Sender) newPipe(c net.Conn, l *Link) pipe {
	tcp, ok := c.(*net.TCPConn)
	if !ok || s.o.Portable {
		return s.newWriter(c, l)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return s.newWriter(c, l)
	}
	d := &direct{shard: l.shard, raw: raw}
	d.call = d.send
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLimit)
	})
	return d
}

func (d *direct) write(pieces []piece) (int, error) {
	d.vectors = d.shard.vectors[:0]
	total := 0
	for i := range pieces {
		if b := pieces[i].b; len(b) > 0 {
			v := unix.Iovec{Base: unsafe.SliceData(b)}
			v.SetLen(len(b))
			d.vectors = append(d.vectors, v)
			total += len(b)
		}
	}
	d.shard.vectors = d.vectors[:0]
	if total > 0 {
		if err := d.raw.Control(d.call); err != nil {
			return 0, ErrClosed
		}
		if d.errno != 0 && d.errno != unix.EAGAIN {
			return 0, d.errno
		}
	}
	left := d.n
	if total == 0 {
		left = 0
	}
	n := left
	for i := range pieces {
		if left -= len(pieces[i].b); left < 0 {
			break
		}
		if then := pieces[i].then; then != nil {
			then()
		}
	}
	return n, nil
}

// send writes the vectors. It never blocks, so the runtime need not hear of it: telling it costs 5 % and keeps its monitor
// awake.
func (d *direct) send(fd uintptr) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	for {
		var n uintptr
		if len(d.vectors) == 1 {
			v := &d.vectors[0]
			n, _, d.errno = unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(v.Base)), uintptr(v.Len), flags, 0, 0)
		} else {
			h := &d.shard.header
			h.Iov = &d.vectors[0]
			h.SetIovlen(len(d.vectors))
			n, _, d.errno = unix.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(h)), flags)
		}
		if d.n = int(n); d.errno != 0 {
			d.n = 0
		}
		if d.errno != unix.EINTR {
			return
		}
	}
}

func (d *direct) await(id uint64) { d.shard.poller.await(d.raw, id) }

func (*direct) close() {}
