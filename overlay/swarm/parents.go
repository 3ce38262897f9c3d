package swarm

import "time"

// parent is a peer's role towards us as the one who pushes.
type parent struct {
	up      uint64    // mask of the stripes it pushes
	asked   uint64    // mask of the stripes in an Attach without an answer
	open    bool      // the push stream
	unacked uint64    // mask of the stripes with news since the last Ack
	lastSeq uint64    // that came
	silent  bool      // it did not answer a Want, and has said nothing since
	probed  time.Time // a Want was sent to see whether it answers
	lastAt  time.Time
}

// stripe is how one stripe comes here.
type stripe struct {
	parent *peer         // pushes it
	since  time.Time     // attached
	last   time.Time     // when a chunk came from the parent
	every  time.Duration // between its chunks, smoothed
	top    uint64        // after the highest one that came from the parent
	from   uint64        // the first one that the parent sent
	live   uint64        // what is below was sent to catch up
	lag    estimate      // arrival less the owner's wall clock, of live chunks
	usual  average       // the same, over a longer time
	calm   time.Time     // before which it is left with a parent that is no nearer to the owner
	calms  int           // how often that was so
	wanted time.Time     // since when a parent is looked for; zero: it is not
	dead   bool          // the parent has stopped bringing it, and another is looked for
	way    uint64        // which of the changes of ways was the last of this one
	behind time.Time     // since when a later chunk than the next one of this stripe is known; zero: not behind
	ends   time.Time     // when the parent stops, as it said; zero: it does not
	urged  time.Time     // until when another parent is looked for, as the present one asked
	adrift time.Time     // since when the parent has no way to the owner; zero: it has
	bereft time.Time     // when a parent was lost that had it from the owner

	heir   *peer     // was asked to become the parent
	number uint64    // of that Attach
	answer time.Time // by when
	again  time.Time // the silent parent was asked anew
	tries  int       // refusals in a row
	seen   int       // chunks of the stripe that were due since judged
	got    int       // of them, those the parent brought
	judged time.Time
}

// lacks returns the mask of stripes without a parent.
func (s *Swarm) lacks() uint64 {
	if s.owner() {
		return 0
	}
	var m uint64
	for i := range s.stripes {
		if s.stripes[i].parent == nil {
			m |= 1 << i
		}
	}
	return m
}

// wanting returns the mask of the stripes for which a parent is looked for.
func (s *Swarm) wanting() uint64 {
	m := s.lacks()
	for i := range s.stripes {
		if s.stripes[i].dead || !s.stripes[i].ends.IsZero() {
			m |= 1 << i
		}
	}
	return m
}

// parents finds a parent for every stripe that needs one or a better one.
func (s *Swarm) parents() {
	if s.owner() || !s.leaving.IsZero() {
		return
	}
	if s.now.Before(s.paused) || s.planless() {
		if s.now.Before(s.paused) {
			s.at(s.paused)
		}
		s.admission()
		return
	}
	var asks []*peer
	first := s.rng.IntN(s.k) // where slots are few, no stripe is always the last
	for n := range s.stripes {
		i := (first + n) % s.k
		if p := s.attend(i); p != nil {
			if p.fresh == 0 {
				asks = append(asks, p)
			}
			p.fresh |= 1 << i
		}
	}
	for _, p := range asks {
		s.attach(p, p.fresh)
		p.fresh = 0
	}
	for _, p := range s.linked {
		s.settle(p)
	}
	s.admission()
}

// attend looks after one stripe and returns a peer to be asked for it.
func (s *Swarm) attend(i int) *peer {
	st := &s.stripes[i]
	if st.heir != nil {
		if s.now.Before(st.answer) {
			s.at(st.answer)
			return s.rather(i)
		}
		s.refuse(st.heir, 1<<i, refusedFor)
	}
	if st.parent != nil && !st.ends.IsZero() && !s.now.Before(st.ends) {
		s.orphan(i)
	}
	switch {
	case st.parent == nil:
	case !st.ends.IsZero():
		s.at(st.ends)
	case s.silent(i):
		if !st.dead {
			st.dead = true
			s.linksAt = s.now // others may have to be dialled
			s.rerouted(i)
			s.bereaved(st.parent, i)
		}
	default:
		if st.dead {
			s.rerouted(i)
		}
		st.dead, st.wanted = false, time.Time{}
		s.drift(i)
		return s.better(i)
	}
	if st.wanted.IsZero() {
		st.wanted = s.now
	}
	p := s.choose(i, st.parent)
	if p == nil {
		p = s.lastResort(i)
	}
	if p != nil || st.parent == nil {
		return p
	}
	if quiet := later(st.last, st.since, st.again).Add(againAfter); s.now.Before(quiet) || !st.ends.IsZero() || !s.usable(st.parent) || s.now.Sub(st.bereft) < bereftFor {
		s.at(quiet)
		return nil
	}
	st.again = s.now
	return st.parent // nobody else has it: perhaps it does not know that it is the parent
}

// bereaved asks the owner at once for others when a parent that has a stripe from it is lost: all who could take over have had it
// by the same way, and the owner is to give it to another.
func (s *Swarm) bereaved(parent *peer, i int) {
	owner := s.peers[s.cfg.Owner]
	if owner == nil || parent == owner || len(parent.routes[i].hops) != 1 {
		return
	}
	s.stripes[i].bereft = s.now
	if s.now.Sub(owner.bereft) < minWait {
		return
	}
	owner.bereft, owner.askAgain, s.sought = s.now, time.Time{}, time.Time{}
}

// bereftFor is for how long those are not asked then who have no way to the owner either.
const bereftFor = 500 * time.Millisecond

// lastAfter is for how long others are looked for: to ask the owner earlier makes a thin line of it thinner.
const lastAfter = 3 * time.Second

// lastResort returns the owner when nobody else has had room for a stripe for a while: perhaps the one to whom the owner
// gives it does not pass it on.
func (s *Swarm) lastResort(i int) *peer {
	st := &s.stripes[i]
	p := s.peers[s.cfg.Owner]
	if at := st.wanted.Add(lastAfter); s.now.Before(at) && !(s.begun && s.lonely()) {
		s.at(at)
		return nil
	}
	if p == nil || p == st.parent || !s.usable(p) || p.refused&(1<<i) != 0 && s.now.Before(p.until) {
		return nil
	}
	return p
}

// lonely tells whether nobody but the owner is linked or about to be.
func (s *Swarm) lonely() bool {
	for _, p := range s.order {
		if p.id != s.cfg.Owner && p.link != unlinked {
			return false
		}
	}
	return true
}

func later(ts ...time.Time) time.Time {
	var last time.Time
	for _, t := range ts {
		if t.After(last) {
			last = t
		}
	}
	return last
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
