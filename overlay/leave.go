package overlay

import (
	"bytes"
	"maps"
	"sync"
	"time"

	"peergate/media"
	"peergate/overlay/access"
	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
)

// A stranger takes part in a members-only channel by a ticket: to the owner it sends its request for keys when it seeks the
// channel, to other members it shows its leave, a ticket for this one gateway, that the owner gives it with the keys.

const (
	// leaveLife is how long a leave is good for. The keys, with which comes another one, are asked for every askEvery.
	leaveLife = 10 * time.Minute
	// maxLeaves bounds the leaves that are remembered, each of about 300 bytes.
	maxLeaves = 8192
)

// leaves remembers the tickets that strangers have shown.
type leaves struct {
	mu    sync.Mutex // guards shown
	shown map[pass]*access.Ticket
}

// has tells whether a gateway has shown a ticket for a channel.
func (l *leaves) has(channel chunk.ID, gateway p2p.ID, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.shown[pass{channel, gateway}]
	return t != nil && now.Before(t.Expires)
}

// add remembers that a gateway has shown a ticket, unless there are too many.
func (l *leaves) add(channel chunk.ID, gateway p2p.ID, t *access.Ticket, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown == nil {
		l.shown = make(map[pass]*access.Ticket)
	}
	if len(l.shown) >= maxLeaves {
		maps.DeleteFunc(l.shown, func(_ pass, t *access.Ticket) bool { return !now.Before(t.Expires) })
		if len(l.shown) >= maxLeaves {
			return
		}
	}
	l.shown[pass{channel, gateway}] = t
}

// revoke forgets what was shown of a ticket.
func (l *leaves) revoke(s access.Serial) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.shown, func(_ pass, t *access.Ticket) bool { return t.Serial == s })
}

// membersOnly tells whether the channel is for those who have a ticket.
func (ch *channel) membersOnly() bool {
	d, _ := ch.description()
	return d.Access == chunk.Members
}

// credentials returns what lets this gateway in at the owner of a members-only channel, or nil when it has no ticket.
func (n *Node) credentials(owner p2p.ID, name media.Name) []byte {
	ticket, err := n.ticketFor(owner, name)
	if err != nil {
		return nil
	}
	r := access.Request{
		Channel: access.Channel(channelID(owner, name)), Gateway: n.ID().Key(), Ticket: ticket, Stamp: uint64(time.Now().UnixMicro()),
	}
	b, err := r.Seal(n.identity.Key, owner.Key())
	if err != nil {
		return nil
	}
	return b
}

// lets tells whether a question for a stream of this gateway brings a ticket for it, or why the ticket is not good. The
// gateway that asked first may take part in the channel from then on.
func (n *Node) lets(s *seek) (ok bool, refused error) {
	c := n.options().Conf
	if len(s.request) == 0 || !shares(c.Share, s.name) || accessTo(&c, s.name) != chunk.Members {
		return false, nil
	}
	id, now := channelID(n.ID(), s.name), time.Now()
	r, t, err := n.readRequest(s.request)
	if err != nil || chunk.ID(r.Channel) != id {
		return false, nil
	}
	if err := n.entitles(t, r, s.name, now); err != nil {
		return false, err
	}
	gateway, err := p2p.IDOf(r.Gateway)
	if err != nil {
		return false, nil
	}
	n.leaves.add(id, gateway, t, now)
	return true, nil
}

// leave returns the leave of a holder: its ticket, which stands for a short time.
func (ch *channel) leave(id p2p.ID, v holder) []byte {
	t := *v.ticket
	t.Owner = ch.n.ID().Key() // it may have been issued with an earlier key
	t.Holder, t.Uses, t.Channels = id.Key(), 0, []string{string(ch.name)}
	if until := time.Now().Add(leaveLife); until.Before(t.Expires) {
		t.Expires = until
	}
	return t.Sign(ch.n.identity.Key)
}

// show shows a peer this gateway's leave for the channel.
func (ch *channel) show(l *link) {
	if ch.asker.leave != nil && l.peer != ch.owner {
		l.send((&keysMessage{channel: ch.id, gateway: ch.n.ID(), leave: ch.asker.leave}).encode())
	}
}

// showAll shows it to all members that are linked.
func (ch *channel) showAll() {
	for id := range ch.told {
		if l := ch.n.link(id); l != nil {
			ch.show(l)
		}
	}
}

// shownLeave takes the leave that a stranger shows.
func (n *Node) shownLeave(from p2p.ID, m *keysMessage) {
	ch := n.channel(m.channel)
	if ch == nil || ch.source != nil {
		return
	}
	t, err := access.ParseTicket(m.leave)
	now := time.Now()
	switch {
	case err != nil:
	case !n.successions.Follow(t.Owner).Equal(ch.owner.Key()), !bytes.Equal(t.Holder, from.Key()):
	case t.Rights&access.Watch == 0, !shares(t.Channels, ch.name), !now.Before(t.Expires):
	default:
		n.leaves.add(ch.id, from, t, now)
		return
	}
	n.log.Debug("leave left out", "peer", n.book.name(from), "err", err)
}
