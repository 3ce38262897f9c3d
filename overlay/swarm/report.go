package swarm

import (
	"math/bits"
	"time"
)

// entry is what the owner knows of a member by its reports.
type entry struct {
	slots    int
	home     uint64
	admitted bool // it may have parents
	at       time.Time
}

const (
	reportEvery       = 5 * time.Second
	reportSlots       = 20 // reports a second are what the owner wants at most
	rosterFor         = 3  // intervals after which a silent member is forgotten
	stripeGivers      = 3  // contributors that each stripe shall have at least
	homeAfter         = 2 * time.Second
	shortSupply       = 1.15            // slots over what members need, under which the owner gives more than it must
	waitReport        = 2 * time.Second // between reports of a member that waits
	planPatience      = time.Second     // for the answer to the first report
	surveyEvery       = time.Second
	fewMembers        = 16 // under which slots need no margin: they are filled to the last
	supplyUnit        = 64 // so that a slot can be shared by as many stripes
	maxRoster         = 1 << 16
	unlimitedChildren = 64  // of a member whose upload has no limit
	mostChildren      = 256 // of one whose upload is known, however large
)

// report tells the owner of this member.
func (s *Swarm) report() {
	p := s.peers[s.cfg.Owner]
	if s.owner() || p == nil || p.link != linked {
		return
	}
	every := max(s.reportEvery, reportEvery)
	if s.mustWait {
		every = waitReport
	}
	if at := s.reportedAt.Add(every); s.now.Before(at) {
		s.at(at)
		return
	}
	if s.reportedAt.IsZero() {
		s.firstReport = s.now
	}
	s.reportedAt = s.now
	s.at(s.now.Add(every))
	s.send(p, Report{Self: s.self(p), Used: s.total(), Lacks: s.lacks()})
}

// enroll tells trackers of this member, as often as the owner wants to hear of it.
func (s *Swarm) enroll() {
	if s.owner() {
		return
	}
	if at := s.enrolledAt.Add(max(s.reportEvery, reportEvery)); s.now.Before(at) {
		s.at(at)
		return
	}
	for _, p := range s.linked {
		if p.tracker && p.id != s.cfg.Owner {
			s.enrolledAt = s.now
			s.send(p, Report{Self: s.self(p), Used: s.total(), Lacks: s.lacks()})
		}
	}
}

// planless tells whether this member should not yet look for parents: the owner has been asked whether there is upload
// for one more, and has not answered or has said no.
func (s *Swarm) planless() bool {
	if s.mustWait {
		for _, p := range s.linked {
			if p.local && s.usable(p) && p.told && p.depth >= 0 {
				return false // the own site costs no upload
			}
		}
		return true
	}
	p := s.peers[s.cfg.Owner]
	if s.reportEvery > 0 || p == nil || p.link != linked || s.state == Joined || p.local {
		return false
	}
	at := later(s.firstReport, p.since).Add(planPatience)
	s.at(at)
	return s.now.Before(at)
}

// reported takes in what a member tells of itself. A tracker remembers it; the owner answers with its plan.
func (s *Swarm) reported(p *peer, m *Report) {
	if !s.owner() {
		if s.tracker {
			s.learn(&m.Self, true)
			p.leaving = m.Leaves
		}
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
	}
	e.slots, e.at = m.Self.Slots, s.now
	e.admitted = e.admitted || m.Lacks&s.all() != s.all() || p.local || s.admits(e) || s.yield(p)
	s.survey(true)
	p.home = s.assign(e, m.Self.Home)
	s.send(p, Plan{
		Every: int(s.interval() / time.Millisecond), Size: s.size, Givers: s.givers, Stripes: p.home, Wait: !e.admitted,
	})
}

// admits tells, at the owner, whether the slots of all suffice for one more member.
func (s *Swarm) admits(e *entry) bool {
	margin := shortSupply
	if s.size < fewMembers {
		margin = 1
	}
	return e.slots > s.k || float64(s.offered+e.slots) >= margin*float64(s.k*s.size)
}

// interval is how often a member is to report.
func (s *Swarm) interval() time.Duration {
	return max(reportEvery, time.Duration(s.size)*time.Second/reportSlots)
}

// assign chooses the home stripes of a contributor: of the least provided ones as many as it shall have.
func (s *Swarm) assign(e *entry, home uint64) uint64 {
	if e.slots == 0 {
		e.home = 0
		return 0
	}
	if e.home == 0 {
		e.home = home & s.all() // of another epoch, or before the owner began anew
	}
	n, has := s.homesOf(e.slots, max(1, s.givers)), bits.OnesCount64(e.home)
	if has == n || has > n && has <= 2*n && s.size >= fewMembers {
		return e.home // to change little is better than to be exact
	}
	for ; has > n; has-- {
		e.home &^= 1 << s.extreme(e.home, true)
	}
	for ; has < n; has++ {
		e.home |= 1 << s.extreme(s.all()&^e.home, false)
	}
	s.count()
	return e.home
}

// extreme returns, of the stripes in a mask, the most or the least provided one.
func (s *Swarm) extreme(mask uint64, most bool) int {
	best := -1
	for i := range s.supply {
		if mask&(1<<i) == 0 {
			continue
		}
		if best < 0 || most && s.supply[i] > s.supply[best] || !most && s.supply[i] < s.supply[best] {
			best = i
		}
	}
	return best
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
	for id, e := range s.roster {
		if e.at.Before(old) {
			delete(s.roster, id)
		}
	}
	s.count()
	s.relieve()
}

// count sums up the roster. The order does not matter.
func (s *Swarm) count() {
	clear(s.supply)
	s.size, s.givers, s.offered = 1, 0, s.slots()
	for _, e := range s.roster {
		if !e.admitted {
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
				s.supply[i] += supplyUnit * e.slots / bits.OnesCount64(e.home)
			}
		}
	}
}

// short tells, at the owner, whether the members' slots hardly suffice.
func (s *Swarm) short() bool {
	return float64(s.offered) < shortSupply*float64(s.k*(s.size-1))
}

// provided tells, at the owner, whether a stripe has contributors.
func (s *Swarm) provided(i int) bool { return s.supply[i] > 0 }

// planned takes in the owner's plan.
func (s *Swarm) planned(p *peer, m *Plan) {
	if p.id != s.cfg.Owner || s.owner() {
		return
	}
	s.reportEvery = max(time.Second, min(time.Duration(m.Every)*time.Millisecond, 10*time.Minute))
	s.size, s.givers, s.mustWait = m.Size, m.Givers, m.Wait && s.state != Joined
	if m.Stripes&s.all() != 0 {
		s.home = m.Stripes & s.all()
	}
	if s.mustWait {
		s.why = RefusedCapacity
	}
	s.due = s.now
}

// settleHome chooses home stripes at random when the owner cannot be asked for them.
func (s *Swarm) settleHome() {
	if s.owner() || s.home != 0 || s.slots() == 0 {
		return
	}
	if at := s.joining.Add(homeAfter); s.now.Before(at) {
		s.at(at)
		return
	}
	n := s.homesOf(s.slots(), max(1, s.givers))
	for _, i := range s.rng.Perm(s.k)[:n] {
		s.home |= 1 << i
	}
}
