package delivery

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxReady is how many events are taken from the kernel at once.
const maxReady = 64

// poller tells when connections and sockets can take more, through an epoll instance of its shard: each asks for one
// event at a time, so that those which keep up cost nothing.
type poller struct {
	fd   int
	file *os.File // of fd; the runtime's own poller waits for it
}

// open makes the epoll instance.
func (s *shard) open() error {
	if s.sender.o.Portable {
		return nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return fmt.Errorf("epoll: %w", err)
	}
	s.poller.fd, s.poller.file = fd, os.NewFile(uintptr(fd), "epoll")
	return nil
}

func (s *shard) close() {
	if s.poller.file != nil {
		s.poller.file.Close()
	}
}

// await asks for one event when the connection can take more.
func (p *poller) await(raw syscall.RawConn, id uint64) {
	_ = raw.Control(func(fd uintptr) {
		ev := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLONESHOT, Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32))}
		if unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, int(fd), &ev) == unix.ENOENT {
			_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(fd), &ev)
		}
	})
}

// watch passes the kernel's events to the loop until ctx ends.
func (s *shard) watch(ctx context.Context) error {
	if s.poller.file == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = s.poller.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := s.poller.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	var events [maxReady]unix.EpollEvent
	var ids []uint64
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n, err = unix.EpollWait(int(fd), events[:], 0)
			return n > 0 || err != nil && err != unix.EINTR
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
		ids = ids[:0]
		for _, ev := range events[:max(n, 0)] {
			ids = append(ids, uint64(uint32(ev.Fd))|uint64(uint32(ev.Pad))<<32)
		}
		s.notify(ids...)
	}
}

// scratch is what a shard's system calls share.
type scratch struct {
	vectors []unix.Iovec
	header  unix.Msghdr
}
