package overlay

import (
	"context"
	"sync"
	"time"

	"peergate/conf"
)

const (
	// uplinkAhead is how much of the line's time may be taken by what has been written already. What exceeds it waits here, where it
	// may still be left out: a router drops what its queue cannot hold, and TCP sends that again a fifth of a second later.
	uplinkAhead = 50 * time.Millisecond
	// uplinkHeaders is what is on the wire for each byte that is written: headers of TCP, IP, TLS and the like.
	uplinkHeaders = 1.07
)

// uplink is the upload of this gateway as far as it is limited (overlay.upload). Chunks for other sites take turns on it.
type uplink struct {
	mu   sync.Mutex // guards the fields below
	rate int        // bits a second; 0: as much as the network takes
	free time.Time  // when what was let on has left
}

// limit sets the rate.
func (u *uplink) limit(r conf.Rate) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.rate = 0
	if r != conf.Unlimited {
		u.rate = int(r)
	}
}

// wait returns when so many bytes may be written. It reports false when that is after until, or ctx ends. On no line, which nil is,
// they may be at once.
func (u *uplink) wait(ctx context.Context, bytes int, until time.Time) bool {
	now := time.Now()
	if now.After(until) {
		return false
	}
	if u == nil {
		return true
	}
	at := u.turn(bytes, now, until)
	if !at.After(now) {
		return true
	}
	if at.After(until) {
		return false
	}
	t := time.NewTimer(at.Sub(now))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// turn returns when so many bytes have their turn, and takes it unless that is after untiu.
func (u *uplink) turn(bytes int, now, until time.Time) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.rate <= 0 {
		return now
	}
	begin := now
	if u.free.After(now) {
		begin = u.free
	}
	at := begin.Add(-uplinkAhead)
	if !at.After(until) {
		u.free = begin.Add(time.Duration(uplinkHeaders * float64(8*bytes) / float64(u.rate) * float64(time.Second)))
	}
	return at
}
