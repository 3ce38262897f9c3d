package overlay

import (
	"context"
	"time"

	"peergate/overlay/p2p"
	"peergate/overlay/swarm"
)

// perform does what the machine asks for. Nothing here waits for the network.
func (ch *channel) perform(a swarm.Action) {
	switch a := a.(type) {
	case swarm.Connect:
		ch.connect(p2p.ID(a.Peer), a.Addresses)
	case swarm.Send:
		ch.send(p2p.ID(a.To), a.Message)
	case swarm.Open:
		ch.open(p2p.ID(a.Parent))
	case swarm.Shut:
		ch.close(p2p.ID(a.Peer), a.Parent)
	case swarm.Keep:
		ch.keep(a)
	case swarm.Forget:
		ch.store.forget(a.Epoch, a.Below)
	case swarm.Push:
		ch.push(a)
	case swarm.Give:
		ch.give(a)
	case swarm.Release:
		ch.release(a)
	case swarm.Skip:
		ch.log.Debug("chunks skipped", "dropped", a.Next-a.First)
	case swarm.Fetch:
		ch.ask(p2p.ID(a.From))
	case swarm.Admission:
		ch.admitted(a)
	case swarm.Closed:
		ch.closed = true
		ch.over(a)
	case swarm.Disconnect: // links to listed peers stay
		ch.forgo(p2p.ID(a.Peer))
	}
}

// connect sees to a link, or tells the machine that there will be none.
func (ch *channel) connect(id p2p.ID, addresses []string) {
	p := ch.n.book.peer(id)
	if p == nil && (ch.public() || ch.membersOnly() || ch.n.book.private) {
		if p = ch.n.book.meet(id, ch.id, false); p != nil {
			p.learn(addresses)
			ch.n.watch()
		}
	}
	if p == nil {
		ch.later(swarm.LinkDown{Peer: swarm.ID(id), Ban: banFor}) // unlisted: to ask again soon is of no use
		return
	}
	if ch.n.link(id) != nil {
		ch.box.put(func() {
			ch.relinked(id)
			ch.step(swarm.LinkUp{Peer: swarm.ID(id)})
		})
		return
	}
	p.want(addresses, func(err error) {
		ch.box.put(func() {
			ch.relinked(id)
			if err != nil && ch.told[id] == 0 {
				ch.step(swarm.LinkDown{Peer: swarm.ID(id), Ban: ch.n.book.banLeft(id)})
				ch.forgo(id)
			}
		})
	})
}

// later hands an event to the machine after the actions that are being performed.
func (ch *channel) later(ev swarm.Event) { ch.box.put(func() { ch.step(ev) }) }

// send says something to a peer, on the stream where it belongs.
func (ch *channel) send(to p2p.ID, m swarm.Message) {
	body := func() []byte { return swarm.Append(nil, swarm.Channel(ch.id), m) }
	if _, ok := m.(swarm.Ack); ok {
		if in := ch.inflows[to]; in != nil {
			in.acks.put(body()) // a lost one is made good by the next
		}
		return
	}
	l := ch.n.link(to)
	if l == nil {
		return
	}
	switch m.(type) {
	case swarm.Want:
		l.repair.wants.put(body()) // what is lost is asked for again
		return
	case swarm.Lack:
		if l.repair.lack(body()) {
			return
		}
	}
	l.send(ch.message(m))
}

// open opens the push stream to a parent.
func (ch *channel) open(parent p2p.ID) {
	if old := ch.inflows[parent]; old != nil {
		old.cancel()
	}
	ch.redraw(parent)
}

// redraw opens the push stream to a parent; the parent ends the one before when it has the new one.
func (ch *channel) redraw(parent p2p.ID) {
	in := &inflow{parent: parent, lanes: ch.lanes(parent), acks: newOutbox(maxAcks)}
	ch.inflows[parent] = in
	ctx, cancel := context.WithCancel(context.Background())
	in.cancel = cancel
	ch.start(func(run context.Context) {
		defer cancel()
		stop := context.AfterFunc(run, cancel)
		defer stop()
		err := ch.draw(ctx, in)
		ch.box.put(func() {
			if ch.inflows[parent] == in {
				delete(ch.inflows, parent)
				ch.tally.closed(parent)
				ch.log.Debug("push stream ended", "peer", ch.n.book.name(parent), "err", err)
				ch.step(swarm.Broken{Peer: swarm.ID(parent), Parent: true})
			}
		})
	})
}

// close closes the push stream from a parent or to a child.
func (ch *channel) close(id p2p.ID, parent bool) {
	if !parent {
		ch.shut(id)
		return
	}
	if in := ch.inflows[id]; in != nil {
		delete(ch.inflows, id)
		in.cancel()
	}
	ch.tally.closed(id)
}

func (ch *channel) keep(a swarm.Keep) {
	if c := ch.fresh.chunk; c != nil && c.Epoch == a.Epoch && c.Seq == a.Seq {
		ch.store.keep(ch.fresh)
		ch.kept = true
	}
}

// push queues a chunk for a child.
func (ch *channel) push(a swarm.Push) {
	report := ch.report(a.To, a.Epoch, a.Seq)
	h, ok := ch.store.get(a.Epoch, a.Seq)
	f, whole := ch.n.spoiled(h.frame)
	if !ok || !whole {
		report(true, 0, 0)
		return
	}
	d, _ := ch.description()
	ch.outflow(p2p.ID(a.To)).put(parcel{
		wire: f.wire, stripe: int(a.Seq % uint64(d.Stripes)), vital: h.chunk.Vital || h.chunk.Key, put: time.Now(), until: a.Until, report: report,
		uplink: ch.n.uplinkTo(ch.n.link(p2p.ID(a.To))),
	})
}

// give queues a chunk that a peer has asked for.
func (ch *channel) give(a swarm.Give) {
	report := ch.report(a.To, a.Epoch, a.Seq)
	h, ok := ch.store.get(a.Epoch, a.Seq)
	f, whole := ch.n.spoiled(h.frame)
	l := ch.n.link(p2p.ID(a.To))
	if !ok || !whole || l == nil {
		report(true, 0, 0)
		return
	}
	l.repair.give(ch.id, f.body(), parcel{vital: true, put: time.Now(), until: a.Until, report: report, uplink: ch.n.uplinkTo(l)})
}

// report returns what tells the machine of the fate of a chunk.
func (ch *channel) report(to swarm.ID, epoch, seq uint64) func(dropped bool, queued int, waited time.Duration) {
	size := 0
	if h, ok := ch.store.get(epoch, seq); ok {
		size = len(h.chunk.Raw)
	}
	return func(dropped bool, queued int, waited time.Duration) {
		if !dropped {
			ch.out.Add(uint64(size))
		}
		ch.box.put(func() {
			if !dropped {
				ch.tally.sent(p2p.ID(to), size, time.Now())
			}
			ch.step(swarm.Wrote{To: to, Epoch: epoch, Seq: seq, Dropped: dropped, Queued: queued, Waited: waited})
		})
	}
}

// release hands a chunk to the players.
func (ch *channel) release(a swarm.Release) {
	h, ok := ch.store.get(a.Epoch, a.Seq)
	if !ok || ch.source != nil {
		return
	}
	ch.outs.release(h)
}
