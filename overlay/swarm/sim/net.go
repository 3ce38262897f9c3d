package sim

import (
	"math"
	"time"

	"peergate/overlay/swarm"
)

// distance returns how long a bit travels from one node to another.
func (s *Sim) distance(a, b *node) time.Duration {
	if s.cfg.Sites > 1 && a.site == b.site {
		return 200 * time.Microsecond
	}
	d := math.Hypot(a.x-b.x, a.y-b.y) / math.Sqrt2
	return s.cfg.Near + time.Duration(d*float64(s.cfg.Far-s.cfg.Near))
}

func (s *Sim) local(a, b *node) bool { return s.cfg.Sites > 1 && a.site == b.site }

// connect dials.
func (s *Sim) connect(a, b *node) {
	rtt := 2 * s.distance(a, b)
	if l := a.links[b]; l != nil {
		l.wanted = true
		s.push(event{at: s.now, node: a, ev: swarm.LinkUp{Peer: b.id, RTT: rtt, Local: s.local(a, b)}})
		return
	}
	up := s.now + time.Duration(s.cfg.Handshakes*float64(rtt))
	if b.natted && !s.local(a, b) || b.gone {
		s.push(event{at: s.now + 3*time.Second, node: a, ev: swarm.LinkDown{Peer: b.id}})
		return
	}
	s.at(up, func() {
		switch {
		case a.gone:
		case b.gone:
			a.handle(swarm.LinkDown{Peer: b.id})
		default:
			if a.links[b] == nil {
				a.links[b], b.links[a] = &link{}, &link{}
				s.push(event{at: s.now + rtt/2, node: b, ev: swarm.LinkUp{Peer: a.id, RTT: rtt, Local: s.local(a, b)}})
			}
			a.links[b].wanted = true
			a.handle(swarm.LinkUp{Peer: b.id, RTT: rtt, Local: s.local(a, b)})
		}
	})
}

// disconnect closes a link that no end wants.
func (s *Sim) disconnect(a, b *node) {
	l := a.links[b]
	if l == nil {
		return
	}
	l.wanted = false
	if r := b.links[a]; r != nil && r.wanted {
		return
	}
	delete(a.links, b)
	s.drop(b, a, s.distance(a, b))
	s.push(event{at: s.now, node: a, ev: swarm.LinkDown{Peer: b.id}})
}

// drop tells a node, after a while, that the link to a peer is no more.
func (s *Sim) drop(n, peer *node, after time.Duration) {
	l := n.links[peer]
	if l == nil {
		return
	}
	s.at(s.now+after, func() {
		if n.links[peer] == l {
			delete(n.links, peer)
			n.handle(swarm.LinkDown{Peer: peer.id})
		}
	})
}

// shut closes a push stream; the other end is told.
func (s *Sim) shut(n, peer *node, parent bool) {
	l := n.links[peer]
	if l == nil {
		return
	}
	if parent {
		l.push = false
		return // the Detach says it too
	}
	s.at(s.now+s.distance(n, peer), func() {
		if r := peer.links[n]; r != nil && r.push {
			r.push = false
			peer.handle(swarm.Broken{Peer: n.id, Parent: true})
		}
	})
}

// wire is bytes on the wire for one of a chunk: measured with TCP, TLS and libp2p's multiplexer.
const wire = 1.065

// timeout is when TCP sends again what was lost at the end of a burst: Linux waits so long at least beyond a round trip.
const timeout = 200 * time.Millisecond

// transmit returns when n bytes that are sent now have left, and have arrived, given what arrives before them.
func (s *Sim) transmit(from, to *node, n int, before *time.Duration) time.Duration {
	begin := max(s.now, from.busy)
	full := s.cfg.Queue > 0 && begin-s.now > s.cfg.Queue && !s.local(from, to)
	if !s.local(from, to) {
		from.busy = begin + time.Duration(float64(n)*wire/from.upload*float64(time.Second))
		begin = from.busy
	}
	d := s.distance(from, to)
	at := begin + d
	for range (n + segment - 1) / segment {
		for s.cfg.Loss > 0 && s.rng.Float64() < s.cfg.Loss {
			at = max(at, begin+d) + 2*d + 10*time.Millisecond
		}
	}
	if full {
		at += 2*d + timeout
	}
	at = max(at, *before)
	*before = at
	return at
}

// send sends a message.
func (s *Sim) send(n, to *node, m swarm.Message) {
	l := n.links[to]
	if l == nil {
		return
	}
	if n.liar {
		m = lie(m, uint64(len(s.chunks)))
	}
	size := len(swarm.Append(nil, swarm.Channel{}, m)) - 34 + 6 // a stream knows its channel by a short number
	if s.now >= s.from && s.now < s.to {
		n.stats.control += int64(size)
	}
	before := &l.control
	if _, ok := m.(swarm.Ack); ok {
		before = &l.media
	}
	at := s.transmit(n, to, size, before)
	if to.gone {
		return
	}
	s.push(event{at: at, node: to, ev: swarm.Received{From: n.id, Message: m}})
}

// lie lets a member claim to hold everything.
func lie(m swarm.Message, end uint64) swarm.Message {
	if h, ok := m.(swarm.Heartbeat); ok && end > 300 {
		h.Have = swarm.Have{Base: end, Full: 300}
		return h
	}
	return m
}

// chunk sends a chunk.
func (s *Sim) chunk(n, to *node, epoch, seq uint64, until time.Time, repair bool) {
	l := n.links[to]
	if l == nil || start.Add(max(s.now, n.busy)).After(until) && !s.local(n, to) {
		s.push(event{at: s.now, node: n, ev: swarm.Wrote{To: to.id, Epoch: epoch, Seq: seq, Dropped: true}})
		return
	}
	if epoch != s.epoch || seq >= uint64(len(s.chunks)) {
		return
	}
	c := &s.chunks[seq]
	if s.now >= s.from && s.now < s.to {
		n.stats.sent += int64(c.size)
	}
	before := &l.media
	if repair {
		before = &l.repair
	}
	at := s.transmit(n, to, c.size, before)
	if to.gone || !repair && s.rng.Float64() < s.cfg.Drop {
		return
	}
	ev := swarm.Arrived{
		From: n.id, Epoch: epoch, Seq: seq, Size: c.size, Key: c.key, Vital: c.vital, Wall: c.wall, Repair: repair,
	}
	if n.liar && s.rng.IntN(4) == 0 { // the signature is wrong
		s.at(at, func() { s.ban(to, n) })
		return
	}
	s.push(event{at: at, node: to, ev: ev})
}

// ban ends the link to a liar.
func (s *Sim) ban(n, liar *node) {
	s.result.Bans++
	if n.links[liar] == nil {
		return
	}
	delete(n.links, liar)
	n.handle(swarm.LinkDown{Peer: liar.id, Ban: 10 * time.Minute})
	s.drop(liar, n, s.distance(n, liar))
}

// fetch brings the descriptor, from a node that has it.
func (s *Sim) fetch(n, from *node) {
	rtt := 2 * s.distance(n, from)
	s.at(s.now+rtt, func() {
		if !n.gone && !from.gone && n.epoch < from.epoch {
			n.epoch = from.epoch
			n.handle(swarm.Described{Epoch: n.epoch, Stripes: s.cfg.Stripes, Rate: s.cfg.Rate})
		}
	})
}
