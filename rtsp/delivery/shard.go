package delivery

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// shardQueue is how many events wait for a shard; when it is full, feeds wait and their subscriptions drop.
	shardQueue = 256
	// tickTime is how often a shard looks for what is due: stalled links, reports, silent tracks.
	tickTime = 100 * time.Millisecond
	// paceTime is how often players whose packets are paced get some.
	paceTime = 5 * time.Millisecond
)

// event is what a feed tells a flow.
type event struct {
	flow    *flow
	batch   *batch
	history []*batch // what the feed has kept; first is its number
	first   uint64
	ended   bool // the stream has
}

func (e *event) retain() {
	if e.batch != nil {
		e.batch.retain()
	}
	for _, b := range e.history {
		b.retain()
	}
}

func (e *event) release() {
	if e.batch != nil {
		e.batch.release()
	}
	for _, b := range e.history {
		b.release()
	}
}

// shard owns a part of the players and links: whatever happens to them happens in its loop.
type shard struct {
	sender *Sender
	load   atomic.Int32 // links, and players without one
	events chan event
	wake   chan struct{} // has a token when there are calls or ready links

	mu     sync.Mutex // guards the fields below
	calls  []func()   // each caller waits for its own, or is bounded by Link.unsent
	ready  []uint64   // pipes and sockets that can take more
	closed bool

	// The fields below belong to run.
	poller  poller
	now     time.Time
	flows   map[*feed]*flow
	dirty   []*flow // have new batches
	waiters map[uint64]waiter
	nextID  uint64
	blocked map[*Link]struct{}
	sockets map[*net.UDPConn]*socket
	queues  []*socket // have entries that were not flushed
	paced   []*Player
	again   []*Player // spare of paced
	wheel   wheel
	out     gather
	scratch
}

// waiter is what waits until the kernel can take more.
type waiter interface{ writable() }

func newShard(s *Sender) *shard {
	return &shard{
		sender: s, events: make(chan event, shardQueue), wake: make(chan struct{}, 1),
		flows: make(map[*feed]*flow), waiters: make(map[uint64]waiter), blocked: make(map[*Link]struct{}),
		sockets: make(map[*net.UDPConn]*socket),
	}
}

// post has f called in the loop; it reports false when the loop has ended.
func (s *shard) post(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.calls = append(s.calls, f)
	s.poke()
	return true
}

// call is post that waits; it must not be used in the loop.
func (s *shard) call(f func()) bool {
	done := make(chan struct{})
	ok := s.post(func() {
		defer close(done)
		f()
	})
	if ok {
		<-done
	}
	return ok
}

// notify tells the loop that a waiter can write again.
func (s *shard) notify(ids ...uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.ready = append(s.ready, ids...)
	s.poke()
}

func (s *shard) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run is the loop.
func (s *shard) run(ctx context.Context) error {
	tick := time.NewTicker(tickTime)
	defer tick.Stop()
	pace := time.NewTimer(paceTime)
	defer pace.Stop()
	for {
		select {
		case e := <-s.events:
			s.now = time.Now()
			s.take(e)
			s.drain()
		case <-s.wake:
			s.now = time.Now()
			s.inbox()
		case s.now = <-tick.C:
			s.tick()
		case <-pace.C:
			s.now = time.Now()
			s.pace()
		case <-ctx.Done():
			s.now = time.Now()
			s.part()
			return nil
		}
		s.flush()
		if len(s.paced) > 0 {
			pace.Reset(paceTime)
		}
	}
}

// drain takes the events that wait, too, and sends the new batches.
func (s *shard) drain() {
	for range shardQueue {
		select {
		case e := <-s.events:
			s.take(e)
			continue
		default:
		}
		break
	}
	for _, fl := range s.dirty {
		fl.dirty = false
		fl.send()
	}
	s.dirty = s.dirty[:0]
}

// take puts an event into its flow.
func (s *shard) take(e event) {
	if e.flow.closed {
		e.release()
		return
	}
	e.flow.take(e)
	if !e.flow.dirty {
		e.flow.dirty = true
		s.dirty = append(s.dirty, e.flow)
	}
}

// inbox does what others have asked for.
func (s *shard) inbox() {
	s.mu.Lock()
	calls, ready := s.calls, s.ready
	s.calls, s.ready = nil, nil
	s.mu.Unlock()
	for _, id := range ready {
		if w := s.waiters[id]; w != nil {
			delete(s.waiters, id)
			w.writable()
		}
	}
	for _, f := range calls {
		f()
	}
}

// await returns an ID under which notify finds w, once.
func (s *shard) await(w waiter) uint64 {
	s.nextID++
	s.waiters[s.nextID] = w
	return s.nextID
}

// tick does what is due.
func (s *shard) tick() {
	for l := range s.blocked {
		if s.now.Sub(l.since) >= s.sender.writeTimeout() {
			l.fail(ErrStalled)
		}
	}
	for _, fl := range s.flows {
		fl.tick()
	}
	s.wheel.advance(s.now)
}

// pace goes on with the players that had to wait.
func (s *shard) pace() {
	s.paced, s.again = s.again[:0], s.paced
	for i, p := range s.again {
		p.paced = false
		s.again[i] = nil
		p.send()
	}
	s.again = s.again[:0]
}

// later has a player go on at the next pace.
func (s *shard) later(p *Player) {
	if !p.paced {
		p.paced = true
		s.paced = append(s.paced, p)
	}
}

// flush sends the datagrams that are queued.
func (s *shard) flush() {
	for i, k := range s.queues {
		k.queued = false
		k.flush()
		s.queues[i] = nil
	}
	s.queues = s.queues[:0]
}

// flow returns the flow of a feed, which it makes when there is none.
func (s *shard) flow(f *feed) *flow {
	fl := s.flows[f]
	if fl == nil {
		fl = newFlow(s, f)
		s.flows[f] = fl
		f.change(change{flow: fl, join: true})
	}
	return fl
}

// part ends all players with a BYE.
func (s *shard) part() {
	s.refuse()
	s.inbox()
	for _, fl := range s.flows {
		for len(fl.players) > 0 {
			fl.players[0].end(ErrClosed, true)
		}
	}
	for l := range s.blocked {
		l.fail(ErrClosed)
	}
	for {
		select {
		case e := <-s.events:
			e.release()
		default:
			return
		}
	}
}

// refuse lets no more calls in.
func (s *shard) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}
