package hls

import (
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// watchedFor is how long after its last request a player counts as one: players of plain HLS ask once a segment.
	watchedFor = 10 * time.Second
	// maxWatchers bounds the players that are told apart, for each stream.
	maxWatchers = 10_000
)

// watchers counts players, which HLS knows by their requests alone: those of one address and program are one.
type watchers struct {
	mu   sync.Mutex // guards the field below
	seen map[string]time.Time
}

// saw notes a request.
func (w *watchers) saw(r *http.Request, now time.Time) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	agent := r.UserAgent()
	who := host + " " + agent[:min(len(agent), 200)]
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == nil {
		w.seen = make(map[string]time.Time)
	}
	if _, ok := w.seen[who]; !ok && len(w.seen) >= maxWatchers {
		w.sweep(now)
		if len(w.seen) >= maxWatchers {
			return
		}
	}
	w.seen[who] = now
}

// count returns how many there are now.
func (w *watchers) count(now time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sweep(now)
	return len(w.seen)
}

// sweep forgets those who have gone. The lock is held.
func (w *watchers) sweep(now time.Time) {
	for who, at := range w.seen {
		if now.Sub(at) > watchedFor {
			delete(w.seen, who)
		}
	}
}
