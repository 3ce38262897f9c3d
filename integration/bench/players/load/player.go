//go:build linux

package load

import (
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"peergate/integration/bench/players/camera"
)

const (
	udpBuffer = 2 << 20  // bytes asked for: what is lost there was not lost by the server
	stallRoom = 16 << 10 // bytes that a stalled player's socket takes
	// maxPartial bounds what may wait for its rest on a connection: one interleaved packet or an answer.
	maxPartial = 64<<10 + frameHeader
	// aliveEvery is how often a player says that it is there: three times in the 60 s that a session lives by itself.
	aliveEvery = 20 * time.Second
)

// player is one reader. Its loop owns it.
type player struct {
	client
	audit
	conn, rtp, rtcp int // sockets, -1 when there is none
	partial         []byte
	asked           int64   // when PLAY was sent
	alive           int64   // when the last request was sent
	stalls          bool    // reads nothing once it plays
	from            [4]byte // its address
	err             error   // why it has ended
}

func (p *player) close() {
	for _, fd := range []*int{&p.conn, &p.rtp, &p.rtcp} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}

// fail ends the player.
func (p *player) fail(err error) {
	if p.err == nil {
		p.err = err
	}
	p.close()
}

// next sends the request of the player's stage.
func (p *player) next() error {
	now := camera.Now()
	p.alive = now
	if p.stage == asking {
		p.asked = now
	}
	b := p.request()
	if n, err := unix.Write(p.conn, b); err != nil || n < len(b) {
		return fmt.Errorf("%s: %w", methods[p.stage], errors.Join(err, io.ErrShortWrite))
	}
	return nil
}

// read takes what the connection has; buf is the loop's.
func (p *player) read(buf []byte, w *window) error {
	k := copy(buf, p.partial)
	n, err := unix.Read(p.conn, buf[k:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == 0:
		return errors.New("the server hung up")
	}
	b := buf[:k+n]
	now := camera.Now()
	for len(b) > 0 {
		n := 0
		if b[0] == '$' {
			if n = frame(b); n > 0 && b[1] == 0 {
				p.take(b[frameHeader:n], now, w)
			}
		} else if n, err = p.respond(b); err != nil {
			return err
		}
		if n == 0 {
			break
		}
		b = b[n:]
	}
	if len(b) > maxPartial {
		return errInterleaving
	}
	p.partial = append(p.partial[:0], b...)
	return nil
}

// respond takes the answer at the start of b, sends the next request, and returns the answer's size.
func (p *player) respond(b []byte) (int, error) {
	r, n, err := parseResponse(b)
	if err != nil || n == 0 || p.stage == playing {
		return n, err
	}
	if err := p.answer(r); err != nil {
		return 0, err
	}
	if p.stage == playing {
		return n, nil
	}
	return n, p.next()
}
