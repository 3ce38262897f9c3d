package rtsp

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

const (
	// complaintsEvery is over how long complaints are counted.
	complaintsEvery = 10 * time.Second
	// maxComplaints is how many lines the clients of one address get in that time: who tries his player out sees all.
	maxComplaints = 20
	// maxAllComplaints is how many lines all addresses together get.
	maxAllComplaints = 200
	// maxComplaint is how much of a client's words a line repeats, in bytes.
	maxComplaint = 300
)

// complaints logs what is wrong with clients and their requests, but lets nobody fill the disk: what is too much is
// counted, and the count logged.
type complaints struct {
	log *slog.Logger

	mu      sync.Mutex // guards the fields below
	since   time.Time  // when counting began
	lines   map[netip.Addr]int
	all     int
	dropped int
}

func newComplaints(log *slog.Logger) *complaints {
	return &complaints{log: log, lines: make(map[netip.Addr]int)}
}

// allow reports whether a line about an address may be logged.
func (c *complaints) allow(a netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all >= maxAllComplaints || c.lines[a] >= maxComplaints {
		c.dropped++
		return false
	}
	c.lines[a]++
	c.all++
	return true
}

// tick begins to count anew when it is time, and tells what was not logged.
func (c *complaints) tick(now time.Time) {
	if n := c.turn(now); n > 0 {
		c.log.Warn("complaints about clients not logged: too many", "dropped", n)
	}
}

func (c *complaints) turn(now time.Time) (dropped int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.since) < complaintsEvery {
		return 0
	}
	dropped = c.dropped
	c.since, c.all, c.dropped = now, 0, 0
	clear(c.lines)
	return dropped
}

// about logs a line about a client. The stream is "" when there is none.
func (c *complaints) about(remote netip.AddrPort, stream, text string, why error) {
	if !c.allow(remote.Addr()) {
		return
	}
	log := c.log.With("remote", remote.String())
	if stream != "" {
		log = log.With("stream", shorten(stream))
	}
	log.Info(text, "err", shorten(why.Error()))
}

// shorten cuts foreign text for the log.
func shorten(s string) string {
	if len(s) > maxComplaint {
		return s[:maxComplaint] + "..."
	}
	return s
}
