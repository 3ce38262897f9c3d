package overlay

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"peergate/overlay/p2p"
)

// A gateway learns how much it can upload from a peer: it sends for a moment as fast as it can, and the peer tells how many bytes
// came in how long. On the stream there are the asker's bytes, of no meaning, and then 16 bytes back: two big-endian numbers, bytes
// and microseconds.

const (
	// gaugeFor is how long it is sent, and gaugeMost how many bytes are taken at most: 400 Mbit/s.
	gaugeFor  = 2 * time.Second
	gaugeMost = 100 << 20
	// gaugeWithin is how long the peer takes bytes at most: what waits in queues comes after the sending has ended.
	gaugeWithin = 5 * time.Second
	// gaugeAgain is the least time between two of one peer, which cost its download.
	gaugeAgain = 10 * time.Second
	// gaugeLeast is the least time of which a rate can be told.
	gaugeLeast = 100 * time.Millisecond
)

// Gauge is how much a gateway can upload.
type Gauge struct {
	Peer string // that has counted, by petname
	Rate int    // bits a second of payload
}

// gauges is when peers have last sent something to be counted.
type gauges struct {
	mu sync.Mutex // guards at
	at map[p2p.ID]time.Time
}

// may tells whether a peer may have bytes counted now, and notes that it does.
func (g *gauges) may(id p2p.ID, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for other, at := range g.at {
		if now.Sub(at) >= gaugeAgain {
			delete(g.at, other)
		}
	}
	if _, ok := g.at[id]; ok {
		return false
	}
	if g.at == nil {
		g.at = make(map[p2p.ID]time.Time)
	}
	g.at[id] = now
	return true
}

// serveGauge counts what a listed peer sends.
func (n *Node) serveGauge(_ context.Context, s *p2p.Stream) {
	if n.book.peer(s.Peer()) == nil || s.Relayed() || !n.gauges.may(s.Peer(), time.Now()) {
		s.Reset()
		return
	}
	defer s.Close()
	bytes, took, err := count(s, s.SetReadDeadline)
	if err != nil {
		s.Reset()
		return
	}
	_ = s.SetWriteDeadline(time.Now().Add(gaugeWithin))
	var reply [16]byte
	binary.BigEndian.PutUint64(reply[:], uint64(bytes))
	binary.BigEndian.PutUint64(reply[8:], uint64(took.Microseconds()))
	if _, err := s.Write(reply[:]); err != nil {
		s.Reset()
	}
}

// count reads to the end and returns how many bytes came after the first, in which time.
func count(r io.Reader, deadline func(time.Time) error) (bytes int, took time.Duration, err error) {
	b := make([]byte, 64<<10)
	if err := deadline(time.Now().Add(gaugeWithin)); err != nil {
		return 0, 0, err
	}
	if _, err := r.Read(b); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	last := began
	for bytes < gaugeMost {
		n, err := r.Read(b)
		if n > 0 {
			bytes += n
			last = time.Now()
		}
		if err != nil {
			break // the end, or it takes too long: what came counts
		}
	}
	return bytes, last.Sub(began), nil
}

// Gauge has a connected peer outside this network count how fast this gateway can send. It takes some seconds.
func (n *Node) Gauge(ctx context.Context) (Gauge, error) {
	var best *link
	for _, l := range n.linked() {
		if n.book.peer(l.peer) == nil || l.stream.Relayed() || l.stream.Local() {
			continue
		}
		if best == nil || l.rtt.Load() < best.rtt.Load() {
			best = l
		}
	}
	if best == nil {
		return Gauge{}, errors.New("no peer outside the local network is connected directly")
	}
	g := Gauge{Peer: n.book.name(best.peer)}
	var err error
	if g.Rate, err = n.gauge(ctx, best.peer); err != nil {
		return g, fmt.Errorf("%s has not counted: %w", g.Peer, err)
	}
	return g, nil
}

// gauge sends to a peer and returns the rate by its answer.
func (n *Node) gauge(ctx context.Context, id p2p.ID) (int, error) {
	s, err := n.host.Open(ctx, id, p2p.Gauge)
	if err != nil {
		return 0, err
	}
	defer s.Reset()
	stop := context.AfterFunc(ctx, s.Reset)
	defer stop()
	b := make([]byte, 64<<10)
	if _, err := rand.Read(b); err != nil {
		return 0, err
	}
	end := time.Now().Add(gaugeFor)
	if err := s.SetWriteDeadline(end); err != nil {
		return 0, err
	}
	for sent := 0; sent < gaugeMost && time.Now().Before(end); sent += len(b) {
		if _, err := s.Write(b); err != nil {
			break // the time is over, or the peer has had enough: it tells what came
		}
	}
	if err := s.CloseWrite(); err != nil {
		return 0, err
	}
	var reply [16]byte
	if err := s.SetReadDeadline(time.Now().Add(2 * gaugeWithin)); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(s, reply[:]); err != nil {
		return 0, errors.New("it gave no answer: it may be of an older version, or was asked a moment ago")
	}
	return rateOf(reply)
}

// rateOf reads the answer of a peer.
func rateOf(reply [16]byte) (int, error) {
	bytes, micros := binary.BigEndian.Uint64(reply[:]), binary.BigEndian.Uint64(reply[8:])
	if bytes > gaugeMost+1<<20 || micros > uint64(2*gaugeWithin/time.Microsecond) || micros < uint64(gaugeLeast/time.Microsecond) {
		return 0, fmt.Errorf("%w: %d bytes in %d microseconds", errMalformed, bytes, micros)
	}
	return int(float64(bytes) * 8 * 1e6 / float64(micros)), nil
}
