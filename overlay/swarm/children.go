package swarm

import "time"

// child is a peer's role towards us as the one who is pushed to.
type child struct {
	down     uint64   // mask of the stripes pushed to it
	backlog  []uint64 // chunks still to be pushed for it to catch up, in order; newer ones wait behind them
	paced    tokens
	flight   []flying  // pushed and not acknowledged, oldest first
	full     time.Time // since when its queue is too long; zero: it is not
	moving   uint64    // mask of the stripes that it was told to find elsewhere
	adopt    uint64    // mask of the stripes whose slots another takes, of which it is to be told
	adopter  *peer
	passes   bool          // least is set
	least    time.Duration // that a chunk took, by the difference of the clocks
	waits    time.Duration // how much longer the last one took
	passedAt time.Time     // when that was acknowledged
	moveBy   time.Time
	urges    int       // how often it was asked to look for another parent, since it last found one
	urgeAt   time.Time // before which it is not asked again
	raiseAt  time.Time // before which it is not told of our parent again
	held     *Attach   // asked for before there was a parent here
	heldBy   time.Time
}

// flying is a chunk on its way to a child.
type flying struct {
	seq  uint64
	size int
	at   time.Time
	out  time.Time // when the line has sent it, as far as is known
}

// maxFlight bounds what is remembered of a child that acknowledges nothing: 50 s of a 4 Mbit/s channel.
const maxFlight = 4096

// asked takes in that a peer wants to become a child.
func (s *Swarm) askedBy(p *peer, m *Attach) {
	s.learn(&m.Self, true)
	p.have = m.Have.clone()
	switch {
	case !s.leaving.IsZero():
		s.send(p, Refused{Reason: RefusedOrphan, Number: m.Number, Stripes: m.Stripes, Members: s.others(p, 8, m.Stripes)})
		return
	case m.Epoch != s.epoch:
		s.greet(p, false) // the older one fetches the descriptor of the newer
		s.send(p, Refused{Reason: RefusedOrphan, Number: m.Number, Stripes: m.Stripes})
		return
	case !s.owner() && s.alone() && p.depth < 0 && s.slots() > 0:
		p.held, p.heldBy = m, s.now.Add(attachHold)
		s.at(p.heldBy)
		return
	}
	s.grant(p, m)
}

// grant answers an Attach.
func (s *Swarm) grant(p *peer, m *Attach) {
	var refusals [RefusedCapacity + 1]uint64
	var granted uint64
	spare := m.Self.Spare
	for i := range s.stripes {
		bit := uint64(1) << i
		if m.Stripes&bit == 0 {
			continue
		}
		why := s.room(p, i, m)
		if why == RefusedFull && s.displace(p, i, spare) {
			why = 0
			spare--
		}
		if why == RefusedFull && s.outrank(p, i) {
			why = 0
		}
		if why == RefusedFull && m.Tries >= swapAfter && (s.swap(p, i) || s.depose(p, i)) {
			why = 0
		}
		if why != 0 {
			refusals[why] |= bit
			continue
		}
		if p.down&bit == 0 {
			s.used[i]++
		}
		if granted|p.down == 0 {
			s.line(p)
		}
		s.granted[i] = s.now
		p.moving &^= bit
		p.down |= bit
		s.filling = nil
		granted |= bit
	}
	if granted != 0 {
		s.line(p)
		from := s.first(p, m)
		s.send(p, Attached{
			Epoch: s.epoch, Number: m.Number, Stripes: granted, Head: s.win.end(), From: from, Paths: s.ways(s.all()),
		})
		p.hello.version = s.paths
		s.catchUp(p, granted, m, from)
		s.idle = time.Time{}
	}
	for why := RefusedUnknown; why <= RefusedCapacity; why++ {
		if mask := refusals[why]; mask != 0 {
			r := Refused{Reason: why, Number: m.Number, Stripes: mask, Members: s.instead(p, mask)}
			if why == RefusedFull && s.moves() > 0 {
				r.Retry = int(moveAgain / time.Millisecond)
			}
			if why == RefusedFull && s.owner() && s.short() && s.size >= smallSwarm {
				r.Reason = RefusedCapacity
			}
			s.send(p, r)
		}
	}
	s.adopted()
}

// room tells why a peer cannot have a stripe; 0 when it can.
func (s *Swarm) room(p *peer, i int, m *Attach) Reason {
	bit := uint64(1) << i
	if p.down&bit != 0 {
		return 0
	}
	if !s.owner() {
		st := &s.stripes[i]
		switch {
		case s.onPath(i, p.hop):
			return RefusedLoop
		case st.parent == nil || !s.rooted(i):
			return RefusedOrphan
		case s.depth(i) >= MaxHops:
			return RefusedFull
		}
	}
	if p.local && s.slots() > 0 {
		return 0 // the site's own network
	}
	reserve := s.reserve() + s.debt()
	if m.Resume {
		reserve = 0
	}
	if s.total()+reserve < s.slots() && s.offers(p, i, m.Tries, !m.Resume) || s.heir(p, i) {
		return 0
	}
	return RefusedFull
}

// line puts a child in the order in which chunks go out: those that contribute first.
func (s *Swarm) line(p *peer) {
	s.unline(p)
	i := len(s.kids)
	if p.slots > 0 {
		for i = 0; i < len(s.kids) && s.kids[i].slots > 0; i++ {
		}
	}
	s.kids = append(s.kids, nil)
	copy(s.kids[i+1:], s.kids[i:])
	s.kids[i] = p
}

func (s *Swarm) unline(p *peer) {
	for i, q := range s.kids {
		if q == p {
			s.kids = append(s.kids[:i], s.kids[i+1:]...)
			return
		}
	}
}

// dismiss ends the serving of stripes to a peer.
func (s *Swarm) dismiss(p *peer, mask uint64) {
	p.held, s.filling = nil, nil
	for i := range s.stripes {
		if p.down&mask&(1<<i) != 0 {
			s.used[i]--
		}
	}
	if p.down == 0 {
		return
	}
	if p.down &^= mask; p.down == 0 {
		s.unline(p)
		p.child = child{}
		if p.link == linked {
			s.do(Shut{p.id, false})
		}
		if len(s.kids) == 0 {
			s.idle = s.now
			s.due = s.now
		}
	}
}

// forward pushes a chunk that has come to the children of its stripe.
func (s *Swarm) forward(seq uint64, c *chunkState) {
	bit := uint64(1) << (seq % uint64(s.k))
	for _, p := range s.kids {
		switch {
		case p.down&bit == 0 || p.have.holds(seq) || p.moving&bit != 0 && s.tight():
		case len(p.backlog) > 0:
			p.backlog = append(p.backlog, seq)
			s.drain(p)
		default:
			s.push(p, seq, c)
		}
	}
}

// landed forgets what was pushed so long ago that it has come or never will: a child that was between two parents does
// not acknowledge it.
func (p *peer) landed(now time.Time) {
	for len(p.flight) > 0 && now.Sub(p.flight[0].at) > flightFor {
		p.flight = p.flight[1:]
	}
}

// flightFor is how long a chunk counts as on its way: the deadline of a push, and as much for the way itself.
const flightFor = 3 * time.Second

// push sends a chunk to a child unless its queue is too long.
func (s *Swarm) push(p *peer, seq uint64, c *chunkState) {
	p.landed(s.now)
	if q := p.queue(s.now); q > pushDeadline || q > pushDeadline/2 && !c.vital {
		s.stats.Dropped++
		return
	}
	if len(p.flight) >= maxFlight {
		p.flight = p.flight[1:]
	}
	p.have.add(seq)
	p.sent += uint64(c.size)
	s.stats.Pushed++
	s.sends(p, c.size)
	p.flight = append(p.flight, flying{seq, c.size, s.now, later(s.now, s.lineBusy)})
	s.do(Push{p.id, s.epoch, seq, s.now.Add(pushDeadline)})
}

// queue returns how long chunks to the child wait on their way.
func (p *peer) queue(now time.Time) time.Duration {
	if len(p.flight) == 0 {
		return 0
	}
	q := p.waits
	if age := now.Sub(p.flight[0].at) - p.distance(); age > stalled {
		q = max(q, age) // nothing comes back at all
	}
	return q
}

// stalled is the age of what is not acknowledged from which on this says that it waits. Less may be due to a queue on
// the way back, which is the child's own uplink.
const stalled = 1500 * time.Millisecond

// acked takes in what a child has received. A push stream keeps the order, so that all before it has come too.
func (s *Swarm) acked(p *peer, m *Ack) {
	if m.Epoch != s.epoch {
		return
	}
	last := -1
	for _, seq := range m.Seqs {
		for i := len(p.flight) - 1; i > last; i-- {
			if p.flight[i].seq == seq {
				last = i
			}
		}
	}
	for i := 0; i <= last; i++ {
		if p.flight[i].seq == m.Last {
			p.passed(time.UnixMicro(int64(m.Stamp)).Sub(p.flight[i].at))
			p.passedAt = s.now
		}
	}
	p.flight = p.flight[last+1:]
}

// passed takes in how long a chunk took, by two clocks: what that exceeds the least is waiting.
func (p *peer) passed(d time.Duration) {
	if !p.passes || d < p.least {
		p.passes, p.least = true, d
	}
	p.least += (d - p.least) / leastGrows // clocks drift, and ways change
	p.waits = d - p.least
}

// leastGrows is in how many acknowledgements the least is forgotten: some minutes.
const leastGrows = 4096

// wrote takes in the result of a Push or a Give.
func (s *Swarm) wrote(ev Wrote) {
	p := s.peers[ev.To]
	if p == nil || !ev.Dropped || ev.Epoch != s.epoch {
		return
	}
	s.stats.Dropped++
	for i := range p.flight {
		if p.flight[i].seq == ev.Seq {
			p.flight = append(p.flight[:i], p.flight[i+1:]...)
			return
		}
	}
}

// children looks after all children: what they wait for, and whether they keep up.
func (s *Swarm) children() {
	s.orphaned()
	for _, p := range s.linked {
		if p.held == nil {
			continue
		}
		m := p.held
		switch {
		case s.owner() || !s.alone():
			p.held = nil
			s.grant(p, m)
		case !s.now.Before(p.heldBy):
			p.held = nil
			s.send(p, Refused{Reason: RefusedOrphan, Number: m.Number, Stripes: m.Stripes, Members: s.others(p, 8, m.Stripes)})
		default:
			s.at(p.heldBy)
		}
	}
	for i := 0; i < len(s.kids); i++ {
		p := s.kids[i]
		if len(p.backlog) > 0 {
			s.drain(p)
		}
		if s.now.Sub(p.heard) > childSilence {
			s.dismiss(p, p.down)
			i--
			continue
		}
		s.congestion(p)
		s.introduce(p)
		if p.moving != 0 {
			if s.at(p.moveBy); !s.now.Before(p.moveBy) {
				left := p.moving & p.down
				p.moving, s.filling = 0, nil
				if s.dismiss(p, left); p.down == 0 {
					i--
				}
			}
		}
	}
}

// congestion sheds a stripe of a child whose queue stays too long.
func (s *Swarm) congestion(p *peer) {
	if p.waits <= maxQueue || s.now.Sub(p.passedAt) > shedAfter || s.doubtful(p) {
		p.full = time.Time{}
		if len(p.flight) > 0 {
			s.at(s.now.Add(ackEvery))
		}
		return
	}
	if p.full.IsZero() || s.now.Sub(s.moved) < settleAfter || s.catchingUp() { // that overloads for a moment
		p.full = s.now
	}
	if s.now.Sub(p.full) < shedAfter || p.moving != 0 || p.local {
		s.at(p.full.Add(shedAfter))
		return
	}
	p.full = s.now
	i := s.expendable(p)
	if i < 0 {
		return
	}
	s.shed(p, 1<<i)
	s.moved = s.now
	s.stats.Shed++
	s.capped = max(1, s.total())
	if s.owner() {
		s.capped = max(s.capped, s.k) // with less it cannot be the owner
	}
	s.uncap = s.now.Add(uncapEvery)
}

// catchingUp tells whether a child is being sent what was before.
func (s *Swarm) catchingUp() bool {
	for _, p := range s.kids {
		if len(p.backlog) > 0 {
			return true
		}
	}
	return false
}

// expendable returns which of a child's stripes to shed: one that it does not forward, if possible; never one that the
// owner would then give to nobody.
func (s *Swarm) expendable(p *peer) int {
	best := -1
	for i := range s.stripes {
		bit := uint64(1) << i
		if p.down&^p.moving&bit == 0 || s.owner() && s.filled(i) < 2 && s.size >= smallSwarm {
			continue
		}
		if best < 0 || p.home&bit == 0 {
			best = i
		}
	}
	return best
}

// shed tells a child to find other parents for stripes.
func (s *Swarm) shed(p *peer, mask uint64) {
	p.moving |= mask
	s.filling = nil
	p.moveBy = s.now.Add(shedNotice)
	s.at(p.moveBy)
	s.send(p, Detach{Stripes: mask, After: int(shedNotice / time.Millisecond), Members: s.others(p, 8, mask)})
}
