package swarm

import "time"

// keyWait is how long a skip waits for a chunk to start with: beyond it players go on with what there is.
const keyWait = 2 * time.Second

// play releases what can be released.
func (s *Swarm) play() {
	if s.owner() { // its players have the stream itself
		return
	}
	if !s.begun && !s.begin() {
		return
	}
	for {
		c := s.win.at(s.next)
		switch {
		case c == nil:
			return
		case !c.held:
			if !s.gap() {
				return
			}
			continue
		case s.cfg.Steady:
			if at := s.steadyAt(c); s.now.Before(at) {
				s.at(at)
				return
			}
		}
		if st := &s.stripes[s.next%uint64(s.k)]; s.next >= st.live { // what is older may have come from the parent before
			st.seen++
		}
		s.do(Release{s.epoch, s.next})
		s.stats.Released++
		s.next++
	}
}

// begin finds the chunk to begin with.
func (s *Swarm) begin() bool {
	var from uint64
	for i := range s.stripes { // a channel in part is of no use
		st := &s.stripes[i]
		if st.parent == nil && st.heir == nil {
			return false
		}
		if st.parent != nil {
			from = max(from, st.from)
		}
	}
	q, ok := s.win.lastKey()
	if !ok || q < from { // some parents begin later
		return false
	}
	s.begun, s.next, s.caught = true, q, false
	if s.resume > 0 && q > s.resume {
		s.do(Skip{s.epoch, s.resume, q})
		s.stats.Skips++
		s.stats.Skipped += q - s.resume
	}
	s.resume = 0
	return true
}

// gap looks at the chunk that players want next and that has not come; it reports whether it was skipped.
func (s *Swarm) gap() bool {
	after, ok := s.win.nextHeld(s.next, false)
	if !ok {
		return false
	}
	if key, ok := s.win.lastKey(); ok && !s.caught && key > s.next && !s.cfg.Steady {
		s.skip(key) // a parent that is ahead of others begins with a later key chunk
		return true
	}
	at := s.deadline(after)
	if s.now.Before(at) {
		s.at(at)
		return false
	}
	key, ok := s.win.nextHeld(s.next, true)
	if !ok {
		if at = at.Add(keyWait); s.now.Before(at) {
			s.at(at)
			return false
		}
		key = after
	}
	s.skip(key)
	return true
}

// skip gives up the chunks below a sequence number.
func (s *Swarm) skip(to uint64) {
	s.do(Skip{s.epoch, s.next, to})
	s.stats.Skips++
	s.stats.Skipped += to - s.next
	for q := s.next; q < to; q++ {
		if c := s.win.at(q); c != nil && c.asked != nil {
			c.asked.outstanding--
			c.asked = nil
		}
	}
	s.next = to
}

// deadline returns when the gap before a chunk that is held is given up.
func (s *Swarm) deadline(after uint64) time.Time {
	c := s.win.at(after)
	st := &s.stripes[s.next%uint64(s.k)]
	at := c.arrived.Add(s.delay())
	switch {
	case s.cfg.Steady:
		return s.steadyAt(c)
	case !s.caught && s.next < st.live && st.parent != nil && s.now.Sub(st.since) < catchUpFor:
		return later(st.last, st.since).Add(maxDelay) // its parent is sending what we need to begin
	case s.hist.n >= measureChunks:
		at = c.wall.Add(s.hist.quantile(0.5) + s.delay())
	}
	if s.cfg.Delay == 0 && st.parent != nil && st.top <= s.next {
		// It is in its parent's queue: that costs players less than what a skip does, as long as the stripe flows.
		flows := later(st.last, st.since).Add(max(silence, silentIntervals*st.every))
		at = later(at, earlier(flows, c.arrived.Add(maxDelay)))
	}
	return at
}

// delay returns how long a gap may hold up the players.
func (s *Swarm) delay() time.Duration {
	switch {
	case s.cfg.Delay > 0:
		return s.cfg.Delay
	case s.cfg.Steady:
		return steadyDelay
	case s.hist.n < measureChunks:
		return firstDelay
	}
	if s.now.Sub(s.delayed) > time.Second {
		s.delayed = s.now
		late := s.hist.quantile(0.999) - s.hist.quantile(0.5)
		s.wait = max(minDelay, min(late+delayMargin, maxDelay))
	}
	return s.wait
}

// steadyAt returns when a chunk is to be released so that all sites are in step.
func (s *Swarm) steadyAt(c *chunkState) time.Time {
	if s.clock.error < 0 { // the owner's clock is not yet known
		return c.arrived.Add(s.delay())
	}
	return c.wall.Add(s.delay() - s.clock.ahead)
}

// catching notes when all stripes have been caught up after a beginning: from then on gaps have their deadline.
func (s *Swarm) catching() {
	if s.caught || !s.begun {
		return
	}
	for i := range s.stripes {
		st := &s.stripes[i]
		if st.parent == nil || st.top+uint64(s.k) < st.live {
			return
		}
	}
	s.caught = true
}
