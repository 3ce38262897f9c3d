//go:build integration

package swarm

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"peergate/integration/lab"
)

// reader is a player that knows when each packet of the camera came.
type reader struct {
	*lab.Player
	who  string
	join time.Duration // from asking for the stream to the first packet

	mu      sync.Mutex // guards the fields below
	arrived []time.Time
	first   time.Time
	last    time.Time
	pause   time.Duration // the longest time without a packet since it was last asked for
	strange int           // packets that are not as the camera made them, came twice, or after a later one
	highest int
}

// aliveEvery is how often a reader says that it is there.
const aliveEvery = 20 * time.Second

// newReader plays a stream. The caller is on the host of the gateway.
func newReader(t testing.TB, who, url string) *reader {
	t.Helper()
	r := &reader{who: who, highest: -1}
	asked := time.Now()
	r.Player = lab.Open(t, url, lab.TCP)
	r.Tracks[0].Each(r.take)
	r.Resume()
	lab.Eventually(t, lab.Patience, who+" gets a packet", func() bool { return !r.began().IsZero() })
	r.join = r.began().Sub(asked)
	go r.stayAlive()
	return r
}

func (r *reader) stayAlive() {
	tick := time.NewTicker(aliveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_, _ = r.Conn.Do("GET_PARAMETER", r.URL, nil, "") // the packets show whether it was understood
		case <-r.Conn.Gone():
			return
		}
	}
}

func (r *reader) began() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first
}

// take notes a packet.
func (r *reader) take(packet []byte, now time.Time) {
	if parameters(packet) {
		return // the server's, so that the player can begin
	}
	number, whole := read(packet)
	r.mu.Lock()
	defer r.mu.Unlock()
	n := int(number)
	if r.first.IsZero() {
		r.first, r.last = now, now
	}
	r.pause, r.last = max(r.pause, now.Sub(r.last)), now
	if !whole || n <= r.highest {
		r.strange++
		return
	}
	r.highest = n
	for len(r.arrived) <= n {
		r.arrived = append(r.arrived, time.Time{})
	}
	r.arrived[n] = now
}

// longestPause returns the longest time without a packet since it was last asked for, the present one included.
func (r *reader) longestPause() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := max(r.pause, time.Since(r.last))
	r.pause = 0
	return p
}

// when returns the arrivals of the packets from one number up to another; zero for those that did not come.
func (r *reader) when(from, to int) []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	times := make([]time.Time, to-from)
	if from < len(r.arrived) {
		copy(times, r.arrived[from:min(to, len(r.arrived))])
	}
	return times
}

// sound fails the test when the connection has ended or packets were strange: spoilt, twice or out of order, of another source,
// or not those that RTSP promised. Missing ones are counted elsewhere. Sender reports tell the owner's time of what is played, so
// they are right to be behind when the packets are, which a player's first ones may be.
func (r *reader) sound(t testing.TB, c *camera) {
	t.Helper()
	r.Connected()
	s := r.Tracks[0].Stats()
	behind := max(s.Pause, r.behind(c))
	faults := slices.DeleteFunc(s.Faults, func(f string) bool {
		return strings.HasPrefix(f, "sender report's") && behind > reportSlack
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.strange > 0 || s.Late > 0 || s.Sources != 1 || s.Bye || len(faults) > 0 {
		t.Errorf("player at %s: %d strange packets, at most %v behind, %+v", r.who, r.strange, behind, s)
	}
}

// reportSlack is how far a player may be behind before a report that tells of it is a fault to package lab (3 s), less what the
// report itself waited for.
const reportSlack = 2 * time.Second

// behind returns the longest time between the sending of a packet and its arrival.
func (r *reader) behind(c *camera) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	var most time.Duration
	for i, at := range r.arrived {
		if !at.IsZero() {
			most = max(most, at.Sub(c.at(i)))
		}
	}
	return most
}

// describe asks for a stream and returns the status of the answer. The caller is on the host of the gateway.
func describe(t *testing.T, g *lab.Gateway, name string) int {
	t.Helper()
	c := lab.Dial(t, g.HostPort())
	defer c.Close()
	r, err := c.Do("DESCRIBE", g.URL(name), nil, "")
	if err != nil {
		return http.StatusGatewayTimeout
	}
	return r.Status
}
