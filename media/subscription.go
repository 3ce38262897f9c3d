package media

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
)

// defaultQueue is how many packets wait for a subscriber: half a second of a 20 Mbit/s stream, or several of a small one.
const defaultQueue = 1024

// SubscribeOptions says what a subscriber wants.
type SubscribeOptions struct {
	// Queue is how many packets may wait; 0 means 1024. When it is full, packets are dropped up to the next key packet.
	Queue int
	// FromKey begins with a key packet: that of the current group of pictures if the stream has kept it, else the next.
	FromKey bool
}

// Subscription is one reader of a stream. Its methods are for one goroutine; Close and Dropped are for any.
type Subscription struct {
	st      *Stream
	limit   int
	ready   chan struct{} // has a token when there is something to take
	dropped atomic.Uint64

	mu    sync.Mutex // guards the fields below; taken inside the stream's
	queue []Packet   // when full, push drops up to the next key packet
	spare []Packet   // what Next returned before the last time
	skip  bool       // dropping up to the next key packet
	begun bool       // the first packet was queued; what is skipped before it is no loss
	ended bool
}

// Next waits for packets and returns all that have come, in order. It returns io.EOF when the stream has ended and
// everything was read, or when the subscription was closed. The slice is valid until the next call; the packets' data
// stays valid.
func (s *Subscription) Next(ctx context.Context) ([]Packet, error) {
	for {
		if ps, err := s.take(); len(ps) > 0 || err != nil {
			return ps, err
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Poll is Next for a caller that waits for several things: it returns at once, without packets when none have come.
func (s *Subscription) Poll() ([]Packet, error) { return s.take() }

// Ready has a token when Poll may have something to return.
func (s *Subscription) Ready() <-chan struct{} { return s.ready }

// take exchanges the queue for an empty one.
func (s *Subscription) take() ([]Packet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		if s.ended {
			return nil, io.EOF
		}
		return nil, nil
	}
	ps := s.queue
	clear(s.spare)
	s.queue, s.spare = s.spare[:0], ps
	return ps, nil
}

// Dropped returns how many packets were dropped because the queue was full.
func (s *Subscription) Dropped() uint64 { return s.dropped.Load() }

// Close ends the subscription; a waiting Next returns io.EOF.
func (s *Subscription) Close() {
	s.st.unsubscribe(s)
	s.mu.Lock()
	s.queue = nil
	s.mu.Unlock()
	s.end()
}

// push queues a packet; the stream calls it with its lock held.
func (s *Subscription) push(p Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if s.skip && p.Key && len(s.queue) < s.limit {
		s.skip = false
	}
	if !s.skip && len(s.queue) >= s.limit {
		s.skip = true
	}
	if s.skip {
		if s.begun {
			s.dropped.Add(1)
		}
		return
	}
	s.begun = true
	s.queue = append(s.queue, p)
	s.wake()
}

// end lets Next return io.EOF once the queue is empty.
func (s *Subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.wake()
}

func (s *Subscription) wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}
