package auth

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// freeGuesses are not punished: people mistype, and some players try an old password first.
	freeGuesses = 5
	// maxBackoff allows 1440 guesses a day, and lets a repentant operator in after a minute.
	maxBackoff = time.Minute
	// forgiveAfter is how long it takes until one wrong guess is forgotten.
	forgiveAfter = time.Minute
	// maxCount bounds what is remembered of an address to about a quarter of an hour.
	maxCount = 16
	// maxAddresses bounds the table to about 500 KB. When it is full the address that has been quiet longest goes.
	maxAddresses = 4096
)

// guesses counts wrong credentials by address. An IPv6 network of 64 bits is one address: it belongs to one client, but
// for those that exist only within a site.
type guesses struct {
	mu   sync.Mutex // guards the field below
	addr map[netip.Addr]guess
}

type guess struct {
	count int
	last  time.Time // of the last wrong guess or forgiveness
	until time.Time // no credentials are looked at before
}

func newGuesses() *guesses { return &guesses{addr: make(map[netip.Addr]guess)} }

// client returns the address that stands for a client.
func client(a netip.Addr) netip.Addr {
	if a.Is6() && !a.IsLinkLocalUnicast() && !a.IsPrivate() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// wait returns how long credentials of an address are not looked at.
func (g *guesses) wait(a netip.Addr, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.addr[client(a)].until.Sub(now)
}

// failed counts a wrong guess.
func (g *guesses) failed(a netip.Addr, now time.Time) {
	a = client(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	e, ok := g.addr[a]
	if !ok && len(g.addr) >= maxAddresses {
		g.makeRoom(now)
	}
	e = e.decayed(now)
	e.count = min(e.count+1, maxCount)
	e.last = now
	if over := e.count - freeGuesses; over > 0 {
		e.until = now.Add(min(time.Second<<(over-1), maxBackoff))
	}
	g.addr[a] = e
}

// decayed forgets guesses that are long ago.
func (e guess) decayed(now time.Time) guess {
	if n := int(now.Sub(e.last) / forgiveAfter); n > 0 {
		e.count = max(e.count-n, 0)
	}
	return e
}

// makeRoom forgets the addresses that have been forgiven, or else the one that has been quiet longest.
func (g *guesses) makeRoom(now time.Time) {
	var quiet netip.Addr
	for a, e := range g.addr {
		if e.decayed(now).count == 0 {
			delete(g.addr, a)
			continue
		}
		if !quiet.IsValid() || e.last.Before(g.addr[quiet].last) {
			quiet = a
		}
	}
	if len(g.addr) >= maxAddresses {
		delete(g.addr, quiet)
	}
}
