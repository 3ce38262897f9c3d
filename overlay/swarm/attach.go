package swarm

import (
	"slices"
	"time"
)

// attach asks a peer for stripes.
func (s *Swarm) attach(p *peer, mask uint64) {
	if !p.open {
		p.open = true
		s.do(Open{p.id})
	}
	p.asked |= mask
	s.number++
	tries, lacks := 0, false
	patience := p.distance() + 4*p.rtt.dev + attachAnswer
	if p.depth < 0 {
		patience += attachHold
	}
	for i := range s.stripes {
		if mask&(1<<i) != 0 {
			st := &s.stripes[i]
			st.heir, st.number, st.answer = p, s.number, s.now.Add(patience)
			tries = max(tries, st.tries)
			lacks = lacks || st.parent == nil || st.dead
		}
	}
	s.at(s.now.Add(patience))
	if p.id == s.cfg.Owner && s.begun && lacks {
		tries = max(tries, swapAfter) // it is the last resort: a complaint
	}
	m := Attach{Epoch: s.epoch, Stripes: mask, Resume: s.begun, Tries: tries, Number: s.number, Self: s.self(p)}
	if s.begun {
		m.Have = s.win.have(s.next)
	} else {
		m.Have = s.win.have(s.win.low)
	}
	s.send(p, m)
}

// attached takes in that a peer serves stripes.
func (s *Swarm) attached(p *peer, m *Attached) {
	if m.Epoch != s.epoch || !s.leaving.IsZero() {
		s.detach(p, m.Stripes)
		return
	}
	s.routes(p, m.Paths)
	var swapped []*peer // whose place we may have taken: they can have the stripe from here now
	for i := range s.stripes {
		bit := uint64(1) << i
		if m.Stripes&bit == 0 {
			continue
		}
		st := &s.stripes[i]
		if (st.heir != p || st.number != m.Number) && (st.parent != nil || !p.open) { // too late
			if st.parent != p {
				s.detach(p, bit)
			}
			continue
		}
		old := st.parent
		if st.heir != nil && st.heir != p {
			st.heir.asked &^= bit
			s.detach(st.heir, bit)
		}
		st.heir, st.tries, st.parent, st.since, st.last = nil, 0, p, s.now, s.now
		st.urged, st.adrift = time.Time{}, time.Time{}
		st.top, st.live, st.behind, st.ends, st.dead = 0, max(m.Head, s.win.end()), time.Time{}, time.Time{}, false
		st.from = min(m.From, m.Head)
		st.seen, st.got, st.judged, st.usual = 0, 0, s.now, average{}
		p.up |= bit
		p.asked &^= bit
		p.refused &^= bit
		if old != nil && old != p {
			s.stats.Switches++
			old.up &^= bit
			s.detach(old, bit)
		}
		s.rerouted(i)
		if old != nil && len(old.routes[i].hops) > 0 && old.routes[i].hops[0] == p.hop {
			swapped = append(swapped, old)
		}
		if s.onPath(i, s.hop) {
			s.detach(p, bit)
			s.orphan(i)
			s.refuse(p, bit, refusedFor)
		}
	}
	for _, old := range swapped {
		old.hello.paths = time.Time{}
		s.beat(old, false, 0, false)
	}
	s.settle(p)
	s.due = s.now
}

// refused takes in that a peer does not serve stripes.
func (s *Swarm) refusedBy(p *peer, m *Refused) {
	s.hints(m.Members)
	if m.Stripes == 0 {
		if m.Reason == RefusedUnknown || m.Reason == RefusedNotAllowed {
			p.told, p.depth = false, -1
			s.because(m.Reason)
			s.refuse(p, ^uint64(0), findIdle)
		}
		return
	}
	m.Stripes = s.current(p, m)
	if m.Stripes == 0 {
		return
	}
	s.because(m.Reason)
	wait := refusedFor
	switch {
	case (m.Reason == RefusedLoop || m.Reason == RefusedOrphan) && s.stops(m.Stripes):
		wait = moveAgain // it may be about to take our place
	case m.Retry > 0:
		wait = min(time.Duration(m.Retry)*time.Millisecond, time.Minute)
	}
	s.refuse(p, m.Stripes, wait)
	if m.Retry == 0 {
		p.serves &^= m.Stripes // until it says otherwise
		p.leaves &^= m.Stripes
	}
	s.settle(p)
}

// stops tells whether the parent of one of the stripes has said that it is about to stop.
func (s *Swarm) stops(mask uint64) bool {
	for i := range s.stripes {
		if mask&(1<<i) != 0 && !s.stripes[i].ends.IsZero() {
			return true
		}
	}
	return false
}

// current returns the mask of the stripes for which a refusal answers the last Attach.
func (s *Swarm) current(p *peer, m *Refused) (mask uint64) {
	for i := range s.stripes {
		if st := &s.stripes[i]; st.heir == p && st.number == m.Number {
			mask |= 1 << i
		}
	}
	return mask & m.Stripes
}

// because notes why a peer has refused; that upload lacks says more than the rest.
func (s *Swarm) because(why Reason) {
	if s.why != RefusedCapacity && (s.why != RefusedFull || why == RefusedCapacity) {
		s.why = why
	}
}

// refuse notes that a peer is not to be asked for stripes for a while.
func (s *Swarm) refuse(p *peer, mask uint64, wait time.Duration) {
	p.refused |= mask
	p.until = s.now.Add(wait + time.Duration(s.rng.Int64N(int64(wait)/2+1)))
	p.asked &^= mask
	for i := range s.stripes {
		if st := &s.stripes[i]; mask&(1<<i) != 0 && st.heir == p {
			st.heir = nil
			st.tries++
		}
	}
	s.due = s.now
}

// detach tells a parent that stripes are wanted no more.
func (s *Swarm) detach(p *peer, mask uint64) {
	if p.link == linked {
		s.send(p, Detach{Stripes: mask})
	}
	s.settle(p)
}

// settle closes the push stream of a peer that is no parent and not asked.
func (s *Swarm) settle(p *peer) {
	if p.open && p.up|p.asked == 0 {
		p.open, p.unacked = false, 0
		if p.link == linked {
			s.do(Shut{p.id, true})
		}
	}
}

// orphan takes the parent of a stripe away.
func (s *Swarm) orphan(i int) {
	st := &s.stripes[i]
	if st.parent == nil {
		return
	}
	st.parent.up &^= 1 << i
	p := st.parent
	if st.ends.IsZero() && !st.dead {
		s.bereaved(p, i)
	}
	st.parent, st.ends, st.behind, st.urged, st.dead = nil, time.Time{}, time.Time{}, time.Time{}, false
	s.rerouted(i)
	s.settle(p)
	s.due = s.now
}

// abandon takes a peer out of all its roles as a parent.
func (s *Swarm) abandon(p *peer) {
	for i := range s.stripes {
		if s.stripes[i].parent == p {
			s.orphan(i)
		}
		if s.stripes[i].heir == p {
			s.stripes[i].heir = nil
		}
	}
	p.up, p.asked = 0, 0
	s.settle(p)
	s.due = s.now
}

// broken takes in that a push stream has ended.
func (s *Swarm) broken(ev Broken) {
	p := s.peers[ev.Peer]
	switch {
	case p == nil:
	case ev.Parent:
		p.open = false
		s.abandon(p)
		s.refuse(p, ^uint64(0), refusedFor/2)
	case p.down != 0:
		if p.link == linked {
			s.send(p, Detach{Stripes: p.down}) // so that it attaches anew
		}
		s.dismiss(p, p.down)
	}
}

// detached takes in that a relation has ended or will, from the other side.
func (s *Swarm) detached(p *peer, m *Detach) {
	if m.Asks {
		s.urgedBy(p, m)
		return
	}
	mine := m.Stripes & (p.up | p.asked)
	if mine&p.up != 0 {
		s.recommended(p, m.Members, mine&p.up)
	}
	s.hints(m.Members)
	if m.Stripes&p.down != 0 {
		p.urges = 0
	}
	s.dismiss(p, m.Stripes&p.down)
	s.stopping(p, m.Stripes&p.up, time.Duration(m.After)*time.Millisecond)
	if mine != 0 { // a child that leaves may well be a parent
		s.refuse(p, mine, 2*refusedFor)
	}
}

// recommended takes in members that a parent which stops names: the first one has its slots.
func (s *Swarm) recommended(from *peer, ms []Member, stripes uint64) {
	for i := range ms {
		p := s.learn(&ms[i], false)
		if p == nil {
			continue
		}
		p.joined = true
		if i == 0 {
			s.follows(p, from, stripes)
		}
		if p.up|p.down|p.asked != 0 {
			continue
		}
		if !p.told {
			p.told, p.serves = true, p.serves|stripes
		}
		if i == 0 {
			p.urgent, p.again, p.refused = true, time.Time{}, p.refused&^stripes
			p.serves |= stripes
			p.depth = max(p.depth, 0)
			s.relink()
		}
	}
}

// follows notes that a peer, who may have had stripes through us until now, has them from our parent.
func (s *Swarm) follows(p, parent *peer, stripes uint64) {
	for i := range s.stripes {
		r := &p.routes[i]
		if stripes&(1<<i) == 0 || r.rooted && !slices.Contains(r.hops, s.hop) {
			continue
		}
		from := &parent.routes[i]
		*r = route{rooted: true, hops: append([]uint64{parent.hop}, from.hops...), delay: from.delay + p.distance()/2}
		p.refused &^= 1 << i
		p.serves |= 1 << i
	}
}

// stopping notes that a parent is going to stop pushing stripes.
func (s *Swarm) stopping(p *peer, mask uint64, after time.Duration) {
	for i := range s.stripes {
		if mask&(1<<i) == 0 || s.stripes[i].parent != p {
			continue
		}
		if s.stripes[i].ends = s.now.Add(min(after, attachHold)); after <= 0 {
			s.orphan(i)
		}
	}
	s.due = s.now
}
