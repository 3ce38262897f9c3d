package swarm

import (
	"math/bits"
	"time"
)

// fromSite returns a member of the own site that brings a stripe which now comes from elsewhere: a site fetches a channel
// once.
func (s *Swarm) fromSite(i int) *peer {
	st := &s.stripes[i]
	if !s.site || s.siteFirst(st.parent) || s.now.Sub(st.since) < siteAfter {
		return nil
	}
	if p := s.choose(i, st.parent); p != nil && s.siteFirst(p) {
		return p
	}
	return nil
}

// siteAfter is how long a stripe stays with a parent at least before it is had from the own site.
const siteAfter = time.Second

// fails tells whether a parent has brought too little of a stripe since this was asked last.
func (s *Swarm) fails(st *stripe) bool {
	if s.now.Sub(st.judged) < settleAfter || st.seen < judgeChunks {
		return false
	}
	bad := float64(st.got) < delivers*float64(st.seen)
	st.seen, st.got, st.judged = 0, 0, s.now
	return bad
}

// A parent is judged by so many chunks at least, and shall bring this part of them.
const (
	judgeChunks = 20
	delivers    = 0.98
)

// rather returns a peer that has the stripe, when the one that was asked is only looking for it, too.
func (s *Swarm) rather(i int) *peer {
	st := &s.stripes[i]
	if st.heir.depth >= 0 {
		return nil
	}
	p := s.choose(i, st.heir)
	if p == nil || p.depth < 0 {
		return nil
	}
	st.heir.asked &^= 1 << i
	s.detach(st.heir, 1<<i)
	st.heir = nil
	return p
}

// better returns a peer that is clearly cheaper as the parent of a stripe than the one it has. One stripe is looked at
// at a time, and a change given time to show.
func (s *Swarm) better(i int) *peer {
	st := &s.stripes[i]
	if p := s.fromSite(i); p != nil {
		return p
	}
	if p := s.relief(i); p != nil {
		return p
	}
	if s.now.Before(s.optimizeAt) {
		s.at(s.optimizeAt)
		return nil
	}
	if s.now.Sub(st.since) < settleAfter {
		s.at(st.since.Add(settleAfter))
		return nil
	}
	p := s.choose(i, st.parent)
	if p == nil || st.parent.local && !p.local {
		return nil
	}
	if st.parent.id != s.cfg.Owner && s.fails(st) {
		s.refuse(st.parent, 1<<i, settleAfter)
		return p
	}
	now, then := s.cost(st.parent, i), s.cost(p, i)
	if float64(then) > (1-better)*float64(now) || now-then < leastGain {
		return nil
	}
	if len(p.routes[i].hops) >= len(st.parent.routes[i].hops) { // only ways that get shorter come to an end by themselves
		if s.now.Before(st.calm) {
			return nil
		}
		st.calms = min(st.calms+1, mostCalms)
		st.calm = s.now.Add(settleAfter << st.calms)
	}
	s.optimizeAt = s.now.Add(optimizeEvery + time.Duration(s.rng.Int64N(int64(optimizeEvery))))
	return p
}

// silent tells whether a stripe's parent has stopped bringing it, and sees to it that this is asked again in time.
func (s *Swarm) silent(i int) bool {
	st := &s.stripes[i]
	p := st.parent
	switch at := p.probed.Add(p.distance() + 4*p.rtt.dev + minWait); {
	case p.probed.IsZero():
	case p.heard.After(p.probed):
		p.probed = time.Time{}
	case s.now.Before(at):
		s.at(at)
	default:
		p.silent, p.probed = true, time.Time{}
	}
	if p.silent {
		if at := p.heard.Add(s.patience(p, p.interval*3/2)); s.now.Before(at) {
			s.at(at)
		} else {
			return true
		}
	}
	limit := s.patience(p, silentIntervals*st.every)
	if r := &p.routes[i]; p.depth != 0 && !r.rooted {
		limit += orphanGrace
	}
	if !st.behind.IsZero() {
		at := later(st.behind, st.last, st.since).Add(limit)
		if !s.now.Before(at) {
			return true
		}
		s.at(at)
	}
	return s.dead(p)
}

// patience is how long a parent may be silent: a quarter of a second and some intervals between chunks; the owner, whom
// nobody can replace and whose line may be full, longer.
func (s *Swarm) patience(p *peer, intervals time.Duration) time.Duration {
	if p.id == s.cfg.Owner {
		return max(ownerSilence, intervals)
	}
	return max(silence, intervals)
}

// ownerSilence is how long the owner may be silent.
const ownerSilence = time.Second

// dead tells whether a parent says nothing at all any more and does not answer when asked.
func (s *Swarm) dead(p *peer) bool {
	limit := s.patience(p, silentIntervals*p.interval)
	if at := p.heard.Add(limit); s.now.Before(at) {
		s.at(at)
		return false
	}
	if p.pinged.Before(p.heard) {
		p.pinged = s.now
		s.greet(p, true)
	}
	at := p.pinged.Add(p.distance() + 4*p.rtt.dev + attachAnswer)
	s.at(at)
	return !s.now.Before(at)
}

// choose returns the cheapest peer that may become the parent of a stripe, other than the one it has.
func (s *Swarm) choose(i int, but *peer) *peer {
	var best *peer
	var cost time.Duration
	for _, p := range s.linked {
		if p == but || !s.eligible(p, i) {
			continue
		}
		if c := s.cost(p, i); best == nil || c < cost {
			best, cost = p, c
		}
	}
	return best
}

// eligible tells whether a peer could serve us a stripe, as far as is known.
func (s *Swarm) eligible(p *peer, i int) bool {
	bit := uint64(1) << i
	if !s.usable(p) || p.leaving || p.epoch != 0 && p.epoch != s.epoch {
		return false
	}
	if p.refused != 0 && !s.now.Before(p.until) {
		p.refused = 0
	}
	if p.refused&bit != 0 {
		s.at(p.until)
		return false
	}
	if p.depth < 0 {
		return p.told && p.slots > 0 && p.held == nil && s.stranded() // it may be joining itself, and answer when it has
	}
	if p.serves&bit == 0 && (p.leaves&bit == 0 || !s.adopts(bit)) {
		return false
	}
	r := &p.routes[i]
	if len(r.hops) >= MaxHops {
		return false
	}
	if at := s.stripes[i].bereft.Add(bereftFor); !r.rooted && p.depth != 0 && s.now.Before(at) {
		s.at(at)
		return false
	}
	for _, h := range r.hops {
		if h == s.hop {
			return false
		}
	}
	return true
}

// stranded tells whether nobody is known who has the channel.
func (s *Swarm) stranded() bool {
	for _, p := range s.linked {
		if p.depth >= 0 && s.usable(p) && !p.leaving {
			return false
		}
	}
	return s.alone()
}

// adopts tells whether this member could take another's place in a stripe, and that one for a child.
func (s *Swarm) adopts(bit uint64) bool { return s.homes()&bit != 0 && s.spare() > 0 }

// alone tells whether there is no parent at all: then also a peer that is joining itself is asked, which answers when
// it has joined.
func (s *Swarm) alone() bool {
	for i := range s.stripes {
		if s.stripes[i].parent != nil {
			return false
		}
	}
	return true
}

// cost is what a stripe through the peer would cost, in delay.
func (s *Swarm) cost(p *peer, i int) time.Duration {
	r := &p.routes[i]
	c := r.delay + p.distance()/2 + p.queue(s.now) + hopCost*time.Duration(len(r.hops)+1)
	if n := bits.OnesCount64(p.home); n > 0 {
		c += s.stripes[i].every / 2 / time.Duration(n) // what it gives to others takes its line: of one stripe, all the time
	}
	c += p.laden(s.stripes[i].parent == p)
	switch {
	case p.depth < 0:
		c += time.Minute
	case !r.rooted && p.depth != 0:
		c += time.Second
	}
	if s.siteFirst(p) || p.local && s.stripes[i].parent == nil {
		return c / 1000 // whatever its delay
	}
	return c + spread*time.Duration(bits.OnesCount64((p.up|p.asked|p.fresh)&^(1<<i)))
}

// laden is what it costs that a peer's line is nearly full: pushes wait there for each other, and for what newcomers are sent
// to catch up. Of a parent the own slot does not count.
func (p *peer) laden(parent bool) time.Duration {
	if p.slots == 0 || p.depth == 0 {
		return 0
	}
	spare := p.spare
	if parent {
		spare++
	}
	left := float64(spare) / (fullUnder * float64(p.slots))
	return time.Duration(max(0, 1-left) * float64(fullCost))
}

// A line is nearly full when less than this part of the slots is left; with none left it counts so much in delay.
const (
	fullUnder = 0.25
	fullCost  = 40 * time.Millisecond
)

// siteFirst tells whether the peer is at the same site and, of the two of us, the one through which it fetches. The
// order keeps two members of a site from choosing each other at the same time.
func (s *Swarm) siteFirst(p *peer) bool { return p.local && (p.depth == 0 || p.id < s.cfg.Self) }
