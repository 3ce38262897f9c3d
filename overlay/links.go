package overlay

import (
	"context"
	"math/rand/v2"
	"time"

	"peergate/overlay/p2p"
)

const (
	// dialTimeout bounds a dial and the handshakes: three round trips of a slow link and a busy machine.
	dialTimeout = 10 * time.Second
	// redialFirst is the longest wait before the first redial, and redialMax bounds the wait, which doubles.
	redialFirst = 500 * time.Millisecond
	redialMax   = 30 * time.Second
	// redialSoonest is the least time between dials of one peer, however often one is asked for.
	redialSoonest = 200 * time.Millisecond
)

// link returns the link to a peer that is up, or nil.
func (n *Node) link(id p2p.ID) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.links[id]; l != nil && l.reason() == nil {
		return l
	}
	return nil
}

// linked returns all links.
func (n *Node) linked() []*link {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*link, 0, len(n.links))
	for _, l := range n.links {
		all = append(all, l)
	}
	return all
}

// enter makes l the link of its peer. When there is one already, which happens when both have dialled, that of the
// gateway with the lesser ID stays, at both ends; of a peer that has started anew the new one does. The other one is read
// for a moment longer.
func (n *Node) enter(l *link) error {
	if !n.book.allow(l.peer) {
		return p2p.ErrNotListed
	}
	if n.guest(l.peer) {
		if err := n.room(); err != nil {
			return err
		}
	}
	again, better := n.replace(l)
	if better {
		n.log.Info("peer connected directly", "peer", n.book.name(l.peer), "remote", l.stream.Remote())
		n.redraw(l.peer)
	}
	if again {
		return nil
	}
	if p := n.book.known(l.peer); p != nil {
		p.settle(nil)
	}
	if l.moves > 0 {
		n.host.KeepOnly(l.stream)
	}
	n.await()
	n.host.Protect(l.peer)
	n.log.Info("peer connected", "peer", n.book.name(l.peer), "remote", l.stream.Remote())
	n.relinked(l.peer)
	n.accounts.hurry(l.peer)
	return nil
}

// replace puts l into the table unless there is a better link, as a direct one is better than one through a relay. It
// reports whether there was one that is alive, and whether l is better than that.
func (n *Node) replace(l *link) (again, better bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.links[l.peer]
	switch {
	case old == nil || old.reason() != nil:
	case old.instance != l.instance:
		old.close(errBetter) // the peer has started anew
	case old.moves < l.moves:
		old.close(errBetter) // it was on connections that lead nowhere now
	case old.stream.Relayed() != l.stream.Relayed():
		l.session = old.session
		if old.stream.Relayed() {
			n.links[l.peer] = l
		}
		return true, old.stream.Relayed()
	default:
		l.session = old.session
		if old.stream.Dialled() == l.stream.Dialled() || l.stream.Dialled() == (n.ID() < l.peer) {
			n.links[l.peer] = l
		}
		return true, false
	}
	l.session = rand.Uint64()
	n.links[l.peer] = l
	return false, false
}

// leave takes a link that is over from the table.
func (n *Node) leave(l *link) {
	l.close(errGone)
	n.mu.Lock()
	last := n.links[l.peer] == l
	if last {
		delete(n.links, l.peer)
	}
	n.mu.Unlock()
	if !last {
		return
	}
	n.await()
	n.questions.forgo(l.peer)
	n.host.Unprotect(l.peer)
	if !n.stopping() {
		n.log.Warn("peer lost", "peer", n.book.name(l.peer), "err", l.reason())
	}
	n.relinked(l.peer)
	if p := n.book.known(l.peer); p != nil {
		p.poke()
	}
}

// ban keeps a peer out that lied, and drops all that connects it.
func (n *Node) ban(id p2p.ID, reason error) {
	if !n.book.ban(id) {
		return
	}
	n.log.Error("peer banned", "peer", n.book.name(id), "err", reason, "redial", banFor)
	if l := n.link(id); l != nil {
		l.close(reason)
	}
	n.host.Drop(id)
	n.relinked(id)
}

// keep holds a link to a peer: it dials when there is none and somebody could answer, until ctx ends.
func (n *Node) keep(ctx context.Context, p *peer) {
	failures, said := 0, ""
	for ctx.Err() == nil {
		if l := n.link(p.id); l != nil {
			p.settle(nil)
			select {
			case <-l.done:
			case <-p.kick:
			case <-ctx.Done():
			}
			failures, said = 0, ""
			continue
		}
		err := n.dial(ctx, p)
		if err == nil || n.link(p.id) != nil || ctx.Err() != nil {
			continue
		}
		p.settle(err)
		failures++
		after := redialAfter(failures, rand.Float64())
		if left := n.book.banLeft(p.id); left > 0 {
			after = left
		}
		if s := err.Error(); s != said && err != errNoAddress {
			said = s
			n.log.Warn("peer unreachable", "peer", p.name, "err", err, "redial", after)
		}
		n.pause(ctx, p, after, err == errNoAddress)
	}
}

// pause waits before a redial, or until somebody asks for one; forever when only that helps.
func (n *Node) pause(ctx context.Context, p *peer, after time.Duration, forever bool) {
	soonest := time.NewTimer(redialSoonest)
	defer soonest.Stop()
	select {
	case <-soonest.C:
	case <-ctx.Done():
		return
	}
	t := time.NewTimer(after)
	defer t.Stop()
	late := t.C
	if forever {
		late = nil
	}
	select {
	case <-late:
	case <-p.kick:
	case <-ctx.Done():
	}
}

// redialAfter returns the wait after a number of failures in a row. The random r of 0 to 1 takes up to half of it off,
// so that gateways which lost the same peer do not all come back at once.
func redialAfter(failures int, r float64) time.Duration {
	d := redialMax
	if failures < 10 { // 2^10 of the first are beyond the bound
		d = min(redialMax, redialFirst<<(failures-1))
	}
	return d - time.Duration(r*float64(d)/2)
}

// dial connects to a peer and opens the control stream, which a goroutine of its own then serves. It returns nil when
// there is a link.
func (n *Node) dial(ctx context.Context, p *peer) error {
	if n.book.banLeft(p.id) > 0 {
		return errBanned
	}
	if p.hopeless(n.host.Known(p.id)) {
		return errNoAddress
	}
	dctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := n.host.Connect(dctx, p.id, p.dialable()); err != nil {
		n.askSuccessor(dctx, p, err)
		return err
	}
	return n.converse(dctx, p.id)
}

// converse opens a control stream to a peer that is connected.
func (n *Node) converse(ctx context.Context, id p2p.ID) error {
	s, err := n.host.Open(ctx, id, p2p.Control)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, s.Reset)
	l, r, err := n.greet(s)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		s.Reset()
		return err
	}
	if err := n.enter(l); err != nil {
		s.Reset()
		return err
	}
	if !n.start(func(ctx context.Context) { n.hold(ctx, l, r) }) {
		n.leave(l)
	}
	return nil
}
