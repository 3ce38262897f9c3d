package swarm

import (
	"strings"
	"time"
)

// linkState is how far a control stream to a peer is.
type linkState int

const (
	unlinked linkState = iota
	dialling
	linked
)

// route is how a peer gets a stripe.
type route struct {
	rooted bool
	delay  time.Duration
	hops   []uint64 // its parent first, the owner last
}

// peer is what is known of another gateway.
type peer struct {
	id        ID
	hop       uint64
	addresses []string
	keep      bool // configured: never forgotten
	tracker   bool // the owner has named it: it knows many members
	standing  int  // percent
	joined    bool // a member, as it or another one has said; else only somebody to ask
	local     bool // at the same site
	net       string
	named     time.Time // when somebody spoke of it last

	link     linkState
	mine     bool      // Connect was asked for
	since    time.Time // of link
	failures int
	again    time.Time // not dialled before
	banned   time.Time // not dealt with before

	// What it has told of itself.
	told      bool
	epoch     uint64
	slots     int
	spare     int
	serves    uint64    // it has room for us
	leaves    uint64    // a contributor may take a leaf's place
	home      uint64    // it forwards
	urgent    bool      // to be dialled first: somebody who moves us there said so
	askAgain  time.Time // for members
	bereft    time.Time // the owner was asked because one of its children was lost
	deposedAt time.Time // the owner took a stripe from it
	depth     int       // -1: has no parent
	routes    []route
	have      Have
	heard     time.Time
	interval  time.Duration // between its chunks, smoothed
	leaving   bool
	far       int // round trip in ms from the one who told of it

	rtt     estimate
	refused uint64    // mask of stripes that it has refused lately
	until   time.Time // when that may be asked again
	bad     int       // how often it failed to give what it claimed to have, less what it gave

	parent
	child
	hello // heartbeats to it

	fresh       uint64 // mask of the stripes that it is to be asked for
	pinged      time.Time
	ackAt       time.Time // not acknowledged before
	outstanding int       // chunks asked for
	answer      estimate
	received    uint64 // bytes
	sent        uint64
}

// hello is what a peer was told in heartbeats.
type hello struct {
	next    time.Time
	ping    time.Time
	version uint64    // of the paths
	paths   time.Time // they are not sent again before, unless to a child
	room    uint64    // mask of the stripes that it was told there is a place in
	seeks   uint64    // mask of those for which it asked for members
	sought  time.Time // when
	newsAt  time.Time // before which it is not told that there is room
	wanted  time.Time // when it sent us a heartbeat last: it takes us for a neighbour
}

// find returns the peer, which is added when it is new; nil when there is no room or it is this gateway.
func (s *Swarm) find(id ID) *peer {
	if p := s.peers[id]; p != nil {
		return p
	}
	if id == s.cfg.Self || id == "" || len(s.order) >= s.maxPeers() && !s.evict() {
		return nil
	}
	p := &peer{id: id, hop: id.Hop(), depth: -1, named: s.now, routes: make([]route, s.k)}
	s.peers[id] = p
	s.order = append(s.order, p)
	return p
}

// maxPeers is how many gateways may be known; the owner and trackers know all.
func (s *Swarm) maxPeers() int {
	if s.owner() || s.tracker {
		return maxRoster
	}
	return maxPeers
}

// evict forgets the peer of least use; it reports whether there was one.
func (s *Swarm) evict() bool {
	var worst *peer
	for _, p := range s.order {
		if p.keep || p.link != unlinked || p.id == s.cfg.Owner || s.now.Before(p.banned) {
			continue
		}
		if worst == nil || p.failures > worst.failures || p.failures == worst.failures && p.named.Before(worst.named) {
			worst = p
		}
	}
	if worst != nil {
		s.drop(worst)
	}
	return worst != nil
}

// drop forgets a peer without a link.
func (s *Swarm) drop(p *peer) {
	delete(s.peers, p.id)
	for i, q := range s.order {
		if q == p {
			s.order = append(s.order[:i], s.order[i+1:]...)
			break
		}
	}
	for i := range s.win.chunks {
		if s.win.chunks[i].asked == p {
			s.win.chunks[i].asked = nil
		}
	}
}

// learn takes in what somebody says of a member; told by itself it is more than a hint.
func (s *Swarm) learn(m *Member, self bool) *peer {
	p := s.find(m.ID)
	if p == nil {
		return nil
	}
	p.named = s.now
	if len(m.Addresses) > 0 && (self || len(p.addresses) == 0) {
		p.addresses = m.Addresses
		p.net = subnet(m.Addresses)
	}
	if self || !p.told {
		p.slots, p.spare, p.serves, p.depth = m.Slots, m.Spare, m.Stripes, m.Depth
		p.leaves, p.home = m.Leaves, m.Home
		p.told, p.joined = p.told || self, p.joined || self
	}
	if !self && p.far == 0 {
		p.far = m.RTT
	}
	return p
}

// member describes a peer to others.
func (p *peer) member() Member {
	return Member{
		ID: p.id, Addresses: p.addresses, Slots: p.slots, Spare: p.spare, Stripes: p.serves, Leaves: p.leaves, Home: p.home,
		Depth: p.depth, RTT: int(p.rtt.mean / time.Millisecond),
	}
}

// usable tells whether the peer can be spoken to now.
func (s *Swarm) usable(p *peer) bool { return p.link == linked && !s.now.Before(p.banned) }

// distance returns the round trip to the peer, or what is assumed of one that has not been measured.
func (p *peer) distance() time.Duration {
	switch {
	case p.rtt.set:
		return p.rtt.mean
	case p.local:
		return time.Millisecond
	}
	return unknownRTT
}

// subnet returns the /24 or /48 of the first address, by which members of one network are told from others; "" is
// unknown. Addresses are multiaddrs: "/ip4/192.0.2.1/tcp/8555".
func subnet(addresses []string) string {
	for _, a := range addresses {
		f := strings.SplitN(a, "/", 4)
		if len(f) < 3 {
			continue
		}
		switch f[1] {
		case "ip4":
			if i := strings.LastIndexByte(f[2], '.'); i > 0 {
				return f[2][:i]
			}
		case "ip6":
			if p := strings.SplitN(f[2], ":", 4); len(p) == 4 {
				return strings.Join(p[:3], ":")
			}
		}
	}
	return ""
}
