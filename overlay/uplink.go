package overlay

import (
	"context"
	"sync"
	"time"

	"peergate/conf"
	"peergate/overlay/swarm"
)

// uplinkAhead is how much of the line's time may be taken by what has been written already. What exceeds it waits here, where it
// may still be left out: a router drops what its queue cannot hold, and TCP sends that again a fifth of a second later.
const uplinkAhead = 50 * time.Millisecond

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

// wait returns when so many bytes may be written. It reports false when that is after until, or ctx ends. On no uplink, which nil is,
// they may be at once.
func (u *uplink) wait(ctx context.Context, bytes int, until time.Time) bool {
	now := time.Now()
	at := now
	if u != nil {
		at = u.turn(bytes, now, until)
	}
	switch {
	case at.After(until):
		return false
	case at.Equal(now):
		return true
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

// turn returns when so many bytes have their turn, now at the soonest, and takes it unless that is after until.
func (u *uplink) turn(bytes int, now, until time.Time) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.rate <= 0 {
		return now
	}
	begin, at := now, now
	if u.free.After(now) {
		begin = u.free
	}
	if ahead := begin.Add(-uplinkAhead); ahead.After(now) {
		at = ahead
	}
	if !at.After(until) {
		u.free = begin.Add(time.Duration(swarm.Wire * float64(8*bytes) / float64(u.rate) * float64(time.Second)))
	}
	return at
}
