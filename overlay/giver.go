package overlay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"peergate/media"
	"peergate/overlay/access"
	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
)

// holderLife is how long a gateway that asks no more is still given keys: it asks every askEvery, and one question may
// get lost.
const holderLife = 3 * askEvery

// giver is what the owner of a members-only channel has beside its source: the content keys, and who has them. It is safe
// for concurrent use.
type giver struct {
	mu      sync.Mutex // guards the fields below
	epoch   uint64
	keys    *access.Rotation // nil while the channel is not for members only
	holders map[p2p.ID]holder
}

// holder is a gateway that is given the keys.
type holder struct {
	ticket *access.Ticket
	via    p2p.ID // the peer by which it asked last: itself, or one that passes it on
	stamp  uint64 // of its newest request
	seen   time.Time
}

// begin takes new keys for an epoch; nil means that its chunks are not sealed.
func (g *giver) begin(epoch uint64, keys *access.Rotation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.epoch, g.keys = epoch, keys
}

// content returns what seals a chunk of an epoch now, or nil.
func (g *giver) content(now time.Time) *chunk.ContentKey {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.keys == nil {
		return nil
	}
	id, aead := g.keys.Seal(now)
	return &chunk.ContentKey{ID: id, AEAD: aead}
}

// admit notes that a gateway is given the keys from now on. A request that was seen before, which anybody on the way may
// have kept, does not change the way of the answers.
func (g *giver) admit(id p2p.ID, v holder) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holders == nil {
		g.holders = make(map[p2p.ID]holder)
	}
	if old, ok := g.holders[id]; ok && old.stamp >= v.stamp {
		v.via, v.stamp = old.via, old.stamp
	}
	g.holders[id] = v
}

// expel returns and forgets the holders for which out is true, and those that ask no more. When there were some of the first
// kind, all keys that are not in use yet are replaced.
func (g *giver) expel(now time.Time, out func(id p2p.ID, v holder) bool) map[p2p.ID]holder {
	g.mu.Lock()
	defer g.mu.Unlock()
	gone := make(map[p2p.ID]holder)
	for id, v := range g.holders {
		switch {
		case out(id, v):
			gone[id] = v
			delete(g.holders, id)
		case now.Sub(v.seen) > holderLife:
			delete(g.holders, id)
		}
	}
	if len(gone) > 0 && g.keys != nil {
		g.keys.Renew(now)
	}
	return gone
}

// present returns the epoch, its keys and who is to have them.
func (g *giver) present() (epoch uint64, keys *access.Rotation, holders map[p2p.ID]holder) {
	g.mu.Lock()
	defer g.mu.Unlock()
	holders = make(map[p2p.ID]holder, len(g.holders))
	for id, v := range g.holders {
		holders[id] = v
	}
	return g.epoch, g.keys, holders
}

// rotate gives the next key to all holders when it is time to; those whose tickets have expired have none of it.
func (ch *channel) rotate(now time.Time) {
	_, keys, _ := ch.giver.present()
	if keys == nil || !keys.Advance(now) {
		return
	}
	ch.start(func(context.Context) {
		ch.dismiss(now, func(id p2p.ID, v holder) error { return ch.n.register.Admit(v.ticket, id.Key(), now) })
		ch.giveAll()
	})
}

// dismiss tells the holders for which there is a reason that they are given no more keys. It reports whether there are some.
func (ch *channel) dismiss(now time.Time, why func(id p2p.ID, v holder) error) bool {
	reasons := make(map[p2p.ID]error)
	gone := ch.giver.expel(now, func(id p2p.ID, v holder) bool {
		reasons[id] = why(id, v)
		return reasons[id] != nil
	})
	for id, v := range gone {
		ch.log.Info("ticket ended", "peer", ch.n.book.name(id), "err", reasons[id])
		ch.answer(id, v, reasons[id])
	}
	return len(gone) > 0
}

// giveAll gives the keys to all holders.
func (ch *channel) giveAll() {
	_, _, holders := ch.giver.present()
	for id, v := range holders {
		ch.answer(id, v, nil)
	}
}

// answer gives a gateway the keys, or the reason why it is given none.
func (ch *channel) answer(id p2p.ID, v holder, refused error) {
	epoch, keys, _ := ch.giver.present()
	if keys == nil {
		return
	}
	g := access.Grant{Channel: access.Channel(ch.id), Gateway: id.Key(), Epoch: epoch, Stamp: v.stamp}
	if refused != nil {
		g.Refused = refused.Error()
	} else {
		g.Keys, g.Leave = keys.Keys(), ch.leave(id, v)
	}
	b, err := g.Seal(ch.n.identity.Key)
	if err != nil {
		ch.log.Warn("keys not given", "peer", ch.n.book.name(id), "err", err)
		return
	}
	to := ch.n.link(id)
	if to == nil {
		to = ch.n.link(v.via)
	}
	if to != nil {
		to.send((&keysMessage{channel: ch.id, gateway: id, grant: b}).encode())
	}
}

// askedForKeys answers a request for keys of a channel of this gateway that has come by a peer.
func (n *Node) askedForKeys(via p2p.ID, m *keysMessage) {
	ch := n.channel(m.channel)
	if ch == nil || ch.source == nil {
		return // it is asked again
	}
	r, t, err := n.readRequest(m.request)
	if err != nil || chunk.ID(r.Channel) != ch.id {
		n.log.Debug("request for keys left out", "peer", n.book.name(via), "err", err)
		return
	}
	id, err := p2p.IDOf(r.Gateway)
	if err != nil || id != m.gateway {
		return
	}
	now := time.Now()
	v := holder{ticket: t, via: via, stamp: r.Stamp, seen: now}
	if err := n.entitles(t, r, ch.name, now); err != nil {
		ch.log.Info("ticket refused", "peer", n.book.name(id), "err", err)
		ch.answer(id, v, err)
		return
	}
	ch.giver.admit(id, v)
	if err := n.entitles(t, r, ch.name, now); err != nil { // revoked in between
		ch.dismiss(now, func(other p2p.ID, _ holder) error {
			if other == id {
				return err
			}
			return nil
		})
		return
	}
	n.leaves.add(ch.id, id, t, now)
	ch.answer(id, v, nil)
}

// readRequest opens a request for keys, with the ticket in it.
func (n *Node) readRequest(b []byte) (*access.Request, *access.Ticket, error) {
	r, err := access.OpenRequest(n.identity.Key, b)
	if err != nil {
		return nil, nil, err
	}
	t, err := access.ParseTicket(r.Ticket)
	return r, t, err
}

// entitles tells whether a ticket is good for a channel of this gateway, or why not.
func (n *Node) entitles(t *access.Ticket, r *access.Request, name media.Name, now time.Time) error {
	switch {
	case !n.owns(t.Owner):
		return errors.New("the ticket is of another owner")
	case !shares(t.Channels, name):
		return access.ErrChannels
	}
	return n.register.Admit(t, r.Gateway, now)
}

// IssueTicket issues a ticket for channels of this gateway; its owner and serial are set. It returns the text, which is not
// kept anywhere.
func (n *Node) IssueTicket(t access.Ticket) (string, access.Entry, error) {
	b, e, err := n.register.Issue(n.identity.Key, t, time.Now())
	if err != nil {
		return "", e, fmt.Errorf("issue a ticket: %w", err)
	}
	n.log.Info("ticket issued", "ticket", e.Serial.String())
	return access.TicketText(b), e, nil
}

// Tickets returns what this gateway knows of the tickets that it has issued, the newest last.
func (n *Node) Tickets() ([]access.Entry, error) { return n.register.List() }

// RevokeTicket takes a ticket back: whoever uses it gets no more keys, and those in use are replaced at once.
func (n *Node) RevokeTicket(s access.Serial) error {
	now := time.Now()
	if err := n.register.Revoke(s, now); err != nil {
		return err
	}
	n.log.Info("ticket revoked", "ticket", s.String())
	for _, ch := range n.allChannels() {
		if ch.source == nil {
			continue
		}
		n.leaves.revoke(s)
		ch.box.put(ch.expel)
		if ch.dismiss(now, func(_ p2p.ID, v holder) error {
			if v.ticket.Serial == s {
				return access.ErrRevoked
			}
			return nil
		}) {
			ch.giveAll()
		}
	}
	return nil
}
