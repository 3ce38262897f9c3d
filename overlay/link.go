package overlay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"peergate/overlay/chunk"
	"peergate/overlay/ledger"
	"peergate/overlay/p2p"

	"golang.org/x/sync/errgroup"
)

const (
	// greetTimeout is how long a peer may take to say hello on a new control stream.
	greetTimeout = 5 * time.Second
	// yieldAfter is how long a control stream is still read that is not the better one of two: until then the peer has
	// seen the other. It is longer than a question may take.
	yieldAfter = 5 * time.Second
	// pingEvery is the time between pings of a link. With its acknowledgement one costs about 200 bytes.
	pingEvery = 5 * time.Second
	// silentAfter is how long a peer may say nothing before the link is taken for dead: two pings and their answers.
	silentAfter = 12 * time.Second
	// maxOutbox bounds the bytes that wait for a control stream. A peer that reads so slowly is of no use.
	maxOutbox = 1 << 20
	// maxSeeks bounds the questions of one peer that are being looked into.
	maxSeeks = 64
)

var (
	errBetter  = errors.New("there is another control stream") // both gateways opened one
	errSilent  = errors.New("the peer says nothing any more")
	errBacklog = errors.New("the peer does not read its messages")
	errGone    = errors.New("the link was closed")
)

// link is the control stream to a peer that has said hello.
type link struct {
	peer     p2p.ID
	instance uint64       // of the peer's process
	moves    uint64       // how often the peer had changed its addresses
	heard    atomic.Int64 // when the peer last said something, in Unix nanoseconds
	version  string
	session  uint64 // the same for control streams that replaced each other while the connection lasted
	stream   *p2p.Stream
	out      *outbox
	done     chan struct{} // closed when the link is over
	rtt      atomic.Int64  // nanoseconds; 0 unknown
	single   atomic.Bool   // several connections to the peer cannot be had
	seeks    atomic.Int32  // questions of the peer that are being looked into
	asked    atomic.Bool   // the peer has asked for something that it may have
	used     atomic.Int64  // when it last did, or when the link began, in nanoseconds since 1970

	repair *repair // the repair stream that this gateway opens

	mu   sync.Mutex // guards over
	over error      // why the link is over
}

// send queues a control message.
func (l *link) send(b []byte) {
	if !l.out.put(b) {
		l.close(errBacklog)
	}
}

// close ends the link for a reason; the first one counts.
func (l *link) close(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over != nil {
		return
	}
	l.over = reason
	close(l.done)
	l.stream.Reset()
}

// reason tells why the link is over.
func (l *link) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// greet exchanges hellos on a new control stream.
func (n *Node) greet(s *p2p.Stream) (*link, *frameReader, error) {
	if err := s.SetDeadline(time.Now().Add(greetTimeout)); err != nil {
		return nil, nil, err
	}
	h := hello{instance: n.instance, version: n.version, moves: n.moves.Load(), chain: n.successions.Chain(n.ID().Key())}
	say := func() error {
		_, err := s.Write(appendFrame(nil, h.encode()))
		return err
	}
	applies := n.applies(s)
	if !applies {
		if err := say(); err != nil {
			return nil, nil, hungUp(err)
		}
	}
	r := newFrameReader(s, maxControl)
	b, err := r.next()
	if err != nil {
		return nil, nil, hungUp(err)
	}
	c, err := decodeControl(b)
	if err == nil && c.hello == nil {
		err = fmt.Errorf("%w: the first one is no hello", errMalformed)
	}
	if err != nil {
		return nil, nil, err
	}
	n.learnSuccessions(c.hello.chain)
	if applies {
		if n.book.peer(s.Peer()) == nil {
			n.host.Refuse(s)
			return nil, nil, p2p.ErrNotListed
		}
		if err := say(); err != nil {
			return nil, nil, hungUp(err)
		}
	}
	if err := s.SetDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	l := &link{
		peer: s.Peer(), instance: c.hello.instance, moves: c.hello.moves, version: c.hello.version, stream: s,
		out: newOutbox(maxOutbox), done: make(chan struct{}),
	}
	l.used.Store(time.Now().UnixNano())
	l.repair = newRepair(n, l)
	return l, r, nil
}

// hungUp explains the end of a stream on which the peer has said nothing yet.
func hungUp(err error) error {
	if isTimeout(err) {
		return errSilent
	}
	return p2p.ErrRefused
}

// serveControl runs a control stream that a peer has opened.
func (n *Node) serveControl(ctx context.Context, s *p2p.Stream) {
	stop := context.AfterFunc(ctx, s.Reset)
	defer stop()
	l, r, err := n.greet(s)
	if err == nil {
		err = n.enter(l)
	}
	if err != nil {
		s.Reset()
		return
	}
	n.hold(ctx, l, r)
}

// hold serves a link until it is over.
func (n *Node) hold(ctx context.Context, l *link, r *frameReader) {
	defer n.leave(l)
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { l.close(errGone) })
	defer stop()
	end := func(f func() error) {
		g.Go(func() error {
			err := f()
			l.close(err)
			return err
		})
	}
	end(func() error { return l.out.run(ctx, l.stream) })
	end(func() error { return n.beat(ctx, l) })
	end(func() error { return n.hear(l, r) })
	g.Go(func() error {
		l.repair.run(ctx)
		return nil
	})
	_ = g.Wait() // the link has kept the reason
}

// beat pings the peer. A stream that is not the better one is given up after a while instead.
func (n *Node) beat(ctx context.Context, l *link) error {
	for {
		after, yields := pingEvery, false
		if n.link(l.peer) == l {
			l.send((&ping{stamp: uint64(time.Now().UnixNano())}).encode())
		} else {
			after, yields = yieldAfter, true
		}
		t := time.NewTimer(after)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
		if yields {
			return errBetter
		}
	}
}

// hear reads what the peer says. A malformed message is a lie: it gets the peer banned.
func (n *Node) hear(l *link, r *frameReader) error {
	for {
		if err := l.stream.SetReadDeadline(time.Now().Add(silentAfter)); err != nil {
			return err
		}
		b, err := r.next()
		switch {
		case isTimeout(err):
			if n.link(l.peer) == l {
				n.host.HangUp(l.peer) // else the next dial would be content with it
			}
			return errSilent
		case err != nil:
			return n.blame(l.peer, err)
		}
		l.heard.Store(time.Now().UnixNano())
		c, err := decodeControl(b)
		if err == nil {
			err = n.dispatch(l, &c)
		}
		if err != nil {
			return n.blame(l.peer, err)
		}
	}
}

// dispatch hands a message to whom it concerns.
func (n *Node) dispatch(l *link, c *control) error {
	switch {
	case c.swarm != nil:
		return n.received(l.peer, c.swarm)
	case c.seek != nil:
		n.sought(l, c.seek)
	case c.found != nil:
		n.questions.answer(c.found.number, answer{from: l.peer, found: c.found})
	case c.missing != nil:
		n.questions.answer(c.missing.number, answer{from: l.peer, missing: c.missing})
	case c.list:
		l.send(n.shared(l.peer).encode())
	case c.names != nil:
		n.listed(l.peer, c.names)
	case c.keys != nil:
		n.keys(l.peer, c.keys)
	case c.receipt != nil:
		return n.accounts.received(l.peer, c.receipt)
	case c.post != nil:
		return n.accounts.posted(l, c.post)
	case c.reply != nil:
		return n.accounts.replied(c.reply)
	case c.ping != nil && c.ping.echo != 0:
		if d := time.Now().UnixNano() - int64(c.ping.echo); d > 0 && d < int64(silentAfter) {
			l.rtt.Store(d)
		}
	case c.ping != nil:
		l.send((&ping{echo: c.ping.stamp}).encode())
	}
	return nil
}

// isLie tells whether an error is what only a liar or a broken gateway causes.
func isLie(err error) bool {
	for _, lie := range []error{errMalformed, errTooLong, chunk.ErrFormat, chunk.ErrSignature, ledger.ErrFormat, ledger.ErrSignature} {
		if errors.Is(err, lie) {
			return true
		}
	}
	return false
}

// isTimeout tells whether a deadline has passed.
func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
