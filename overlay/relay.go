package overlay

import (
	"context"
	"strings"
	"time"

	"peergate/media"
	"peergate/overlay/p2p"
)

// relayEvery is how often a gateway looks whether the channels that it is to carry for others are there.
const relayEvery = 5 * time.Second

// relay joins the channels of overlay.relay, again when they were lost, until ctx ends.
func (n *Node) relay(ctx context.Context) {
	t := time.NewTicker(relayEvery)
	defer t.Stop()
	for {
		for _, pattern := range n.options().Conf.Relay {
			n.relayPattern(pattern)
		}
		select {
		case <-t.C:
		case <-n.relinks:
		case <-ctx.Done():
			return
		}
	}
}

// relayPattern joins the channel that a pattern names, or asks the owners that it may mean for their streams.
func (n *Node) relayPattern(pattern string) {
	first, rest := media.Name(pattern).Cut()
	for _, p := range n.book.all() {
		if !matchPart(first, p.name) && first != "**" {
			continue
		}
		if !strings.Contains(pattern, "*") {
			n.carry(p.id, rest)
		} else if l := n.link(p.id); l != nil {
			l.send(encodeList())
		}
	}
}

// listed joins those of a peer's streams that this gateway is to carry.
func (n *Node) listed(id p2p.ID, all names) {
	p := n.book.peer(id)
	if p == nil {
		return
	}
	for _, name := range all {
		if shares(n.options().Conf.Relay, media.Name(p.name)+"/"+name) {
			n.carry(id, name)
		}
	}
}

// carry joins a channel, beside all else; that it wants to be carried the channel finds out by itself.
func (n *Node) carry(owner p2p.ID, name media.Name) {
	if n.channel(channelID(owner, name)) != nil {
		return
	}
	n.start(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, seekWithin)
		defer cancel()
		if _, err := n.member(ctx, owner, name, ""); err != nil {
			n.log.Debug("channel to carry not found", "stream", n.book.name(owner)+"/"+string(name), "err", err)
		}
	})
}

// gives tells whether a gateway may fetch a stream of this one.
func (n *Node) gives(to p2p.ID, name media.Name) bool {
	if !n.book.trusts(to) {
		return n.opens(name)
	}
	return shares(n.options().Conf.Share, name)
}

// shared returns the streams of this gateway that are live and that a gateway may fetch.
func (n *Node) shared(to p2p.ID) names {
	all := names{}
	for _, st := range n.hub.Streams() {
		if n.own(st.Name()) && n.gives(to, st.Name()) && st.Stats().Publishing {
			all = append(all, st.Name())
		}
	}
	return all
}
