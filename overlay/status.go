package overlay

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"peergate/media"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"
)

// Status is what a node does now.
type Status struct {
	ID       string
	Peers    []PeerStatus // sorted by name
	Channels []ChannelStatus
	In, Out  uint64 // bytes on streams to peers, before encryption, since the start
	Accounts uint64 // of Out, those of receipts, and of letters to owners and their replies
	Reach    p2p.Reach
}

// PeerStatus tells of a listed peer.
type PeerStatus struct {
	Name      string
	ID        string
	Connected bool
	Remote    string        // address, when connected
	Way       string        // how the connection goes: p2p.WayDirect, WayPunched or WayRelayed
	Transport string        // tcp or quic
	Version   string        // of its program
	RTT       time.Duration // 0 unknown
	Err       string        // why it cannot be reached, when that is known
}

// ChannelStatus tells of a channel that this gateway carries.
type ChannelStatus struct {
	Owner    string       // petname, or the end of the ID
	Name     media.Name   // at the owner
	Own      bool         // this gateway is the owner
	As       []media.Name // names under which it is published here
	Parents  []string
	Children []string
	Trackers []string // that the owner has named
	In, Out  uint64   // bytes of chunks
	Saved    uint64   // of an own channel, bytes that members had from each other, by the ledger
	Spare    uint64   // of In, those of chunks that came late or again, which earn nothing
	Swarm    swarm.Stats
}

// Status returns the present state.
func (n *Node) Status() Status {
	h := n.host.Stats()
	s := Status{ID: string(n.ID()), In: h.In, Out: h.Out, Accounts: n.accounts.sent.Load(), Reach: n.host.Reach()}
	for _, p := range n.book.all() {
		ps := PeerStatus{Name: p.name, ID: string(p.id)}
		if l := n.link(p.id); l != nil {
			ps.Connected, ps.Remote, ps.Version, ps.RTT = true, l.stream.Remote(), l.version, time.Duration(l.rtt.Load())
			ps.Way, ps.Transport = l.stream.Way(), l.stream.Transport()
		} else if err := p.fault(); err != nil {
			ps.Err = err.Error()
		}
		s.Peers = append(s.Peers, ps)
	}
	for _, ch := range n.allChannels() {
		s.Channels = append(s.Channels, ch.status())
	}
	slices.SortFunc(s.Channels, func(a, b ChannelStatus) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Name, b.Name))
	})
	return s
}

// status returns what the loop has last told.
func (ch *channel) status() ChannelStatus {
	saved := uint64(0)
	if ch.source != nil {
		saved = ch.n.accounts.saved(ch.id)
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	s := ch.state
	for _, t := range ch.desc.Trackers {
		if id, err := p2p.IDOf(t.Key); err == nil {
			s.Trackers = append(s.Trackers, ch.n.book.name(id))
		}
	}
	s.Saved = saved
	s.Owner, s.Name, s.Own = ch.n.book.name(ch.owner), ch.name, ch.source != nil
	s.In, s.Out, s.Spare = ch.in.Load(), ch.out.Load(), ch.spare.Load()
	return s
}

// errOrphan ends a channel whose owner does not come back.
var errOrphan = errors.New("nobody brings the channel any more")

// look is what the loop does every second: it tells its state, and sees to what no event tells.
func (ch *channel) look() {
	st := ch.machine.Stats()
	s := ChannelStatus{Swarm: st}
	parents := make([]p2p.ID, 0, len(st.Parents))
	for _, id := range st.Parents {
		parents = append(parents, p2p.ID(id))
		s.Parents = append(s.Parents, ch.n.book.name(p2p.ID(id)))
	}
	for _, id := range st.Children {
		s.Children = append(s.Children, ch.n.book.name(p2p.ID(id)))
	}
	for name, out := range ch.outs.byKey {
		if out.pub != nil {
			s.As = append(s.As, name)
		}
	}
	ch.mu.Lock()
	ch.state = s
	ch.mu.Unlock()
	ch.n.accounts.found(ch.owner, parents)
	now := time.Now()
	ch.tally.look(now)
	ch.limit(now)
	ch.reap(now)
	if ch.source != nil {
		ch.rotate(now)
		for id := range ch.told {
			ch.ranked(id) // the ledger may know more by now
		}
		if ch.source.idle(len(st.Children), ch.n.options().Conf.IdleAfter) {
			ch.giveUp(errIdle)
		}
		return
	}
	ch.demands()
	ch.outs.look(now)
	ch.demandKeys(false)
	if !ch.lost.IsZero() {
		ch.search(searchAgain)
		if now.Sub(ch.lost) > orphanFor {
			ch.giveUp(errOrphan)
		}
	}
}
