package media

import (
	"sync"
	"time"
)

// standby is a publisher that waits for its first key packet to take a name over, so that players go on without a gap:
// until then the one before it plays.
type standby struct {
	hub     *Hub
	name    Name
	tracks  []Track
	origin  Origin
	entered chan struct{} // closed when it has taken over

	mu     sync.Mutex // guards the fields below; taken before the hub's
	keys   *keyFinder // nil: every packet is one
	video  int        // the track that keys looks at
	closed bool
}

// Standby returns a publisher that takes the name over, as Publish would, with its first key packet; what is written before
// is dropped. Its Stream must not be asked before Entered is closed.
func (h *Hub) Standby(name Name, tracks []Track, o Origin) (*Publisher, error) {
	p, err := newPublisher(name, tracks)
	if err != nil {
		return nil, err
	}
	p.standby = &standby{hub: h, name: name, tracks: tracks, origin: o, entered: make(chan struct{})}
	for i := range tracks {
		if tracks[i].Kind == "video" {
			p.standby.keys, p.standby.video = newKeyFinder(&tracks[i]), i
			break
		}
	}
	return p, nil
}

// Entered is closed when a publisher of Standby has taken its name over; of another one it is nil.
func (p *Publisher) Entered() <-chan struct{} {
	if p.standby == nil {
		return nil
	}
	return p.standby.entered
}

// rtp reports whether a packet is to be published, since p has taken over, perhaps by this very packet.
func (s *standby) rtp(p *Publisher, track int, b []byte, arrived time.Time) (enters bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.has():
		return true, nil
	case s.closed:
		return false, ErrEnded
	case s.keys != nil && (track != s.video || !s.keys.key(&Packet{Track: track, Data: b, Arrived: arrived})):
		return false, nil
	}
	s.hub.install(p, s.name, s.tracks, s.origin)
	close(s.entered)
	return true, nil
}

// rtcp keeps what a sender report says for the time when p takes over; it reports false when p has.
func (s *standby) rtcp(p *Publisher, track int, ntp uint64, rtp uint32, arrived time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.has() {
		return false
	}
	m := &p.tracks[track]
	m.reported, m.wall, m.rtp = true, FromNTP(ntp), rtp
	p.sync(arrived.Sub(m.wall))
	return true
}

// close ends a publisher that has not taken over; it reports false when it has.
func (s *standby) close(p *Publisher) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.has() {
		return false
	}
	if !s.closed {
		s.closed = true
		close(p.done)
	}
	return true
}

// has reports whether it has taken over. The lock is held.
func (s *standby) has() bool {
	select {
	case <-s.entered:
		return true
	default:
		return false
	}
}
