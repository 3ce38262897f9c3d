package swarm

import "time"

// introduce tells a child of our parent when it might rather have our place, or one beside us: it has clearly more upload
// than we, or forwards a stripe that our parent also gives to one with less. So those who give most come near the owner,
// wherever they began, and ways get shorter.
func (s *Swarm) introduce(p *peer) {
	if s.owner() || p.slots == 0 || s.now.Before(p.raiseAt) {
		return
	}
	p.raiseAt = s.now.Add(introduceEvery)
	for i := range s.stripes {
		bit := uint64(1) << i
		g := s.stripes[i].parent // the owner is known to all
		if s.counted(p)&bit == 0 || !p.contributes(bit) || g == nil || g == p || len(g.addresses) == 0 || g.id == s.cfg.Owner {
			continue
		}
		if p.slots >= outweighs*s.slots() || g.leaves&bit != 0 && outweighs*p.slots > s.slots() {
			m := g.member()
			m.Leaves |= bit
			s.send(p, Members{Self: s.self(p), Members: []Member{m}, Size: s.size, Givers: s.givers})
			return
		}
	}
}

// introduceEvery is how often a child is told of one who might be a better parent.
const introduceEvery = 4 * time.Second
