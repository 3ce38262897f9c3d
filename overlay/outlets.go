package overlay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"peergate/media"
	"peergate/overlay/swarm"
)

const (
	// memberIdle is how long the machine stays when nobody wants the channel: what is published has waited
	// overlay.idle_after by then.
	memberIdle = time.Second
	// holdFor is how long a channel is carried for a peer that has asked for it and is about to attach.
	holdFor = 3 * time.Second
	// publishAfter is how long players wait for the first chunk before they are told the tracks, which suffices for
	// them when the stream pauses.
	publishAfter = 1500 * time.Millisecond
	// refusedFor is how long all must have refused before players are told so: others who join at the same moment serve
	// soon. An owner that says that capacity lacks is believed at once.
	refusedFor = 5 * time.Second
	// orphanFor is how long players wait for a channel that nobody brings any more: time for its owner to start anew.
	orphanFor = 60 * time.Second
)

// outlets are the names under which a channel is published here. They belong to the channel's loop.
type outlets struct {
	ch    *channel
	byKey map[media.Name]*outlet
	since time.Time // when the first player began to wait
	last  spot      // last chunk released
	key   spot      // last one released with which a player can start
}

// outlet is one name: players wait for it, or it is published.
type outlet struct {
	name    media.Name
	pub     *media.Publisher // nil while players wait
	waiting []chan<- opened
}

// opened is what a player who waits is told.
type opened struct {
	stream *media.Stream
	err    error
}

func (o *outlets) init(ch *channel) { o.ch, o.byKey = ch, make(map[media.Name]*outlet) }

// want adds a player who waits for a name.
func (o *outlets) want(name media.Name, reply chan<- opened) {
	out := o.byKey[name]
	if out == nil {
		out = &outlet{name: name}
		o.byKey[name] = out
		if len(o.byKey) == 1 {
			o.since = time.Now()
		}
	}
	if out.pub != nil {
		reply <- opened{stream: out.pub.Stream()}
		return
	}
	out.waiting = append(out.waiting, reply)
	if o.last != (spot{}) && !o.isLocked() {
		o.publish(out)
		o.replay(out)
	}
	o.ch.demands()
	o.ch.demandKeys(false)
}

// isLocked tells whether nothing of the channel can be read yet: it is for members only, and the owner has given no keys.
func (o *outlets) isLocked() bool { return o.ch.sealed() && o.ch.asker.granted.IsZero() }

// published tells whether a name is published: its players are to miss nothing.
func (o *outlets) published() bool {
	for _, out := range o.byKey {
		if out.pub != nil {
			return true
		}
	}
	return false
}

// unlocked publishes what came before the first keys did.
func (o *outlets) unlocked() {
	for _, out := range o.byKey {
		if out.pub == nil && o.last != (spot{}) {
			o.publish(out)
			o.replay(out)
		}
	}
}

// publish publishes a name and tells those who wait.
func (o *outlets) publish(out *outlet) {
	d, _ := o.ch.description()
	pub, err := o.ch.n.hub.Publish(out.name, d.Tracks, media.Origin{
		Kind: "overlay", Remote: o.ch.n.book.name(o.ch.owner), Verbatim: true,
	})
	for _, reply := range out.waiting {
		if err != nil {
			reply <- opened{err: err}
			continue
		}
		reply <- opened{stream: pub.Stream()}
	}
	out.waiting, out.pub = nil, pub
	if err != nil {
		delete(o.byKey, out.name)
		return
	}
	o.ch.start(func(ctx context.Context) { o.attend(ctx, out, pub) })
}

// attend waits until nobody wants what is published.
func (o *outlets) attend(ctx context.Context, out *outlet, pub *media.Publisher) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idle := make(chan error, 1)
	o.ch.start(func(context.Context) { idle <- pub.Stream().Idle(ctx, o.ch.n.options().Conf.IdleAfter) })
	select {
	case err := <-idle:
		if errors.Is(err, context.Canceled) {
			return
		}
	case <-pub.Done():
	}
	o.ch.box.put(func() {
		if out.pub != pub {
			return // published anew
		}
		delete(o.byKey, out.name)
		pub.End()
		o.ch.demands()
	})
}

// release publishes the packets of a chunk under all names.
func (o *outlets) release(h held) {
	locked := o.isLocked() && !o.published()
	if !locked && o.ch.lock(h) {
		return
	}
	o.last = spot{h.chunk.Epoch, h.chunk.Seq}
	if h.chunk.Key {
		o.key = o.last
	}
	if locked {
		return
	}
	for _, out := range o.byKey {
		if out.pub == nil {
			o.publish(out)
		}
		o.write(out, h)
	}
}

// replay publishes what was released since the last key chunk under a name that is new.
func (o *outlets) replay(out *outlet) {
	if o.key.epoch != o.last.epoch {
		return
	}
	for seq := o.key.seq; seq <= o.last.seq; seq++ {
		if h, ok := o.ch.store.get(o.key.epoch, seq); ok {
			o.write(out, h)
		}
	}
}

// write publishes the packets of a chunk; of one whose key is missing there are none.
func (o *outlets) write(out *outlet, h held) {
	if out.pub == nil {
		return
	}
	packets, _ := o.ch.openChunk(h)
	for _, p := range packets {
		var err error
		if p.Report {
			err = out.pub.WriteRTCP(p.Track, p.Data, p.Arrived)
		} else {
			err = out.pub.WriteRTP(p.Track, p.Data, p.Arrived)
		}
		if errors.Is(err, media.ErrEnded) {
			return // attend finds out
		}
	}
}

// renew publishes anew with the tracks of a new descriptor: players stay when theirs go on.
func (o *outlets) renew() {
	if d, _ := o.ch.description(); d.Ended() {
		return
	}
	for _, out := range o.byKey {
		if out.pub != nil {
			o.publish(out)
		}
	}
}

// look tells players who wait what there is to tell.
func (o *outlets) look(now time.Time) {
	waited := now.Sub(o.since)
	for _, out := range o.byKey {
		if out.pub == nil && waited >= publishAfter && o.ch.lost.IsZero() && !o.isLocked() {
			o.publish(out)
		}
	}
	if a := o.ch.joined; a.State == swarm.Waiting && waited >= refusedFor {
		o.refuse(o.ch.refusal(a.Why))
	}
}

// refuse tells those who wait why they do so in vain.
func (o *outlets) refuse(err error) {
	for name, out := range o.byKey {
		for _, reply := range out.waiting {
			reply <- opened{err: err}
		}
		out.waiting = nil
		if out.pub == nil {
			delete(o.byKey, name)
		}
	}
	o.ch.demands()
}

// expel ends what is published and tells those who wait why this gateway may not have the channel.
func (o *outlets) expel(err error) {
	for _, out := range o.byKey {
		if out.pub != nil {
			o.ch.log.Warn("stream refused", "err", err)
			break
		}
	}
	o.end(err)
	o.ch.demands()
}

// end ends everything.
func (o *outlets) end(reason error) {
	for name, out := range o.byKey {
		for _, reply := range out.waiting {
			reply <- opened{err: reason}
		}
		if out.pub != nil {
			out.pub.End()
		}
		delete(o.byKey, name)
	}
}

// demands tells the machine who wants the channel.
func (ch *channel) demands() {
	d := swarm.Demand{Players: len(ch.outs.byKey), Relay: time.Now().Before(ch.hold) || ch.relays()}
	if d != ch.demand {
		ch.demand = d
		ch.later(d)
	}
}

// relays tells whether the channel is carried though nobody watches it here.
func (ch *channel) relays() bool {
	return shares(ch.n.options().Conf.Relay, ch.localName())
}

// admitted notes how the attempt to join stands.
func (ch *channel) admitted(a swarm.Admission) {
	ch.joined = a
	switch {
	case a.State == swarm.Joined:
		ch.lost = time.Time{}
		ch.orphan.Store(false)
	case ch.lost.IsZero():
		ch.lost = time.Now()
		ch.orphan.Store(true)
		ch.search(searchSoon)
	}
	if a.State == swarm.Waiting && a.Why == swarm.RefusedCapacity {
		ch.outs.refuse(ch.refusal(a.Why))
	}
}

// refusal is the reason for players when nobody serves this gateway.
func (ch *channel) refusal(why swarm.Reason) error {
	name := ch.localName()
	switch why {
	case swarm.RefusedCapacity, swarm.RefusedFull:
		return fmt.Errorf("%s: %w: %s", name, media.ErrNotEnoughBandwidth, why)
	case swarm.RefusedNotAllowed:
		return fmt.Errorf("%s: %w: %s", name, media.ErrNotFound, why)
	}
	return fmt.Errorf("%s cannot be had: %s", name, why)
}

// over notes why the machine has left.
func (ch *channel) over(a swarm.Closed) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	switch {
	case ch.reason != nil:
	case a.Ended:
		ch.reason = fmt.Errorf("%s: %w", ch.localName(), media.ErrEnded)
	case a.Idle:
		ch.reason = errIdle
	}
}

// errIdle ends a channel that nobody wants.
var errIdle = errors.New("nobody wants the channel")
