package swarm

import "time"

// relieve asks, at the owner, children that it serves beyond what it must to have stripes from members. Who finds none
// stays: upload that the owner has is better used than missed, and not every member can be reached by every other. Only what
// its upload does not carry it takes away.
func (s *Swarm) relieve() {
	if s.size < smallSwarm || s.short() || s.now.Sub(s.moved) < rootsApart {
		return
	}
	var most *peer
	var mask uint64
	for i := range s.stripes {
		if s.filled(i) <= s.sources() {
			continue
		}
		if p := s.dispensable(i); p != nil && (most == nil || most == p) {
			most, mask = p, mask|1<<i
		}
	}
	switch {
	case most == nil:
	case s.total() > s.slots():
		s.moved = s.now
		s.shed(most, mask)
	default:
		s.urge(most, mask, nil)
	}
}

// dispensable returns the child whom the owner would rather not serve a stripe: the last in line that does not forward
// it, or else the last.
func (s *Swarm) dispensable(i int) (last *peer) {
	for j := len(s.kids) - 1; j >= 0; j-- {
		p := s.kids[j]
		if s.counted(p)&(1<<i) == 0 || p.local || s.now.Before(p.urgeAt) && s.total() <= s.slots() {
			continue
		}
		if !p.contributes(1<<i) || !s.root(p, i) {
			return p
		}
		if last == nil {
			last = p
		}
	}
	return last
}

// urge asks a child to look for another parent, of whom one is to have its place if given. The more often it has found
// none, the later it is asked again.
func (s *Swarm) urge(p *peer, mask uint64, to *peer) {
	s.moved = s.now
	p.urgeAt = s.now.Add(urgeAgain << min(p.urges, mostUrges))
	p.urges++
	var ms []Member
	if to != nil {
		ms = append(ms, to.member())
	}
	s.send(p, Detach{Stripes: mask, Asks: true, Members: append(ms, s.others(p, 8-len(ms), mask)...)})
}

const (
	urgedFor  = 5 * time.Second // a child looks for another parent
	urgeAgain = 10 * time.Second
	mostUrges = 6 // doublings of it
)

// urgedBy takes in that a parent would rather not serve stripes any longer.
func (s *Swarm) urgedBy(p *peer, m *Detach) {
	s.recommended(p, m.Members, m.Stripes&p.up)
	for i := range s.stripes {
		if st := &s.stripes[i]; m.Stripes&(1<<i) != 0 && st.parent == p {
			st.urged = s.now.Add(urgedFor)
		}
	}
	s.due = s.now
}

// vacant takes in for which stripes the owner has room. One of them that has not come when it should have may be without the
// member to whom the owner gave it: it is asked for there at once.
func (s *Swarm) vacant(mask uint64) {
	for i := range s.stripes {
		st := &s.stripes[i]
		if mask&(1<<i) == 0 || st.parent == nil || st.parent.id == s.cfg.Owner {
			continue
		}
		if s.now.Sub(later(st.last, st.since)) > st.every*3/2 {
			st.urged, s.due = s.now.Add(urgedFor), s.now
		}
	}
}

// drift has another parent looked for when the present one has had no way to the owner for a while, though it passes on what
// it gets from others.
func (s *Swarm) drift(i int) {
	st := &s.stripes[i]
	if s.rooted(i) {
		st.adrift = time.Time{}
		return
	}
	if st.adrift.IsZero() {
		st.adrift = s.now
	}
	if at := st.adrift.Add(orphanGrace); s.now.Before(at) {
		s.at(at)
	} else {
		st.urged = s.now.Add(urgedFor)
	}
}

// relief returns a peer that could bring a stripe whose parent would rather not.
func (s *Swarm) relief(i int) *peer {
	st := &s.stripes[i]
	if !s.now.Before(st.urged) {
		return nil
	}
	if p := s.choose(i, st.parent); p != nil && p.routes[i].rooted {
		return p
	}
	return nil
}
