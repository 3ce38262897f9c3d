package overlay

import (
	"fmt"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/access"
	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
)

const (
	// askEvery is how often a member asks anew for keys that it has: by that the owner knows that somebody still watches,
	// and on which way.
	askEvery = 30 * time.Second
	// askAgain is the least time between questions that are not answered.
	askAgain = 400 * time.Millisecond
	// maxLocked bounds the chunks that wait for a key: those of 5 s at 8 Mbit/s. The oldest go.
	maxLocked = 640
)

// asker gets the keys of a members-only channel from its owner and opens chunks with them. It belongs to the channel's
// loop.
type asker struct {
	ring    access.Ring
	epoch   uint64    // of the newest keys that came
	least   uint64    // the oldest of those: older ones will not come
	granted time.Time // when keys came last; zero: there are none
	since   time.Time // when a player began to wait for them
	asked   time.Time
	stamp   uint64 // of the last question
	first   uint64 // of the first question since players want the channel
	turns   int    // questions, by which the one who passes them on is chosen
	locked  []held // released chunks whose key is missing
	leave   []byte // by which other members let this gateway take part
}

// sealed tells whether the keys of the channel are needed here.
func (ch *channel) sealed() bool {
	d, _ := ch.description()
	return d.Access == chunk.Members && ch.source == nil
}

// demandKeys asks the owner for the keys when players here want the channel: at once when soon, else when it is time to.
func (ch *channel) demandKeys(soon bool) {
	a := &ch.asker
	if !ch.sealed() {
		return
	}
	now := time.Now()
	if len(ch.outs.byKey) == 0 {
		*a = asker{stamp: a.stamp, asked: a.asked} // nobody watches: nothing of it can be read here
		return
	}
	every := askEvery
	if soon || a.granted.IsZero() {
		every = askAgain
	}
	if now.Sub(a.asked) < every {
		return
	}
	t, err := ch.n.ticketFor(ch.owner, ch.name)
	if err != nil {
		ch.outs.expel(err)
		return
	}
	a.stamp = max(a.stamp+1, uint64(now.UnixMicro()))
	if a.since.IsZero() {
		a.since, a.first = now, a.stamp
	}
	if ch.askFor(t) {
		a.asked = now
	} else if a.granted.IsZero() && now.Sub(a.since) > refusedFor {
		ch.outs.refuse(fmt.Errorf("%s: its owner cannot be asked for the keys", ch.localName()))
	}
}

// askFor sends a request to the owner, or to one who passes it on. It reports false when there is nobody.
func (ch *channel) askFor(ticket []byte) bool {
	to := ch.towardsOwner("", ch.asker.turns)
	if to == nil {
		return false
	}
	r := access.Request{
		Channel: access.Channel(ch.id), Gateway: ch.n.ID().Key(), Ticket: ticket, Stamp: ch.asker.stamp,
	}
	b, err := r.Seal(ch.n.identity.Key, ch.owner.Key())
	if err != nil {
		ch.log.Warn("keys not asked for", "err", err)
		return false
	}
	ch.asker.turns++
	to.send((&keysMessage{channel: ch.id, gateway: ch.n.ID(), request: b}).encode())
	return true
}

// granted takes the owner's answer.
func (ch *channel) granted(g *access.Grant) {
	a := &ch.asker
	if len(ch.outs.byKey) == 0 {
		return
	}
	if g.Refused != "" {
		if g.Stamp >= a.first {
			ch.outs.expel(fmt.Errorf("%s is refused by its owner: %s: %w", ch.localName(), clip(g.Refused), media.ErrForbidden))
			*a = asker{stamp: a.stamp}
		}
		return
	}
	if len(g.Keys) == 0 {
		return
	}
	a.ring.Add(g.Epoch, g.Keys)
	a.epoch, a.least = g.Epoch, g.Keys[0].ID
	if first := a.leave == nil; g.Leave != nil {
		a.leave = g.Leave
		if first {
			ch.showAll()
		}
	}
	begins := a.granted.IsZero()
	a.granted = time.Now()
	if begins {
		ch.outs.unlocked()
	}
	locked := a.locked
	a.locked = nil
	for _, h := range locked {
		ch.outs.release(h)
	}
}

// openChunk returns copies of a chunk's packets. It reports false when the key is missing.
func (ch *channel) openChunk(h held) ([]media.Packet, bool) {
	c := h.chunk
	if !c.Sealed {
		return c.Packets(h.arrived), true
	}
	key := ch.asker.ring.Find(c.Epoch, c.KeyID)
	if key == nil {
		return nil, false
	}
	ps, err := c.Open(key, h.arrived)
	return ps, err == nil
}

// lock keeps a released chunk until its key comes. It reports whether it has to: when others wait, it waits too.
func (ch *channel) lock(h held) bool {
	a := &ch.asker
	if !ch.sealed() {
		a.locked = nil // what comes now is open
	}
	if len(a.locked) == 0 && !ch.awaits(h.chunk) {
		return false
	}
	if len(a.locked) == maxLocked {
		a.locked = append(a.locked[:0], a.locked[1:]...)
	}
	a.locked = append(a.locked, h)
	ch.demandKeys(true)
	return true
}

// awaits tells whether the key of a chunk is missing and may still come.
func (ch *channel) awaits(c *chunk.Chunk) bool {
	a := &ch.asker
	if !c.Sealed || !ch.sealed() || c.Epoch < a.epoch || c.Epoch == a.epoch && c.KeyID < a.least {
		return false
	}
	return a.ring.Find(c.Epoch, c.KeyID) == nil
}

// ticketFor returns the ticket of this gateway for a channel, or the reason for players why there is none.
func (n *Node) ticketFor(owner p2p.ID, name media.Name) ([]byte, error) {
	key, now := owner.Key(), time.Now()
	reason := "for members only, and this gateway has no ticket for it: ask its owner for one"
	for _, t := range n.options().tickets {
		switch {
		case !n.successions.Follow(t.Owner).Equal(key) || !shares(t.Channels, name):
		case !now.Before(t.Expires):
			reason = "for members only, and this gateway's ticket for it has expired: ask its owner for another one"
		case !t.Bearer() && !n.owns(t.Holder):
			reason = "for members only, and the ticket for it is another gateway's: ask its owner for one for " + string(n.ID())
		default:
			return t.raw, nil
		}
	}
	return nil, fmt.Errorf("%s/%s is %s: %w", n.book.name(owner), name, reason, media.ErrForbidden)
}

// ownTicket is a ticket that this gateway was given.
type ownTicket struct {
	*access.Ticket
	raw []byte
}

// readTickets reads the tickets of a configuration, its own and those of its links. Which are not good is told by their
// place: they are secrets.
func readTickets(texts []string, links []tip) ([]ownTicket, error) {
	var all []ownTicket
	for i, text := range texts {
		t, err := readTicket(text)
		if err != nil {
			return nil, fmt.Errorf("overlay.tickets[%d]: %w", i, err)
		}
		all = append(all, t)
	}
	for i := range links {
		if links[i].Ticket == "" {
			continue
		}
		t, err := readTicket(links[i].Ticket)
		if err != nil {
			return nil, fmt.Errorf("overlay.links[%d].link: %w", i, err)
		}
		all = append(all, t)
	}
	return all, nil
}

// CheckTickets tells which tickets of a configuration are none.
func CheckTickets(c conf.Overlay) error {
	links, err := parseTips(c.Links)
	if err != nil {
		return nil // that is told already
	}
	_, err = readTickets(c.Tickets, links)
	return err
}

func readTicket(text string) (ownTicket, error) {
	b, err := access.TicketBytes(text)
	if err != nil {
		return ownTicket{}, err
	}
	t, err := access.ParseTicket(b)
	return ownTicket{t, b}, err
}

// entitled tells why players of this gateway cannot have the channel: it has no ticket for it.
func (ch *channel) entitled() error {
	if !ch.sealed() {
		return nil
	}
	_, err := ch.n.ticketFor(ch.owner, ch.name)
	return err
}

// grant takes keys from a peer: opens them when they are for this gateway, or passes them on.
func (n *Node) grant(m *keysMessage) {
	if m.gateway != n.ID() {
		n.passes.back(n, m)
		return
	}
	ch := n.channel(m.channel)
	if ch == nil || ch.source != nil {
		return
	}
	g, err := access.OpenGrant(n.identity.Key, ch.owner.Key(), m.grant)
	if err != nil || chunk.ID(g.Channel) != ch.id {
		ch.log.Debug("keys left out", "err", err)
		return
	}
	ch.box.offer(func() { ch.granted(g) })
}
