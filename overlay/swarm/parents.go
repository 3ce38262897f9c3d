package swarm

import (
	"math/bits"
	"time"
)

// parent is a peer's role towards us as the one who pushes.
type parent struct {
	up      uint64 // mask of the stripes it pushes
	asked   uint64 // mask of the stripes in an Attach without an answer
	open    bool   // the push stream
	unacked uint64 // mask of the stripes with news since the last Ack
	lastSeq uint64 // that came
	silent  bool   // it did not answer a Want, and has said nothing since
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
	wanted time.Time     // since when a parent is looked for; zero: it is not
	dead   bool          // the parent has stopped bringing it, and another is looked for
	way    uint64        // which of the changes of ways was the last of this one
	behind time.Time     // since when a later chunk than the next one of this stripe is known; zero: not behind
	ends   time.Time     // when the parent stops, as it said; zero: it does not

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
	for _, p := range s.order {
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
		}
	default:
		st.dead, st.wanted = false, time.Time{}
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
	if quiet := later(st.last, st.since, st.again).Add(againAfter); s.now.Before(quiet) || !st.ends.IsZero() || !s.usable(st.parent) {
		s.at(quiet)
		return nil
	}
	st.again = s.now
	return st.parent // nobody else has it: perhaps it does not know that it is the parent
}

// lastAfter is for how long others are looked for: to ask the owner earlier makes a thin line of it thinner.
const lastAfter = 3 * time.Second

// lastResort returns the owner when nobody else has had room for a stripe for a while: perhaps the one to whom the owner
// gives it does not pass it on.
func (s *Swarm) lastResort(i int) *peer {
	st := &s.stripes[i]
	if at := st.wanted.Add(lastAfter); s.now.Before(at) {
		s.at(at)
		return nil
	}
	p := s.peers[s.cfg.Owner]
	if p == nil || p == st.parent || !s.usable(p) || p.refused&(1<<i) != 0 && s.now.Before(p.until) {
		return nil
	}
	return p
}

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
	s.optimizeAt = s.now.Add(optimizeEvery + time.Duration(s.rng.Int64N(int64(optimizeEvery))))
	return p
}

// silent tells whether a stripe's parent has stopped bringing it, and sees to it that this is asked again in time.
func (s *Swarm) silent(i int) bool {
	st := &s.stripes[i]
	p := st.parent
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
	for _, p := range s.order {
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
	for _, h := range r.hops {
		if h == s.hop {
			return false
		}
	}
	return true
}

// stranded tells whether nobody is known who has the channel.
func (s *Swarm) stranded() bool {
	for _, p := range s.order {
		if p.depth >= 0 && s.usable(p) && !p.leaving {
			return false
		}
	}
	return s.alone()
}

// adopts tells whether this member could take a leaf's place in a stripe, and the leaf for a child.
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

// siteFirst tells whether the peer is at the same site and, of the two of us, the one through which it fetches. The
// order keeps two members of a site from choosing each other at the same time.
func (s *Swarm) siteFirst(p *peer) bool { return p.local && (p.depth == 0 || p.id < s.cfg.Self) }

// attach asks a peer for stripes.
func (s *Swarm) attach(p *peer, mask uint64) {
	if !p.open {
		p.open = true
		s.do(Open{p.id})
	}
	p.asked |= mask
	s.number++
	tries := 0
	patience := p.distance() + 4*p.rtt.dev + attachAnswer
	if p.depth < 0 {
		patience += attachHold
	}
	for i := range s.stripes {
		if mask&(1<<i) != 0 {
			st := &s.stripes[i]
			st.heir, st.number, st.answer = p, s.number, s.now.Add(patience)
			tries = max(tries, st.tries)
		}
	}
	s.at(s.now.Add(patience))
	if p.id == s.cfg.Owner && s.begun {
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
		st.top, st.live, st.behind, st.ends, st.dead = 0, max(m.Head, s.win.end()), time.Time{}, time.Time{}, false
		st.from = min(m.From, m.Head)
		st.seen, st.got, st.judged = 0, 0, s.now
		p.up |= bit
		p.asked &^= bit
		p.refused &^= bit
		if old != nil && old != p {
			s.stats.Switches++
			old.up &^= bit
			s.detach(old, bit)
		}
		s.rerouted(i)
		if s.onPath(i, s.hop) {
			s.detach(p, bit)
			s.orphan(i)
			s.refuse(p, bit, refusedFor)
		}
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
	if m.Retry > 0 {
		wait = min(time.Duration(m.Retry)*time.Millisecond, time.Minute)
	}
	s.refuse(p, m.Stripes, wait)
	if m.Retry == 0 {
		p.serves &^= m.Stripes // until it says otherwise
		p.leaves &^= m.Stripes
	}
	s.settle(p)
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
	st.parent, st.ends, st.behind, st.dead = nil, time.Time{}, time.Time{}, false
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
	if p.up&m.Stripes != 0 {
		s.recommended(m.Members, m.Stripes)
	}
	s.hints(m.Members)
	s.dismiss(p, m.Stripes&p.down)
	s.stopping(p, m.Stripes&p.up, time.Duration(m.After)*time.Millisecond)
	s.refuse(p, m.Stripes, 2*refusedFor)
}

// recommended takes in members that a parent which stops names: the first one has its slots.
func (s *Swarm) recommended(ms []Member, stripes uint64) {
	for i := range ms {
		p := s.learn(&ms[i], false)
		if p == nil || p.up|p.down|p.asked != 0 {
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
