package overlay

import (
	"context"
	"fmt"
	"sync"
	"time"

	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"

	"golang.org/x/sync/errgroup"
)

// A repair stream carries requests one way, each a swarm.Want, and answers the other way. An answer begins with one of
// these bytes: then the channel's ID and a chunk, or a swarm.Lack.
const (
	answerChunk = 0
	answerLack  = 1
)

const (
	// maxWants bounds the bytes of requests that wait. What is asked for is wanted within a second or never.
	maxWants = 64 << 10
	// repairLane is the lane of repair streams, beside those of push streams.
	repairLane = maxLanes
	// repairAgain is the wait after a repair stream has failed.
	repairAgain = 500 * time.Millisecond
)

// repair is the pair of repair streams of a link. This gateway opens the one on which it asks, the peer the other.
type repair struct {
	n     *Node
	peer  p2p.ID
	wants *outbox

	mu      sync.Mutex // guards answers
	answers *courier   // of the stream that the peer has opened, or nil
}

func newRepair(n *Node, l *link) *repair {
	return &repair{n: n, peer: l.peer, wants: newOutbox(maxWants)}
}

// run keeps a stream to ask on while there is something to ask.
func (r *repair) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-r.wants.ready:
			r.wants.poke() // for the writer
		case <-ctx.Done():
			return
		}
		_ = r.converse(ctx) // the link tells when the peer is gone
		t := time.NewTimer(repairAgain)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// converse asks on one stream and reads the answers.
func (r *repair) converse(ctx context.Context) error {
	s, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer s.Reset()
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, s.Reset)
	defer stop()
	g.Go(func() error { return r.wants.run(ctx, s) })
	g.Go(func() error {
		in := newFrameReader(s, chunk.MaxSize+64)
		for {
			b, err := in.next()
			if err == nil {
				err = r.answered(ctx, b)
			}
			if err != nil {
				return r.n.blame(r.peer, err)
			}
		}
	})
	return g.Wait()
}

// open opens a repair stream: over QUIC on a connection of its own, where it does not wait for what the others have lost.
func (r *repair) open(ctx context.Context) (*p2p.Stream, error) {
	if l := r.n.link(r.peer); l != nil && l.stream.QUIC() && !l.stream.Local() && !l.single.Load() {
		if s, err := r.n.host.OpenLane(ctx, r.peer, p2p.Repair, repairLane); err == nil {
			return s, nil
		}
		l.single.Store(true)
	}
	return r.n.host.Open(ctx, r.peer, p2p.Repair)
}

// answered takes an answer.
func (r *repair) answered(ctx context.Context, b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("%w: empty answer", errMalformed)
	}
	switch b[0] {
	case answerChunk:
		b = b[1:]
		if len(b) < len(chunk.ID{}) {
			return fmt.Errorf("%w: answer without a channel", errMalformed)
		}
		ch := r.n.channel(chunk.ID(b[:len(chunk.ID{})]))
		if ch == nil {
			return nil // left in the meantime
		}
		return ch.accept(ctx, r.peer, newFrame(b[len(chunk.ID{}):]), true)
	case answerLack:
		return r.n.received(r.peer, b[1:])
	}
	return nil // of a newer version
}

// give queues the answer to a Want; a courier that has no stream reports it dropped.
func (r *repair) give(id chunk.ID, raw []byte, p parcel) {
	r.mu.Lock()
	c := r.answers
	r.mu.Unlock()
	if c == nil {
		p.report(true, 0, 0)
		return
	}
	body := append([]byte{answerChunk}, id[:]...)
	p.wire = appendFrame(nil, append(body, raw...))
	c.put(p)
}

// lack queues a Lack. It reports false when the peer has no repair stream.
func (r *repair) lack(msg []byte) bool {
	r.mu.Lock()
	c := r.answers
	r.mu.Unlock()
	if c == nil {
		return false
	}
	c.put(parcel{
		wire: appendFrame(nil, append([]byte{answerLack}, msg...)), vital: true, put: time.Now(),
		until: time.Now().Add(time.Second), report: func(bool, int, time.Duration) {},
	})
	return true
}

// serveRepair answers on a repair stream that a peer has opened. A new one takes the place of the one before.
func (n *Node) serveRepair(ctx context.Context, s *p2p.Stream) {
	l := n.link(s.Peer())
	if l == nil {
		s.Reset()
		return
	}
	c := newCourier()
	l.repair.mu.Lock()
	l.repair.answers = c
	l.repair.mu.Unlock()
	defer func() {
		l.repair.mu.Lock()
		defer l.repair.mu.Unlock()
		if l.repair.answers == c {
			l.repair.answers = nil
		}
		c.close()
	}()
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, s.Reset)
	defer stop()
	g.Go(func() error { return c.run(ctx, s) })
	g.Go(func() error {
		in := newFrameReader(s, maxControl)
		for {
			b, err := in.next()
			if err == nil {
				err = n.received(s.Peer(), b)
			}
			if err != nil {
				return n.blame(s.Peer(), err)
			}
		}
	})
	g.Go(func() error {
		select {
		case <-l.done:
			return errGone
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	_ = g.Wait()
}

// blame bans a peer if what ended a stream is what only a liar or a broken gateway sends. It returns err.
func (n *Node) blame(id p2p.ID, err error) error {
	if isLie(err) {
		n.ban(id, err)
	}
	return err
}

// received hands a message about a channel to its loop. The error tells that it is malformed.
func (n *Node) received(from p2p.ID, b []byte) error {
	id, m, err := swarm.Decode(b)
	if err == swarm.ErrUnknownMessage {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	n.deliver(from, chunk.ID(id), m)
	return nil
}
