package delivery

import (
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fault makes a player's RTP socket use another system call.
func fault(c *client, call func(fd uintptr, h []unix.Mmsghdr) (int, unix.Errno)) {
	c.player.shard.call(func() {
		c.player.outlets[0].rtp.sender.(*mmsg).sendmmsg = call
	})
}

// Where the kernel refuses to segment, packets go out one by one, none is lost and none is sent twice.
func TestSegmentationRefused(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EIO, unix.EINVAL} {
		l := newLab(t, Options{StartMaxAge: time.Minute}, video)
		l.picture(true, 5)
		c := udpClient(t, l, 1)
		c.outlets[0].Source = netip.Addr{} // so that there is no other control message
		c.join(l)
		refused := 0
		var mu sync.Mutex
		fault(c, func(fd uintptr, h []unix.Mmsghdr) (int, unix.Errno) {
			mu.Lock()
			defer mu.Unlock()
			for i := range h {
				if h[i].Hdr.Control != nil {
					if refused++; i == 0 {
						return 0, errno
					}
					return sendmmsg(fd, h[:i])
				}
			}
			return sendmmsg(fd, h)
		})
		seq := c.play()[0].Seq
		c.row(seq, 6)
		for i := range uint16(20) {
			l.picture(false, 30)
			c.row(seq+6+30*i, 30)
		}
		mu.Lock()
		if refused == 0 || refused > 2 {
			t.Errorf("%v: %d messages were refused, want one, after which it is known", errno, refused)
		}
		mu.Unlock()
	}
}

// A full buffer loses nothing when it is emptied soon, also when it is full in the middle of a batch.
func TestFullBuffer(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{StartMaxAge: time.Minute, Shards: 1}, video)
	l.picture(true, 5)
	c := udpClient(t, l, 1)
	d := udpClient(t, l, 1)
	d.outlets[0].RTP = c.outlets[0].RTP
	c.join(l)
	d.join(l)
	n := 0
	fault(c, func(fd uintptr, h []unix.Mmsghdr) (int, unix.Errno) {
		if n++; n%3 != 0 {
			return 0, unix.EAGAIN
		}
		return sendmmsg(fd, h[:1])
	})
	seq := c.play()[0].Seq
	d.play()
	c.row(seq, 6)
	d.row(seq, 6)
	for i := range uint16(8) {
		l.picture(false, 70)
		c.row(seq+6+70*i, 70)
		d.row(seq+6+70*i, 70)
	}
}

// A destination that cannot be reached ends its player alone.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{StartMaxAge: time.Minute, WriteTimeout: time.Second, Shards: 1}, video)
	l.picture(true, 5)
	c := udpClient(t, l, 1)
	d := udpClient(t, l, 1)
	c.join(l)
	d.join(l)
	fault(c, func(uintptr, []unix.Mmsghdr) (int, unix.Errno) { return 0, unix.ENETUNREACH })
	c.play()
	seq := d.play()[0].Seq
	d.row(seq, 6)
	for i := uint16(0); ; i++ {
		l.picture(false, 3)
		d.row(seq+6+3*i, 3)
		select {
		case err := <-c.ended:
			if !errors.Is(err, unix.ENETUNREACH) {
				t.Errorf("Ended(%v), want ENETUNREACH", err)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// A buffer that stays full ends the players of the socket.
func TestBufferStaysFull(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{StartMaxAge: time.Minute, WriteTimeout: time.Second}, video)
	l.picture(true, 5)
	c := udpClient(t, l, 1)
	c.join(l)
	fault(c, func(uintptr, []unix.Mmsghdr) (int, unix.Errno) { return 0, unix.EAGAIN })
	c.play()
	if err := c.end(); !errors.Is(err, ErrStalled) {
		t.Errorf("Ended(%v), want ErrStalled", err)
	}
}
