package swarm

import (
	"math/bits"
	"time"
)

// entry is what the owner knows of a member by its reports.
type entry struct {
	slots int
	lacks int // stripes without a parent
	home  uint64
	at    time.Time
}

const (
	reportEvery       = 5 * time.Second
	reportSlots       = 20 // reports a second are what the owner wants at most
	rosterFor         = 3  // intervals after which a silent member is forgotten
	homesFrom         = 24 // contributors: three for each of eight stripes; with fewer each forwards all stripes
	homeAfter         = 2 * time.Second
	shortSupply       = 1.15 // slots over what members need, under which the owner gives more than it must
	surveyEvery       = time.Second
	maxRoster         = 1 << 16
	unlimitedChildren = 32 // of a member whose upload has no limit
)

// report tells the owner of this member.
func (s *Swarm) report() {
	p := s.peers[s.cfg.Owner]
	if s.owner() || p == nil || p.link != linked {
		return
	}
	at := s.reportedAt.Add(s.reportEvery)
	if s.state != Joined && s.reportEvery > 0 {
		at = s.reportedAt.Add(min(s.reportEvery, reportEvery))
	}
	if s.now.Before(at) {
		s.at(at)
		return
	}
	s.reportedAt = s.now
	if s.reportEvery == 0 {
		s.reportEvery = reportEvery
	}
	s.at(s.now.Add(s.reportEvery))
	s.send(p, Report{Self: s.self(p), Used: s.total(), Lacks: s.lacks()})
}

// reported takes in, at the owner, what a member tells of itself, and answers with its plan.
func (s *Swarm) reported(p *peer, m *Report) {
	if !s.owner() {
		return
	}
	s.learn(&m.Self, true)
	if m.Leaves {
		delete(s.roster, p.id)
		return
	}
	e := s.roster[p.id]
	if e == nil {
		if len(s.roster) >= maxRoster {
			return
		}
		e = &entry{}
		s.roster[p.id] = e
		s.survey(true)
	}
	e.slots, e.lacks, e.at = m.Self.Slots, bits.OnesCount64(m.Lacks), s.now
	if e.slots > 0 {
		e.home = s.assign(e, m.Self.Home)
	} else {
		e.home = 0
	}
	p.home = e.home
	if s.givers < homesFrom {
		p.home = s.all()
	}
	s.send(p, Plan{Every: int(s.interval() / time.Millisecond), Size: s.size, Givers: s.givers, Stripes: e.home})
}

// interval is how often a member is to report.
func (s *Swarm) interval() time.Duration {
	return max(reportEvery, time.Duration(s.size)*time.Second/reportSlots)
}

// assign chooses the home stripes of a contributor: the least provided ones, unless it has some already.
func (s *Swarm) assign(e *entry, home uint64) uint64 {
	n := min(s.k, max(1, (e.slots+childrenPerStripe-1)/childrenPerStripe))
	if bits.OnesCount64(e.home) == n {
		return e.home
	}
	if bits.OnesCount64(home&s.all()) == n && e.home == 0 && s.givers > homesFrom {
		return home & s.all()
	}
	var mask uint64
	for range n {
		best := -1
		for i := range s.supply {
			if mask&(1<<i) == 0 && (best < 0 || s.supply[i] < s.supply[best]) {
				best = i
			}
		}
		mask |= 1 << best
		s.supply[best] += float64(e.slots) / float64(n)
	}
	return mask
}

// survey counts the swarm, at the owner.
func (s *Swarm) survey(now bool) {
	if !s.owner() {
		return
	}
	if at := s.surveyed.Add(surveyEvery); !now && s.now.Before(at) {
		s.at(at)
		return
	}
	s.surveyed = s.now
	s.at(s.now.Add(surveyEvery))
	old := s.now.Add(-rosterFor * s.interval())
	s.supply = make([]float64, s.k)
	s.size, s.givers, s.offered = 1, 0, s.slots()
	for id, e := range s.roster { // sums alone: the order does not matter
		if e.at.Before(old) && !e.at.IsZero() {
			delete(s.roster, id)
			continue
		}
		s.size++
		if e.slots == 0 {
			continue
		}
		s.givers++
		s.offered += e.slots
		for i := range s.supply {
			if e.home&(1<<i) != 0 {
				s.supply[i] += float64(e.slots / bits.OnesCount64(e.home))
			}
		}
	}
	s.relieve()
}

// short tells, at the owner, whether the members' slots hardly suffice.
func (s *Swarm) short() bool {
	return float64(s.offered) < shortSupply*float64(s.k*(s.size-1))
}

// provided tells, at the owner, whether a stripe has contributors.
func (s *Swarm) provided(i int) bool {
	if s.givers < homesFrom {
		return s.givers > 0
	}
	return s.supply[i] > 0
}

// relieve moves children that the owner serves beyond what it must to members, one stripe of each at a time.
func (s *Swarm) relieve() {
	if s.size < smallSwarm || s.short() {
		return
	}
	for i := range s.stripes {
		if s.filled(i) <= s.sources() {
			continue
		}
		if p := s.leaf(i); p != nil && p.moving == 0 {
			s.shed(p, 1<<i)
		}
	}
}

// planned takes in the owner's plan.
func (s *Swarm) planned(p *peer, m *Plan) {
	if p.id != s.cfg.Owner || s.owner() {
		return
	}
	s.reportEvery = max(time.Second, min(time.Duration(m.Every)*time.Millisecond, 10*time.Minute))
	s.size, s.givers = m.Size, m.Givers
	if m.Stripes&s.all() != 0 {
		s.home = m.Stripes & s.all()
	}
	s.due = s.now
}

// settleHome chooses home stripes at random when the owner cannot be asked for them.
func (s *Swarm) settleHome() {
	if s.owner() || s.home != 0 {
		return
	}
	if at := s.joining.Add(homeAfter); s.now.Before(at) {
		s.at(at)
		return
	}
	n := min(s.k, max(1, (s.slots()+childrenPerStripe-1)/childrenPerStripe))
	for _, i := range s.rng.Perm(s.k)[:n] {
		s.home |= 1 << i
	}
}
