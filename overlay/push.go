package overlay

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"

	"golang.org/x/sync/errgroup"
)

// A push stream begins with a frame that holds the channel's ID, from the child. Then the parent sends chunks, each a
// frame, and the child swarm.Acks.

// maxAcks bounds the bytes of acknowledgements that wait: at ten a second of 100 bytes, a minute.
const maxAcks = 64 << 10

// inflow is the push stream on which a parent sends.
type inflow struct {
	parent p2p.ID
	acks   *outbox
	cancel context.CancelFunc
}

// draw opens the push stream to a parent and takes what comes, until ctx ends or the stream does.
func (ch *channel) draw(ctx context.Context, in *inflow) error {
	s, err := ch.n.host.Open(ctx, in.parent, p2p.Push)
	if err != nil {
		return err
	}
	defer s.Reset()
	if _, err := s.Write(appendFrame(nil, ch.id[:])); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, s.Reset)
	defer stop()
	g.Go(func() error { return in.acks.run(ctx, s) })
	g.Go(func() error {
		r := newFrameReader(s, chunk.MaxSize)
		for {
			f, err := r.whole()
			if err == nil {
				err = ch.accept(ctx, in.parent, f, false)
			}
			if err != nil {
				return ch.n.blame(in.parent, err)
			}
		}
	})
	return g.Wait()
}

// outflow is the push stream to a child. It may have chunks to send before the child has opened it.
type outflow struct {
	child p2p.ID
	post  *courier
	stop  func() // ends the stream; nil until there is one; guarded by the channel's mu
}

// servePush sends a channel to a child that has opened a push stream.
func (n *Node) servePush(ctx context.Context, s *p2p.Stream) {
	if err := n.pushTo(ctx, s); err != nil {
		s.Reset()
		_ = n.blame(s.Peer(), err)
	}
}

func (n *Node) pushTo(ctx context.Context, s *p2p.Stream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, s.Reset)
	defer stop()
	r := newFrameReader(s, maxControl)
	b, err := r.next()
	if err != nil {
		return err
	}
	if len(b) != len(chunk.ID{}) {
		return fmt.Errorf("%w: push stream begins with %d bytes", errMalformed, len(b))
	}
	ch := n.channel(chunk.ID(b))
	if ch == nil {
		return errGone
	}
	o := ch.adopt(s.Peer(), cancel)
	g.Go(func() error { return o.post.run(ctx, s) })
	g.Go(func() error {
		for {
			b, err := r.next()
			if err == nil {
				err = n.received(s.Peer(), b)
			}
			if err != nil {
				return err
			}
		}
	})
	g.Go(func() error {
		select {
		case <-ch.done:
			return errGone
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	err = g.Wait()
	ch.box.put(func() { ch.broken(o) })
	return err
}

// outflow returns the push stream to a child, or a new one.
func (ch *channel) outflow(child p2p.ID) *outflow {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	o := ch.outflows[child]
	if o == nil {
		o = &outflow{child: child, post: newCourier()}
		ch.outflows[child] = o
	}
	return o
}

// children returns the peers to which there are push streams.
func (ch *channel) children() []p2p.ID {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return slices.Collect(maps.Keys(ch.outflows))
}

// adopt gives the push stream to a child, newly opened, what waits for it. It takes the place of one before.
func (ch *channel) adopt(child p2p.ID, stop func()) *outflow {
	ch.mu.Lock()
	old := ch.outflows[child]
	o := old
	if old == nil || old.stop != nil {
		o = &outflow{child: child, post: newCourier()}
		ch.outflows[child] = o
	} else {
		old = nil
	}
	o.stop = stop
	ch.mu.Unlock()
	old.close()
	return o
}

// close ends a push stream to a child that is out of use; nil is none.
func (o *outflow) close() {
	if o == nil {
		return
	}
	if o.stop != nil {
		o.stop()
	}
	o.post.close()
}

// shut takes the push stream to a child out of use.
func (ch *channel) shut(child p2p.ID) {
	ch.mu.Lock()
	o := ch.outflows[child]
	delete(ch.outflows, child)
	ch.mu.Unlock()
	o.close()
}

// broken notes that the push stream to a child has ended.
func (ch *channel) broken(o *outflow) {
	ch.mu.Lock()
	current := ch.outflows[o.child] == o
	ch.mu.Unlock()
	if current {
		ch.shut(o.child)
		ch.step(swarm.Broken{Peer: swarm.ID(o.child)})
	}
}
