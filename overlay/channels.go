package overlay

import (
	"context"
	"errors"
	"fmt"

	"peergate/media"
	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
)

var (
	errBanned    = errors.New("the peer has lied and is kept out for a while")
	errNoAddress = errors.New("no address of the peer is known: it has to dial, or another peer to tell")
	errUnlisted  = errors.New("the peer is not listed any more")
	errStopping  = errors.New("this gateway is being stopped")
)

// Open brings a stream of another gateway, whose name begins with the petname or the ID of its owner, into the hub.
func (n *Node) Open(ctx context.Context, name media.Name) (*media.Stream, error) {
	first, rest := name.Cut()
	owner := n.book.named(first)
	if owner == "" {
		var err error
		if owner, err = p2p.ParseID(first); err != nil {
			return nil, media.ErrNotFound
		}
		owner = n.heir(owner)
	}
	if rest == "" {
		return nil, fmt.Errorf("%s is a gateway: say which of its streams, as in %s/lobby: %w", first, first, media.ErrNotFound)
	}
	if owner == n.ID() {
		return n.hub.Open(ctx, rest)
	}
	for {
		ch, err := n.member(ctx, owner, rest, "")
		if err != nil {
			return nil, err
		}
		if err := ch.entitled(); err != nil {
			return nil, err
		}
		st, err := ch.openAs(ctx, name)
		if !errors.Is(err, errIdle) { // it left while we came
			return st, err
		}
	}
}

// openAs waits until the channel is published under a name.
func (ch *channel) openAs(ctx context.Context, name media.Name) (*media.Stream, error) {
	reply := make(chan opened, 1)
	if !ch.box.put(func() { ch.outs.want(name, reply) }) {
		return nil, errIdle
	}
	select {
	case o := <-reply:
		return o.stream, o.err
	case <-ch.done:
		select {
		case o := <-reply:
			return o.stream, o.err
		default:
			return nil, errIdle
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// channelID returns the ID of a channel.
func channelID(owner p2p.ID, name media.Name) chunk.ID { return chunk.ChannelID(owner.Key(), name) }

// channel returns the channel of that ID, or nil.
func (n *Node) channel(id chunk.ID) *channel {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.channels[id]
}

// lasting is channel, which waits for one that its owner has ended to be gone: what comes after it is another.
func (n *Node) lasting(ctx context.Context, id chunk.ID) (*channel, error) {
	for {
		ch := n.channel(id)
		if ch == nil || !ch.ended() {
			return ch, nil
		}
		select {
		case <-ch.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// allChannels returns all channels.
func (n *Node) allChannels() []*channel {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*channel, 0, len(n.channels))
	for _, ch := range n.channels {
		all = append(all, ch)
	}
	return all
}

// remove takes a channel that is over from the table.
func (n *Node) remove(ch *channel) {
	n.mu.Lock()
	last := n.channels[ch.id] == ch
	if last {
		delete(n.channels, ch.id)
	}
	n.mu.Unlock()
	if last {
		n.part(ch.id)
		n.doors()
	}
}

// member returns the channel of another gateway, joining its swarm when this gateway is no member yet. Calls for the
// same channel share one attempt. The peer except is not asked: it asks itself.
func (n *Node) member(ctx context.Context, owner p2p.ID, name media.Name, except p2p.ID) (*channel, error) {
	return n.obtain(ctx, channelID(owner, name), func() (*channel, error) {
		f, _, err := n.find(ctx, owner, name, except)
		if err != nil {
			return nil, err
		}
		d, err := chunk.ParseDescriptor(f.descriptor)
		if err != nil {
			return nil, err
		}
		if d.Channel() != channelID(owner, name) {
			return nil, errors.New("a peer has answered with the descriptor of another channel")
		}
		return newChannel(n, description{d, f.descriptor}), nil
	})
}

// own tells whether a name is for streams of this gateway's own.
func (n *Node) own(name media.Name) bool {
	first, _ := name.Cut()
	return n.book.named(first) == "" && !p2p.LooksLikeID(first)
}

// ownChannel returns the channel of a stream of this gateway, which is opened when nobody has yet.
func (n *Node) ownChannel(ctx context.Context, name media.Name) (*channel, error) {
	return n.obtain(ctx, channelID(n.ID(), name), func() (*channel, error) {
		st, err := n.hub.Open(ctx, name)
		if err != nil {
			return nil, err
		}
		return newSource(n, st)
	})
}

// obtain returns a channel from the table, or makes it and starts its loop.
func (n *Node) obtain(ctx context.Context, id chunk.ID, make func() (*channel, error)) (*channel, error) {
	for {
		ch, wait, mine := n.reserve(id)
		if ch != nil {
			return ch, nil
		}
		if mine {
			return n.establish(id, wait, make)
		}
		select {
		case <-wait: // an ended channel is gone; or the other attempt is over: if it failed, perhaps only because its caller left, try again
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// reserve returns the channel, or what to wait for and whether it is the caller who has to make it.
func (n *Node) reserve(id chunk.ID) (ch *channel, wait chan struct{}, mine bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ch := n.channels[id]; ch != nil {
		if ch.ended() {
			return nil, ch.done, false
		}
		return ch, nil, false
	}
	if wait, ok := n.joining[id]; ok {
		return nil, wait, false
	}
	wait = make(chan struct{})
	n.joining[id] = wait
	return nil, wait, true
}

func (n *Node) establish(id chunk.ID, wait chan struct{}, make func() (*channel, error)) (*channel, error) {
	ch, err := make()
	n.mu.Lock()
	if err == nil {
		n.channels[id] = ch
	}
	delete(n.joining, id)
	close(wait)
	n.mu.Unlock()
	if err != nil {
		n.part(id)
		return nil, err
	}
	n.doors()
	if !n.start(ch.run) {
		n.remove(ch)
		return nil, errStopping
	}
	return ch, nil
}
