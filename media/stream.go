package media

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// maxGroup bounds the kept group of pictures in bytes: 2 s at 64 Mbit/s.
	maxGroup = 16 << 20
	// maxGroupAge bounds it in time: players do not want to begin further in the past.
	maxGroupAge = 20 * time.Second
)

// Stream is what a name stands for: tracks, written by one publisher at a time, read by any number of subscribers.
// It outlives its publisher for Origin.Linger, so that players stay while a publisher comes back.
//
// The stream owns the SSRC, the sequence numbers and the timestamps of its tracks: a returning publisher's packets
// are mapped so that they go on where its predecessor's ended, with a gap of one sequence number to show it.
type Stream struct {
	name Name
	hub  *Hub
	done chan struct{}

	mu       sync.Mutex // guards the fields below
	origin   Origin
	tracks   []Track
	state    []trackState
	keys     int         // index of the track whose key packets begin a group; -1: every packet is one
	pub      *Publisher  // nil while the stream waits for a publisher to return
	vacancy  *time.Timer // ends the wait
	absences int         // how often a publisher has gone
	subs     map[*Subscription]struct{}
	group    []Packet // the current group of pictures, from its key packet; empty when unknown or too large
	bytes    int      // of the group
	ended    bool
	idle     time.Time     // since when nobody is subscribed or asks
	changed  chan struct{} // closed and replaced when the first subscriber comes or the last one goes
	stats    StreamStats
}

// trackState is what a stream knows of one of its tracks.
type trackState struct {
	ssrc    uint32
	rate    int
	keys    *keyFinder // of the key track
	started bool       // the fields below are set
	seq     uint16     // highest sequence number published
	ts      uint32     // its timestamp
	at      time.Time  // and when it came
	packets uint32     // for sender reports
	octets  uint32
	clock   Clock
	timed   bool      // clock is known
	report  time.Time // when the last sender report was published
}

// StreamStats counts what has been published. Lost packets are gaps in the publisher's sequence numbers.
type StreamStats struct {
	Packets, Bytes, Lost uint64
	Since                time.Time // when the stream began
	Publishing           bool      // it has a publisher now
	Subscribers          int
}

func newStream(h *Hub, name Name, tracks []Track, o Origin) *Stream {
	now := time.Now()
	s := &Stream{
		name: name, hub: h, done: make(chan struct{}), origin: o, state: make([]trackState, len(tracks)),
		subs: make(map[*Subscription]struct{}), idle: now, changed: make(chan struct{}), stats: StreamStats{Since: now},
	}
	for i := range tracks {
		if !o.Verbatim {
			s.state[i].ssrc = rand.Uint32() | 1 // never 0, which means unknown
		}
	}
	s.describe(tracks, o)
	return s
}

// describe takes over the tracks of a publisher; its parameter sets may differ from the last one's.
func (s *Stream) describe(tracks []Track, o Origin) {
	s.tracks, s.origin, s.keys = tracks, o, -1
	s.group, s.bytes = nil, 0
	for i := range tracks {
		s.state[i].rate = tracks[i].rate()
		if tracks[i].Kind == "video" && s.keys < 0 {
			s.keys = i
			s.state[i].keys = newKeyFinder(&tracks[i])
		}
	}
}

// Name returns the name under which the stream is had.
func (s *Stream) Name() Name { return s.name }

// Tracks returns the tracks; they must not be changed.
func (s *Stream) Tracks() []Track {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tracks
}

// Origin tells where the stream comes from.
func (s *Stream) Origin() Origin {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.origin
}

// SSRC returns the synchronization source of a track's packets, or 0 while it is unknown.
func (s *Stream) SSRC(track int) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state[track].ssrc
}

// Clock relates a track's timestamps to the owner's clock; ok is false until the track's first packet.
func (s *Stream) Clock(track int) (c Clock, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state[track].clock, s.state[track].timed
}

// Done is closed when the stream has ended.
func (s *Stream) Done() <-chan struct{} { return s.done }

// Subscribers returns how many subscriptions are open.
func (s *Stream) Subscribers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.subs)
}

// Stats returns the counters.
func (s *Stream) Stats() StreamStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Publishing, st.Subscribers = s.pub != nil, len(s.subs)
	return st
}

// Subscribe begins to read the stream. Of a stream that has ended, Next returns io.EOF at once.
func (s *Stream) Subscribe(o SubscribeOptions) *Subscription {
	if o.Queue <= 0 {
		o.Queue = defaultQueue
	}
	sub := &Subscription{st: s, limit: o.Queue, ready: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		sub.ended = true
		return sub
	}
	if o.FromKey {
		sub.limit += len(s.group)
		sub.queue = append(sub.queue, s.group...)
		sub.begun = len(s.group) > 0
		sub.skip = !sub.begun
		if sub.begun {
			sub.wake()
		}
	}
	s.subs[sub] = struct{}{}
	if len(s.subs) == 1 {
		s.change()
	}
	return sub
}

func (s *Stream) unsubscribe(sub *Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.subs[sub]; !ok {
		return
	}
	delete(s.subs, sub)
	if len(s.subs) == 0 {
		s.change()
	}
}

// change notes that the stream became idle or is so no longer.
func (s *Stream) change() {
	s.idle = time.Now()
	close(s.changed)
	s.changed = make(chan struct{})
}

// touch notes that somebody has asked for the stream and may subscribe soon.
func (s *Stream) touch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = time.Now()
}

// Idle waits until nobody has been subscribed, nor has opened the name, for the given time, and returns nil. It
// returns ErrEnded when the stream ends and ctx's error when that is done.
func (s *Stream) Idle(ctx context.Context, after time.Duration) error {
	for {
		wait, changed := s.idleFor(after)
		if wait <= 0 {
			return nil
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-changed:
		case <-s.done:
			t.Stop()
			return ErrEnded
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
		t.Stop()
	}
}

// idleFor returns how much of the time is left to wait.
func (s *Stream) idleFor(after time.Duration) (time.Duration, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.subs) > 0 {
		return max(after, time.Second), s.changed
	}
	return after - time.Since(s.idle), s.changed
}

// publish hands a packet to all subscribers and keeps it while its group of pictures lasts. The lock is held.
func (s *Stream) publish(p Packet) {
	if s.keys >= 0 {
		s.keep(p)
	}
	for sub := range s.subs {
		sub.push(p)
	}
}

// keep adds a packet to the group of pictures.
func (s *Stream) keep(p Packet) {
	if p.Key {
		clear(s.group)
		s.group, s.bytes = append(s.group[:0], p), len(p.Data)
		return
	}
	if len(s.group) == 0 {
		return
	}
	s.bytes += len(p.Data)
	if s.bytes > maxGroup || p.Arrived.Sub(s.group[0].Arrived) > maxGroupAge {
		s.group = nil
		return
	}
	s.group = append(s.group, p)
}
