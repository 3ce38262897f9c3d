package swarm

import (
	"math/rand/v2"
	"slices"
	"time"
)

// repair asks for what is missing. It returns with the next time set at which something may be.
func (s *Swarm) repair() {
	if s.owner() || !s.begun || !s.leaving.IsZero() || s.state != Joined {
		return
	}
	wants := make(map[*peer][]uint64)
	probes := make(map[*peer]uint64) // a chunk for each
	var to []*peer
	var next *chunkState // the next chunk held after the one looked at
	last := s.win.end()
	for q := last; q > s.next; {
		q--
		c := s.win.at(q)
		if c == nil {
			break
		}
		if c.held {
			next = c
			continue
		}
		due := s.missingAt(q, next)
		if s.now.Before(due) {
			s.at(due)
			continue
		}
		if c.missed.IsZero() {
			c.missed = s.now
		}
		if c.asked != nil {
			if s.now.Before(c.until) {
				s.at(c.until)
				continue
			}
			s.suspect(c)
			s.failed(c)
		}
		p := s.source(q, c, s.now.Sub(c.missed) >= guessAfter)
		if p != nil && c.tries == 0 && s.quiet(p) {
			if other := s.holder(q, p); other != nil && len(wants[other]) < maxWant && s.mayAsk(q) {
				if _, ok := probes[p]; !ok {
					probes[p] = q // whether it is dead shows by its not answering
				}
				if p.probed.IsZero() {
					p.probed = s.now
				}
				p = other
			}
		}
		if p == nil || len(wants[p]) >= maxWant || p.up == 0 && !s.mayAsk(q) {
			s.at(s.now.Add(minWait))
			continue
		}
		c.asked, c.when = p, s.now
		c.tries++
		c.until = s.now.Add(p.distance() + 4*p.rtt.dev + p.answer.mean + 4*p.answer.dev + minWait)
		s.at(c.until)
		p.outstanding++
		s.stats.Asked++
		if len(wants[p]) == 0 {
			to = append(to, p)
		}
		wants[p] = append(wants[p], q)
	}
	for _, p := range s.linked {
		if q, ok := probes[p]; ok {
			s.send(p, Want{Epoch: s.epoch, Seqs: []uint64{q}})
		}
	}
	for _, p := range to {
		s.send(p, Want{Epoch: s.epoch, Seqs: reversed(wants[p])})
	}
}

func reversed(q []uint64) []uint64 {
	for i, j := 0, len(q)-1; i < j; i, j = i+1, j-1 {
		q[i], q[j] = q[j], q[i]
	}
	return q
}

// missingAt returns when a chunk that has not come is to be taken for missing, given the next one that has.
func (s *Swarm) missingAt(q uint64, next *chunkState) time.Time {
	st := &s.stripes[q%uint64(s.k)]
	silent := st.parent == nil || !st.behind.IsZero() && s.now.Sub(later(st.behind, st.last, st.since)) > max(silence, silentIntervals*st.every)
	switch {
	case st.top > q: // its parent has gone on: streams keep the order
		return s.now
	case st.parent != nil && st.parent.id == s.cfg.Owner && st.parent.lastSeq > q && q >= st.live: // the owner had it
		return s.now
	case (q < st.live || st.top < st.live) && !silent && s.now.Sub(st.since) < catchUpFor: // being caught up
		return later(st.last, st.since).Add(max(silence, silentIntervals*st.every))
	case next == nil:
		return s.now.Add(longestSleep)
	}
	lag := st.lag
	if !lag.set || s.hist.n < measureChunks {
		return next.arrived.Add(silence)
	}
	return next.wall.Add(lag.mean + 4*lag.dev + repairSlack)
}

// mayAsk limits what is asked, for to ask for what is in a queue makes the queues longer.
func (s *Swarm) mayAsk(q uint64) bool {
	rate := float64(s.slotRate()) / 8
	typical := int(rate) / chunksPerSecond
	if s.inQueue(q) && !s.askingLate.take(typical, lateRepair*rate, 4*typical, s.now) {
		return false
	}
	return s.asking.take(typical, askRate*rate, chunksPerSecond*typical, s.now)
}

// chunksPerSecond is how many chunks a second are assumed for limits on what is asked.
const chunksPerSecond = 50

// inQueue tells whether a chunk that is late may still come from its parent, which pushes the stripe.
func (s *Swarm) inQueue(q uint64) bool {
	st := &s.stripes[q%uint64(s.k)]
	return st.parent != nil && st.top <= q && s.now.Sub(later(st.last, st.since)) < max(silence, silentIntervals*st.every)
}

// suspect notes that a parent has not even answered.
func (s *Swarm) suspect(c *chunkState) {
	if p := c.asked; p.up != 0 && p.heard.Before(c.when) {
		p.silent = true
		s.due = s.now
	}
}

// failed notes that a chunk did not come from whom it was asked.
func (s *Swarm) failed(c *chunkState) {
	p := c.asked
	c.asked = nil
	p.outstanding--
	p.bad = min(p.bad+1, 20)
	c.not[c.tries%len(c.not)] = p
}

// source returns whom to ask for a chunk: the parent once when it has gone on without it, then who has it, the nearest
// first, the owner last.
func (s *Swarm) source(q uint64, c *chunkState, guessing bool) *peer {
	st := &s.stripes[q%uint64(s.k)]
	if p := st.parent; c.tries == 0 && p != nil && s.usable(p) && p.outstanding < maxAsked {
		return p // it may have gone on without, have it in its queue, lack it, too, or be dead: its answer tells
	}
	var best *peer
	var cost time.Duration
	for _, p := range s.linked {
		if !s.askable(p) || p == c.not[0] || p == c.not[1] || p == c.not[2] {
			continue
		}
		e := p.distance()/2 + p.answer.mean + time.Duration(p.bad)*minWait
		switch {
		case p.depth == 0:
			if at := c.missed.Add(s.ownerTurn(q)); s.now.Before(at) {
				s.at(at)
				continue
			}
			e += ownerLast
		case p.have.holds(q):
		case guessing && p.told && p.slots > 0 && p.depth >= 0 && p.up&(1<<(q%uint64(s.k))) == 0 && c.tries < 4:
			e += guess // its word is up to half a second old: it may have the chunk by now
		default:
			continue
		}
		if best == nil || e < cost {
			best, cost = p, e
		}
	}
	if best == nil && c.tries > 0 {
		c.not = [3]*peer{}
	}
	return best
}

// ownerTurn returns how long after a chunk was missed the owner may be asked for it. What many lack at once, few ask it for,
// since thousands of refusals fill its line: first those whose parent has the stripe from it, who pass it on, and then so
// many at a time, by chance.
func (s *Swarm) ownerTurn(q uint64) time.Duration {
	if s.depth(int(q%uint64(s.k))) == 2 {
		return ownerAfter
	}
	var chance rand.PCG
	chance.Seed(s.hop, q)
	turn := chance.Uint64() % uint64(max(1, s.size)) / ownerAskers
	return ownerAfter + time.Duration(turn)*ownerAfter/2
}

// askable tells whether a peer may be asked for a chunk.
func (s *Swarm) askable(p *peer) bool {
	return s.usable(p) && p.outstanding < maxAsked && !p.leaving && (p.epoch == s.epoch || p.epoch == 0)
}

// quiet tells whether a parent has said nothing for longer than it usually does.
func (s *Swarm) quiet(p *peer) bool {
	return p.up != 0 && p.id != s.cfg.Owner && p.interval > 0 && s.now.Sub(p.heard) > p.interval*3/2
}

// holder returns the nearest peer, other than the parent, that is known to hold a chunk.
func (s *Swarm) holder(q uint64, but *peer) *peer {
	var best *peer
	for _, p := range s.linked {
		if p == but || p.depth == 0 || !s.askable(p) || !p.have.holds(q) {
			continue
		}
		if best == nil || p.distance()+p.answer.mean < best.distance()+best.answer.mean {
			best = p
		}
	}
	return best
}

const (
	// ownerLast is what asking the owner counts in delay.
	ownerLast = time.Second
	// coming is how long a chunk is waited for that its parent says to have pushed.
	coming = 500 * time.Millisecond
	// ownerAfter is for how long others are asked for a missing chunk, or waited for, at least, and ownerAskers how many
	// may ask the owner at a time.
	ownerAfter  = 200 * time.Millisecond
	ownerAskers = 64
	// guess is what asking a peer counts that is not known to hold the chunk.
	guess = 200 * time.Millisecond
	// guessAfter is for how long only peers are asked that are known to hold a missing chunk.
	guessAfter = 100 * time.Millisecond
)

// wanted answers a Want.
func (s *Swarm) wanted(p *peer, m *Want) {
	var lack, coming []uint64
	for _, q := range m.Seqs {
		c := s.win.at(q)
		if p.flying(q) || slices.Contains(p.backlog, q) {
			coming = append(coming, q)
			continue
		}
		if m.Epoch != s.epoch || c == nil || !c.held || !s.may(p, c) {
			lack = append(lack, q)
			continue
		}
		s.stats.Given++
		p.sent += uint64(c.size)
		p.have.add(q)
		s.sends(p, c.size)
		s.do(Give{p.id, s.epoch, q, s.now.Add(pushDeadline)})
	}
	if len(lack)+len(coming) > 0 {
		s.send(p, Lack{Epoch: m.Epoch, Seqs: lack, Coming: coming})
	}
}

// flying tells whether a chunk was pushed to the peer and may still arrive.
func (p *peer) flying(seq uint64) bool {
	for i := range p.flight {
		if p.flight[i].seq == seq {
			return true
		}
	}
	return false
}

// may tells whether a chunk may be given within what is set aside for repair.
func (s *Swarm) may(p *peer, c *chunkState) bool {
	rate := float64(s.slotRate())
	left := maxRepairRate * rate
	switch {
	case p.local:
		return true
	case !s.owner() && s.slots() == 0:
		return false
	case s.upload < Unlimited:
		left = min(left, float64(s.upload)/Wire-rate*float64(s.total())/float64(s.k))
		if s.pressure() > pressed {
			return false
		}
		if children, _ := s.behind(); children > 0 {
			left = 0 // it is theirs
		}
	}
	if s.owner() && s.size >= smallSwarm {
		left = min(left, ownerRepair*rate)
	}
	return s.giving.take(c.size, max(left, ownerRepair*rate/2)/8, repairBurst, s.now)
}

// lacked takes in what a peer could not give.
func (s *Swarm) lacked(p *peer, m *Lack) {
	if m.Epoch != s.epoch {
		return
	}
	for _, q := range m.Coming {
		if c := s.win.at(q); c != nil && c.asked == p {
			c.until = s.now.Add(coming)
			s.at(c.until)
		}
	}
	for _, q := range m.Seqs {
		p.have.remove(q)
		if c := s.win.at(q); c != nil && c.asked == p {
			s.failed(c)
			s.due = s.now
		}
	}
}
