package overlay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"
)

const (
	// describeTimeout is how long a chunk of an epoch that is not known yet waits for the descriptor.
	describeTimeout = 2 * time.Second
	// describeAgain is the least time between two questions for the descriptor to one peer.
	describeAgain = 200 * time.Millisecond
	// tick is the time between looks at what no event tells.
	tick = time.Second
)

// channel is this gateway's part in one channel: its swarm's state machine and what performs its actions. One loop, run,
// owns the machine; others bring it work through the mailbox.
type channel struct {
	n     *Node
	id    chunk.ID
	owner p2p.ID
	name  media.Name // at the owner
	log   *slog.Logger
	box   *mailbox
	done  chan struct{} // closed when the loop is over

	mu       sync.Mutex // guards the fields below
	desc     *description
	renewed  chan struct{} // closed and replaced when desc is
	outflows map[p2p.ID]*outflow
	state    ChannelStatus
	reason   error // why the channel was given up; set before done is closed

	in, out atomic.Uint64 // bytes of chunks
	spare   atomic.Uint64 // of in, those of chunks that came late or again
	orphan  atomic.Bool   // it was joined and has lost all parents

	// The fields below are the loop's.
	machine *swarm.Swarm
	acts    swarm.Actions
	wake    time.Time
	closed  bool
	start   func(f func(ctx context.Context)) // runs f beside the loop until that ends
	store   store
	inflows map[p2p.ID]*inflow
	ranks   map[p2p.ID]int       // standings that the machine was told of
	told    map[p2p.ID]uint64    // sessions of the links that the machine was told of
	guests  map[p2p.ID]bool      // strangers that take part because they came and asked
	asked   map[p2p.ID]time.Time // when the descriptor was asked for
	fresh   held                 // the chunk of the event that is being handled
	demand  swarm.Demand
	hold    time.Time // until when somebody may still come who has asked for the channel
	joined  swarm.Admission
	lost    time.Time // since when the machine has not been joined; zero while it is
	seeking bool
	limited int // bits a second that the machine may give to others
	outs    outlets
	tally   tally
	kept    bool    // the machine keeps the chunk of the event that is being handled
	source  *source // of the owner, else nil
	asker   asker   // of a member
	giver   giver   // of the owner; not the loop's alone
}

// description is a channel's descriptor as it was signed.
type description struct {
	*chunk.Descriptor
	raw []byte
}

func newChannel(n *Node, d description) *channel {
	owner := n.ID()
	if id, err := p2p.IDOf(d.Owner); err == nil {
		owner = id
	}
	ch := &channel{
		n: n, id: d.Channel(), owner: owner, name: d.Name, box: newMailbox(), done: make(chan struct{}),
		desc: &d, renewed: make(chan struct{}), outflows: make(map[p2p.ID]*outflow),
		inflows: make(map[p2p.ID]*inflow), told: make(map[p2p.ID]uint64), asked: make(map[p2p.ID]time.Time),
		guests: make(map[p2p.ID]bool), ranks: make(map[p2p.ID]int),
	}
	ch.log = n.log.With("stream", ch.localName())
	ch.store.init()
	ch.outs.init(ch)
	ch.tally.init(ch, rand.Uint64())
	n.accounts.belongs(ch.id, owner)
	return ch
}

// description returns the newest descriptor and what is closed when there is a newer one.
func (ch *channel) description() (*description, <-chan struct{}) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.desc, ch.renewed
}

// ended tells whether the owner has ended the channel, which stays for a moment to tell the others.
func (ch *channel) ended() bool {
	d, _ := ch.description()
	return d.Ended()
}

// run is the loop of the channel. It returns when the machine has left the swarm or ctx ends.
func (ch *channel) run(ctx context.Context) {
	defer ch.finish()
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer func() {
		cancel()
		tasks.Wait()
	}()
	ch.start = func(f func(ctx context.Context)) { tasks.Go(func() { f(ctx) }) }
	ch.begin()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for !ch.closed {
		timer.Reset(time.Until(ch.wake))
		select {
		case <-ch.box.ready:
			for _, f := range ch.box.take() {
				f()
			}
		case <-timer.C:
			ch.step(nil)
		case <-ticker.C:
			ch.look()
		case <-ctx.Done():
			return
		}
	}
}

// begin makes the machine and tells it what this gateway knows.
func (ch *channel) begin() {
	d, _ := ch.description()
	o := ch.n.options()
	now := time.Now()
	ch.pace(now)
	ch.limited = ch.upload(now)
	ch.machine = swarm.New(swarm.Config{
		Self: swarm.ID(ch.n.ID()), Owner: swarm.ID(ch.owner), Addresses: ch.n.addresses(),
		Epoch: d.Epoch, Stripes: d.Stripes, Rate: d.Rate, Upload: ch.limited,
		IdleAfter: memberIdle, Delay: time.Duration(o.Conf.Delay), Steady: o.Conf.Steady,
		Prefer: o.Conf.Prefer == conf.PreferContributors, Seed: rand.Uint64(),
	})
	ch.lost, ch.wake = now, now
	ch.demands()
	var listed []swarm.Member
	for _, p := range append(ch.n.book.all(), ch.n.book.metFor(ch.id)...) {
		listed = append(listed, swarm.Member{ID: swarm.ID(p.id), Addresses: p.dialable()})
	}
	if len(listed) > 0 {
		ch.step(swarm.Candidates{Members: listed, Keep: true})
	}
	ch.track(d.Descriptor)
	for id, addrs := range ch.n.near.all() {
		ch.neighbour(id, addrs)
	}
	for _, l := range ch.n.linked() {
		ch.relinked(l.peer)
	}
	if ch.source != nil {
		ch.source.begin(ch)
	}
	ch.log.Debug("channel began", "peer", ch.n.book.name(ch.owner))
}

// track tells the machine of the trackers that a descriptor names.
func (ch *channel) track(d *chunk.Descriptor) {
	var ms []swarm.Member
	for _, t := range d.Trackers {
		if id, err := p2p.IDOf(t.Key); err == nil {
			ms = append(ms, swarm.Member{ID: swarm.ID(id), Addresses: t.Addresses})
		}
	}
	if len(ms) > 0 && ch.source == nil {
		ch.step(swarm.Candidates{Members: ms, Keep: true, Tracker: true})
	}
}

// finish lets go of all that hangs on the channel.
func (ch *channel) finish() {
	ch.tally.close(time.Now())
	ch.n.accounts.hurry(ch.owner)
	ch.n.remove(ch)
	ch.box.close()
	ch.mu.Lock()
	if ch.reason == nil {
		ch.reason = errGone
	}
	flows := ch.outflows
	ch.outflows = make(map[p2p.ID]*outflow)
	ch.mu.Unlock()
	for _, o := range flows {
		o.close(o.stops)
	}
	for _, in := range ch.inflows {
		in.cancel()
	}
	ch.outs.end(ch.reason)
	close(ch.done)
	ch.log.Debug("channel ended", "err", ch.reason, "bytes_in", ch.in.Load(), "bytes_spare", ch.spare.Load(), "bytes_out", ch.out.Load())
}

// step hands an event to the machine and performs what it answers.
func (ch *channel) step(ev swarm.Event) {
	if ch.closed {
		return
	}
	ch.acts = ch.acts[:0]
	ch.wake = ch.machine.Handle(ev, time.Now(), &ch.acts)
	for _, a := range ch.acts {
		ch.perform(a)
	}
}

// received hands a message of a peer to the machine. A child that does not acknowledge what it gets is not served.
func (ch *channel) received(from p2p.ID, m swarm.Message) {
	if a, ok := m.(swarm.Attach); ok && ch.tally.refuses(from) {
		ch.send(from, swarm.Refused{Reason: swarm.RefusedNotAllowed, Number: a.Number, Stripes: a.Stripes})
		return
	}
	if _, ok := m.(swarm.Want); ok && ch.tally.refuses(from) {
		return
	}
	if _, ok := m.(swarm.Attach); ok {
		ch.tally.vouch(from)
	}
	ch.welcome(from)
	ch.step(swarm.Received{From: swarm.ID(from), Message: m})
}

// relinked tells the machine when the link to a peer has come or gone since it was last told.
func (ch *channel) relinked(id p2p.ID) {
	var session uint64
	l := ch.n.link(id)
	if !ch.deals(id) {
		l = nil
	}
	if l != nil {
		session = l.session
	}
	told := ch.told[id]
	if told != 0 && told != session {
		delete(ch.told, id)
		delete(ch.guests, id)
		delete(ch.ranks, id)
		ch.step(swarm.LinkDown{Peer: swarm.ID(id), Ban: ch.n.book.banLeft(id)})
		if l == nil {
			ch.forgo(id)
		}
	}
	if l != nil && told != session {
		ch.tally.again(id)
		ch.told[id] = session
		ch.show(l)
		ch.ranked(id)
		ch.step(swarm.LinkUp{Peer: swarm.ID(id), RTT: time.Duration(l.rtt.Load()), Local: l.stream.Local()})
		if ch.orphan.Load() {
			ch.search(0)
		}
	}
}

// accept takes a chunk from a peer: its form and signature are checked before anything else is done with it. It waits
// while the loop is busy. The error is a lie of the peer's or ctx's.
func (ch *channel) accept(ctx context.Context, from p2p.ID, f frame, repair bool) error {
	c, err := chunk.Parse(f.body())
	if err != nil {
		return err
	}
	d, err := ch.epoch(ctx, from, c.Epoch)
	if err != nil || d == nil || d.Epoch != c.Epoch {
		return err // of an old epoch, or of one that nobody can describe
	}
	if err := c.Verify(ch.id, d.Key); err != nil {
		return fmt.Errorf("%w (%v %d)", err, ch.name, c.Seq)
	}
	ch.in.Add(uint64(len(c.Raw)))
	if !ch.box.chunk(ctx.Done(), func() {
		ch.fresh, ch.kept = held{f, c, time.Now()}, false
		ch.step(swarm.Arrived{
			From: swarm.ID(from), Epoch: c.Epoch, Seq: c.Seq, Size: len(c.Raw), Key: c.Key, Vital: c.Vital, Wall: c.Wall,
			Repair: repair,
		})
		ch.tally.arrived(from, ch.fresh, ch.kept, repair)
		if !ch.kept {
			ch.spare.Add(uint64(len(c.Raw)))
		}
		ch.fresh = held{}
	}) {
		return errGone
	}
	return nil
}

// epoch returns the descriptor of an epoch, which is waited for when it is newer than what is known.
func (ch *channel) epoch(ctx context.Context, from p2p.ID, epoch uint64) (*description, error) {
	d, renewed := ch.description()
	if epoch <= d.Epoch {
		return d, nil
	}
	ch.box.put(func() { ch.ask(from) })
	t := time.NewTimer(describeTimeout)
	defer t.Stop()
	for epoch > d.Epoch {
		select {
		case <-renewed:
			d, renewed = ch.description()
		case <-t.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return d, nil
}

// ask asks a peer for the descriptor, not too often.
func (ch *channel) ask(id p2p.ID) {
	l := ch.n.link(id)
	if l == nil || time.Since(ch.asked[id]) < describeAgain {
		return
	}
	ch.asked[id] = time.Now()
	d, _ := ch.description()
	l.send(ch.message(swarm.Describe{Epoch: d.Epoch}))
}

// message returns the control message that carries a message about the channel.
func (ch *channel) message(m swarm.Message) []byte {
	return envelope(fieldSwarm, swarm.Append(nil, swarm.Channel(ch.id), m))
}

// renew takes a descriptor from a peer, or of this gateway when it is the owner. A newer one replaces the present one;
// the error tells that it is none of this channel.
func (ch *channel) renew(raw []byte) error {
	d, err := chunk.ParseDescriptor(raw)
	if err != nil {
		return err
	}
	if d.Channel() != ch.id {
		return errors.New("descriptor of another channel")
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if d.Epoch > ch.desc.Epoch {
		ch.box.put(func() { ch.described(d) }) // before any chunk of the epoch
		ch.desc = &description{d, raw}
		close(ch.renewed)
		ch.renewed = make(chan struct{})
	}
	return nil
}

// described tells the machine and the children of a newer descriptor.
func (ch *channel) described(d *chunk.Descriptor) {
	ch.log.Debug("channel described anew")
	ch.n.doors()
	ch.expel()
	now, _ := ch.description()
	for _, id := range ch.children() {
		if l := ch.n.link(id); l != nil {
			l.send(ch.message(swarm.Description{Descriptor: now.raw}))
		}
	}
	ch.outs.renew()
	ch.track(d)
	ch.step(swarm.Described{Epoch: d.Epoch, Stripes: d.Stripes, Rate: d.Rate, Ended: d.Ended()})
}

// give up ends the channel for a reason that players are told.
func (ch *channel) giveUp(reason error) {
	ch.mu.Lock()
	if ch.reason == nil {
		ch.reason = reason
	}
	ch.mu.Unlock()
	ch.step(swarm.Go{})
}
