package overlay

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"

	"golang.org/x/sync/errgroup"
)

// A push stream begins with a frame from the child: the channel's ID and, when there are several for the channel, two
// bytes, which of how many. Then the parent sends chunks, each a frame, and the child swarm.Acks. With several streams
// each stripe has its own, so that what libp2p cannot do by itself, several connections to one peer, spreads the loss.

// maxAcks bounds the bytes of acknowledgements that wait: at ten a second of 100 bytes, a minute.
const maxAcks = 64 << 10

// maxLanes bounds the connections to one parent over QUIC. At 2 % of loss and 50 ms round trip a channel of 4 Mbit/s loses
// nothing over eight, 17 % over four and most over one (docs/links.md).
const maxLanes = 8

// inflow is what a parent sends: one push stream, or several.
type inflow struct {
	parent p2p.ID
	lanes  int
	acks   *outbox
	cancel context.CancelFunc
}

// lanes returns on how many connections to draw from a parent. Over TCP it is one; over QUIC there are to be about eight
// in all, and each linked peer may become a parent.
func (ch *channel) lanes(parent p2p.ID) int {
	l := ch.n.link(parent)
	d, _ := ch.description()
	if l == nil || l.single.Load() || !l.stream.QUIC() || l.stream.Local() {
		return 1
	}
	return min(d.Stripes, max(1, maxLanes/len(ch.n.linked())))
}

// draw opens the push streams to a parent and takes what comes, until ctx ends or one of the streams does.
func (ch *channel) draw(ctx context.Context, in *inflow) error {
	g, ctx := errgroup.WithContext(ctx)
	for lane := range in.lanes {
		g.Go(func() error { return ch.drawLane(ctx, in, lane) })
	}
	return g.Wait()
}

func (ch *channel) drawLane(ctx context.Context, in *inflow, lane int) error {
	s, err := ch.n.host.OpenLane(ctx, in.parent, p2p.Push, lane)
	if err != nil {
		if l := ch.n.link(in.parent); l != nil && lane > 0 && ctx.Err() == nil {
			l.single.Store(true) // try with one when the machine tries again
		}
		return err
	}
	defer s.Reset()
	hand := ch.id[:]
	if in.lanes > 1 {
		hand = append(hand[:len(hand):len(hand)], byte(lane), byte(in.lanes))
	}
	if _, err := s.Write(appendFrame(nil, hand)); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, s.Reset)
	defer stop()
	if lane == 0 {
		g.Go(func() error { return in.acks.run(ctx, s) })
	}
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

// openWithin is how long a child may take to open its push streams after it has attached: it opens them first, and three
// round trips make a connection.
const openWithin = 2 * time.Second

// outflow is what is sent to a child: on one push stream, or on several. There may be chunks before they are open.
type outflow struct {
	child p2p.ID
	since time.Time
	posts []*courier // of each lane
	stops []func()   // end the streams; nil until there are; guarded by the channel's mu
}

func newOutflow(child p2p.ID, lanes int) *outflow {
	o := &outflow{child: child, since: time.Now(), posts: make([]*courier, lanes), stops: make([]func(), lanes)}
	for i := range o.posts {
		o.posts[i] = newCourier()
	}
	return o
}

// put queues a chunk.
func (o *outflow) put(p parcel) { o.posts[p.stripe%len(o.posts)].put(p) }

// handshake reads the first frame of a push stream.
func handshake(b []byte) (id chunk.ID, lane, lanes int, err error) {
	if len(b) < len(id) {
		return id, 0, 0, fmt.Errorf("%w: push stream begins with %d bytes", errMalformed, len(b))
	}
	id, b = chunk.ID(b[:len(id)]), b[len(id):]
	switch {
	case len(b) == 0:
		return id, 0, 1, nil
	case len(b) != 2 || b[1] < 1 || b[1] > maxLanes || b[0] >= b[1]:
		return id, 0, 0, fmt.Errorf("%w: push stream is lane %v", errMalformed, b)
	}
	return id, int(b[0]), int(b[1]), nil
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
	id, lane, lanes, err := handshake(b)
	if err != nil {
		return err
	}
	ch := n.channel(id)
	if ch == nil || !ch.admits(s.Peer()) {
		return errGone
	}
	o := ch.adopt(s.Peer(), lane, lanes, cancel)
	ch.box.put(func() { ch.tally.anew(s.Peer()) })
	g.Go(func() error { return o.posts[lane].run(ctx, s) })
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

// outflow returns what is sent to a child. Until that has opened a stream, it is one that waits.
func (ch *channel) outflow(child p2p.ID) *outflow {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	o := ch.outflows[child]
	if o == nil {
		o = newOutflow(child, 1)
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

// adopt gives a push stream to a child, newly opened, what waits for it. Streams that were open before for the same lane,
// or for another number of lanes, are ended soon: the child has begun anew, or draws on a better connection.
func (ch *channel) adopt(child p2p.ID, lane, lanes int, stop func()) *outflow {
	ch.mu.Lock()
	old := ch.outflows[child]
	o := old
	switch {
	case old == nil, len(old.posts) != lanes, old.stops[lane] != nil:
		o = newOutflow(child, lanes)
		ch.outflows[child] = o
		if old != nil {
			for _, c := range old.posts {
				for _, p := range c.drain() {
					o.put(p)
				}
			}
		}
	default:
		old = nil
	}
	o.stops[lane] = stop
	ch.mu.Unlock()
	if old != nil {
		old.retire()
	}
	return o
}

// retire ends push streams whose place others have taken, after a moment in which what is under way arrives.
func (o *outflow) retire() {
	time.AfterFunc(retireAfter, func() { o.close(o.stops) })
}

// close ends what is sent to a child, with the streams that it has.
func (o *outflow) close(stops []func()) {
	for _, stop := range stops {
		if stop != nil {
			stop()
		}
	}
	for _, c := range o.posts {
		c.close()
	}
}

// shut takes the push stream to a child out of use.
func (ch *channel) shut(child p2p.ID) {
	ch.mu.Lock()
	o := ch.outflows[child]
	delete(ch.outflows, child)
	ch.mu.Unlock()
	if o != nil {
		o.close(o.stops)
	}
}

// reap takes children for gone that have not opened their push streams: they have given up before their attach was
// answered, and would keep slots of this gateway for ever.
func (ch *channel) reap(now time.Time) {
	ch.mu.Lock()
	var gone []*outflow
	for _, o := range ch.outflows {
		missing := slices.ContainsFunc(o.stops, func(stop func()) bool { return stop == nil })
		if missing && now.Sub(o.since) > openWithin {
			gone = append(gone, o)
		}
	}
	ch.mu.Unlock()
	for _, o := range gone {
		ch.broken(o)
	}
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
