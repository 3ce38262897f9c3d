package overlay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/access"
	"peergate/overlay/p2p"
)

// A gateway that has changed its key says so, signed by the old one, in the hello of every link. Gateways that list it
// take the new key in the place of the old one and remember that. While a listed peer is missing, gateways that are not
// listed may connect and say hello, since one of them may be it; others are cut off after that, unheard.

// heir returns the ID that has taken the place of an ID.
func (n *Node) heir(id p2p.ID) p2p.ID {
	key := id.Key()
	if now := n.successions.Follow(key); !now.Equal(key) {
		if heir, err := p2p.IDOf(now); err == nil {
			return heir
		}
	}
	return id
}

// heirs returns peers and links with the IDs that they have now.
func (n *Node) heirs(peers map[string]conf.Peer, tips []tip) (map[string]conf.Peer, []tip) {
	now := make(map[string]conf.Peer, len(peers))
	for name, p := range peers {
		p.ID = string(n.heir(p2p.ID(p.ID)))
		now[name] = p
	}
	for i := range tips {
		tips[i].Owner = n.heir(tips[i].Owner)
	}
	return now, tips
}

// owns tells whether a key is this gateway's, or was.
func (n *Node) owns(key ed25519.PublicKey) bool { return n.successions.Follow(key).Equal(n.ID().Key()) }

// learnSuccessions takes what a gateway says of its former keys, as far as they are of gateways that are listed.
func (n *Node) learnSuccessions(chain [][]byte) {
	for _, raw := range chain {
		s, err := access.ParseSuccession(raw)
		if err != nil {
			return
		}
		old, err := p2p.IDOf(s.Old)
		if err != nil || !n.book.lists(old) {
			continue
		}
		name := n.book.name(old)
		fresh, err := n.successions.Add(raw)
		if err != nil {
			n.log.Error("key of a peer not followed", "peer", name, "err", err)
		}
		if fresh {
			n.log.Info("peer has a new key", "peer", name)
			n.relist()
			n.bequeath(old)
		}
	}
}

// errNewKey ends the channels of an owner's old key: players ask again, and get those of the new one.
var errNewKey = fmt.Errorf("the owner has a new key: %w", media.ErrEnded)

// bequeath ends the channels of a gateway that has another ID now.
func (n *Node) bequeath(old p2p.ID) {
	for _, ch := range n.allChannels() {
		if ch.owner == old {
			ch.box.put(func() { ch.giveUp(errNewKey) })
		}
	}
}

// relist takes over the peers and links of the configuration with the IDs that they have now.
func (n *Node) relist() {
	o := n.options()
	if tips, err := parseTips(o.Conf.Links); err != nil {
		n.log.Error("links are not taken over", "err", err)
	} else {
		n.tell(tips, o.Conf.Tickets)
	}
	peers, _ := n.heirs(o.Peers, nil)
	_, removed := n.book.set(peers)
	n.doors()
	n.await()
	for _, p := range removed {
		if n.book.peer(p.id) == nil {
			if l := n.link(p.id); l != nil {
				l.close(errUnlisted)
			}
			n.host.Drop(p.id)
		}
	}
	n.watch()
}

// await lets gateways in that are not listed, to hear whether one is the missing peer, while one is missing.
func (n *Node) await() {
	missing := false
	for _, p := range n.book.all() {
		missing = missing || n.link(p.id) == nil
	}
	n.book.heirs.Store(missing)
}

// applies tells whether a gateway has no other reason to be here than that it may be the heir of a listed one. It is to
// say hello first.
func (n *Node) applies(s *p2p.Stream) bool {
	return !n.book.private && !n.book.doors.Load() && n.book.known(s.Peer()) == nil
}

// askSuccessor asks the gateway that has answered in the place of a peer whether it is the peer with a new key.
func (n *Node) askSuccessor(ctx context.Context, p *peer, reason error) {
	var wrong *p2p.WrongKeyError
	if !errors.As(reason, &wrong) || n.book.known(wrong.Got) != nil || n.book.peer(p.id) == nil {
		return
	}
	defer func() {
		if n.book.known(wrong.Got) == nil {
			n.host.Drop(wrong.Got)
		}
	}()
	if n.host.Connect(ctx, wrong.Got, p.dialable()) != nil {
		return
	}
	s, err := n.host.Open(ctx, wrong.Got, p2p.Control)
	if err != nil {
		return
	}
	defer s.Reset()
	stop := context.AfterFunc(ctx, s.Reset)
	defer stop()
	_, _, _ = n.greet(s) // learns it; the keeper of the new ID dials
}

// lists tells whether the configuration names a gateway, as a peer or as the owner of a link.
func (b *book) lists(id p2p.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.tips {
		if b.tips[i].Owner == id {
			return true
		}
	}
	return b.byID[id] != nil
}
