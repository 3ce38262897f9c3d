//go:build linux

package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"peergate/integration/bench/players/camera"
)

const (
	events   = 256     // taken by one epoll_wait
	readSize = 1 << 20 // bytes read from a connection by one system call
	// sweepEvery is how often players are looked at whose sessions must be kept alive.
	sweepEvery = int64(time.Second)
)

// loop reads for all players, in one thread: a goroutine for each would cost more than the server does.
type loop struct {
	epoll, wake int
	orders      chan func() // run in the loop; Load.do waits for them, with its own when this is full
	players     []*player
	byFD        []*player // index is the socket
	window      window
	nothing     window // of the players that stall: never open
	buf         []byte
	datagrams   *receiver
	swept       int64
}

func newLoop() (*loop, error) {
	l := &loop{orders: make(chan func(), 1), buf: make([]byte, readSize), datagrams: newReceiver()}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		_ = unix.Close(l.epoll)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	if err := l.watch(l.wake, nil); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *loop) close() {
	for _, p := range l.players {
		p.close()
	}
	_ = unix.Close(l.epoll)
	_ = unix.Close(l.wake)
}

// watch has the loop read a socket for a player.
func (l *loop) watch(fd int, p *player) error {
	for len(l.byFD) <= fd {
		l.byFD = append(l.byFD, nil)
	}
	l.byFD[fd] = p
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// rouse makes the loop look for orders.
func (l *loop) rouse() {
	_, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// run reads until ctx ends.
func (l *loop) run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer context.AfterFunc(ctx, l.rouse)()
	ev := make([]unix.EpollEvent, events)
	for ctx.Err() == nil {
		n, err := unix.EpollWait(l.epoll, ev, int(sweepEvery/int64(time.Millisecond)))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		for i := range max(0, n) {
			if fd := int(ev[i].Fd); fd == l.wake {
				l.obey()
			} else if p := l.byFD[fd]; p.err == nil {
				l.ready(p, fd)
			}
		}
		l.sweep()
	}
	return nil
}

// obey carries out the orders that wait.
func (l *loop) obey() {
	var b [8]byte
	_, _ = unix.Read(l.wake, b[:])
	for {
		select {
		case f := <-l.orders:
			f()
		default:
			return
		}
	}
}

// ready reads what a socket of a player has.
func (l *loop) ready(p *player, fd int) {
	var err error
	w := &l.window
	if p.stalls {
		w = &l.nothing
	}
	if fd == p.rtp {
		now := camera.Now()
		err = l.datagrams.receive(fd, func(b []byte) { p.take(b, now, w) })
	} else {
		err = p.read(l.buf, w)
	}
	if p.stalls && p.stage == playing && err == nil {
		err = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, p.conn, nil)
	}
	if err != nil {
		p.fail(err)
	}
}

// sweep keeps sessions alive.
func (l *loop) sweep() {
	now := camera.Now()
	if now-l.swept < sweepEvery {
		return
	}
	l.swept = now
	for _, p := range l.players {
		if p.err != nil || p.conn < 0 || p.url == "" || p.stage != playing || now-p.alive < int64(aliveEvery) {
			continue
		}
		if err := p.next(); err != nil {
			p.fail(err)
		}
	}
}

// newest returns the number of the newest packet that any player has, the one before 0 when none has any.
func (l *loop) newest() uint32 {
	n, first := ^uint32(0), true
	for _, p := range l.players {
		if p.began && (first || int32(p.newest-n) > 0) {
			n, first = p.newest, false
		}
	}
	return n
}
