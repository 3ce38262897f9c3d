package overlay

import (
	"context"
	"errors"
	"slices"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"
)

const (
	// maxAddresses bounds the addresses of this gateway that others are told, as package swarm does.
	maxAddresses = 16
	// probeWithin is how long a peer may take to answer when this machine has other addresses.
	probeWithin = 500 * time.Millisecond
	// retireAfter is how long a push stream whose place another one has taken is left alone: what is under way on it still
	// arrives.
	retireAfter = 2 * time.Second
)

var errMoved = errors.New("this machine has changed its addresses, and the connection leads nowhere")

// better opens a control stream to a peer that a relay has connected and that is now connected directly. One of the two
// gateways does, the other one serves it.
func (n *Node) better(id p2p.ID) {
	l := n.link(id)
	if l == nil || !l.stream.Relayed() || n.ID() > id {
		return
	}
	n.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		if err := n.converse(ctx, id); err != nil {
			n.log.Debug("no control stream beside the relayed one", "peer", n.book.name(id), "err", err)
		}
	})
}

// redraw moves the push streams from a peer to the connection that its link has now.
func (n *Node) redraw(id p2p.ID) {
	for _, ch := range n.allChannels() {
		ch.box.put(func() {
			if ch.inflows[id] != nil {
				ch.redraw(id)
			}
		})
	}
}

// relaying tells whose connections this gateway passes on, and how much; nil is nobody's.
func (n *Node) relaying(c conf.Overlay) *p2p.Relay {
	if len(c.RelayFor) == 0 {
		return nil
	}
	limit := c.RelayLimits
	return &p2p.Relay{
		For: func(id p2p.ID) bool {
			p := n.book.peer(id)
			return slices.Contains(c.RelayFor, conf.RelayAny) || p != nil && shares(c.RelayFor, media.Name(p.name))
		},
		Rate: max(0, int64(limit.Rate)), Bytes: int64(limit.Bytes), Peers: limit.Peers,
	}
}

// readdressed takes over where others can reach this gateway, and dials those who perhaps can be reached now.
func (n *Node) readdressed() {
	addrs, err := n.host.Addrs(context.Background())
	if err != nil || n.stopping() {
		return
	}
	addrs = addrs[:min(len(addrs), maxAddresses)]
	n.mu.Lock()
	same := slices.Equal(addrs, n.addrs)
	if n.addrs == nil {
		same = true // Run comes to it
	} else {
		n.addrs = addrs
	}
	n.mu.Unlock()
	for _, p := range n.book.dialled() {
		if n.link(p.id) == nil {
			p.poke()
		}
	}
	if same {
		return
	}
	for _, ch := range n.allChannels() {
		ch.later(swarm.Moved{Addresses: addrs})
	}
}

// moved finds out, when this machine has changed its addresses, which peers are still connected, and dials the others.
func (n *Node) moved() {
	n.moves.Add(1)
	n.near.forget()
	for _, l := range n.linked() {
		n.start(func(ctx context.Context) { n.probe(ctx, l) })
	}
	n.readdressed()
}

// probe hangs up on a peer that does not answer at once.
func (n *Node) probe(ctx context.Context, l *link) {
	asked := time.Now()
	l.send((&ping{stamp: uint64(asked.UnixNano())}).encode())
	t := time.NewTimer(max(probeWithin, 3*time.Duration(l.rtt.Load())))
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.done:
		return
	case <-ctx.Done():
		return
	}
	if l.heard.Load() < asked.UnixNano() {
		n.host.HangUp(l.peer)
		l.close(errMoved)
	}
}
