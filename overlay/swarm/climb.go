package swarm

import (
	"math/bits"
	"time"
)

// Trees are wide and shallow when those who forward a stripe are near its top. Members come in any order, so that they
// have to move up: the owner appoints whom it serves, and each parent names its own parent to its children.

const (
	appointEvery = rootsApart
	appointAgain = 3 * time.Second // the same member
	ladderEvery  = 2 * time.Second // a parent is named to a child
)

// appoint tells, at the owner, a contributor of a stripe that there is a place for it, when the stripe's only child does
// not forward it to many.
func (s *Swarm) appoint() {
	if !s.owner() || s.size < fewMembers || s.slots() < s.k {
		return
	}
	if s.now.Before(s.appointAt) {
		s.at(s.appointAt)
		return
	}
	s.appointAt = s.now.Add(appointEvery)
	s.at(s.appointAt)
	if s.busy() {
		return
	}
	for i := range s.stripes {
		if s.leaf(i) == nil && s.filled(i) > 0 {
			continue
		}
		if p := s.candidate(i); p != nil {
			p.appointedAt = s.now
			s.greet(p, false)
			return
		}
	}
}

// invites tells whether a peer may take a leaf's place: at the owner of many only those that it has appointed.
func (s *Swarm) invites(p *peer) bool {
	return !s.owner() || s.size < fewMembers || p != nil && s.now.Sub(p.appointedAt) < appointAgain
}

// candidate returns the member that forwards a stripe to most, of those that have a place in it elsewhere.
func (s *Swarm) candidate(i int) *peer {
	var best *peer
	most := 0
	for _, p := range s.linked {
		if p.down&(1<<i) != 0 || p.leaving || !s.root(p, i) || !s.now.After(p.appointedAt.Add(appointAgain)) {
			continue
		}
		if w := p.slots / max(1, bits.OnesCount64(p.home)); w > most {
			best, most = p, w
		}
	}
	return best
}

// ladder names the own parent of a stripe to the children that forward it, when they could have a place there.
func (s *Swarm) ladder() {
	if s.owner() || s.size < fewMembers {
		return
	}
	for _, p := range s.kids {
		if s.now.Before(p.ladderAt) {
			s.at(p.ladderAt)
			continue
		}
		for i := range s.stripes {
			up := s.stripes[i].parent
			if p.down&(1<<i) != 0 && p.contributes(1<<i) && up != nil && up != p && up.id != s.cfg.Owner && (up.serves|up.leaves)&(1<<i) != 0 {
				p.ladderAt = s.now.Add(ladderEvery)
				s.send(p, Members{Self: s.self(p), Members: []Member{up.member()}, Size: s.size, Givers: s.givers})
				break
			}
		}
	}
}

// climb takes in whom a parent has for a parent.
func (s *Swarm) climb(p *peer, m *Members) {
	if stripes := p.up & s.homes(); stripes != 0 && len(m.Members) == 1 && s.state == Joined {
		s.recommended(m.Members, stripes&(m.Members[0].Stripes|m.Members[0].Leaves))
	}
}
