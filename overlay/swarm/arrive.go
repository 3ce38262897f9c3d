package swarm

import "time"

// arrived takes in a chunk from a peer.
func (s *Swarm) arrived(ev Arrived) {
	p := s.find(ev.From)
	if p != nil {
		p.interval += (min(s.now.Sub(p.heard), time.Second) - p.interval) / 8
		p.heard, p.silent = s.now, false
		p.received += uint64(ev.Size)
	}
	if ev.Epoch != s.epoch {
		s.stats.Stale++
		if p != nil {
			s.newer(p, ev.Epoch)
		}
		return
	}
	st := &s.stripes[ev.Seq%uint64(s.k)]
	live := false
	if p != nil && !ev.Repair && st.parent == p {
		live = s.flowed(st, p, ev.Seq)
	}
	c := s.win.at(ev.Seq)
	if c != nil && c.held {
		s.stats.Duplicates++
		return
	}
	if ev.Seq < s.win.low || s.begun && ev.Seq < s.next {
		s.stats.Stale++
		if c != nil {
			s.settled(c, p, ev.Repair)
		}
		return
	}
	if len(s.win.chunks) > 0 && ev.Seq > s.win.end()+maxJump {
		s.restart(ev.Seq)
	} else if c != nil {
		s.settled(c, p, ev.Repair)
	}
	if live {
		st.lag.add(s.now.Sub(ev.Wall))
		st.usual.add(s.now.Sub(ev.Wall))
		s.lag.add(s.now.Sub(ev.Wall))
	}
	if ev.Seq >= st.live {
		s.hist.add(s.now.Sub(ev.Wall))
		s.rate.add(ev.Size, s.now)
	}
	s.hold(ev.Seq, chunkState{key: ev.Key, vital: ev.Vital, size: ev.Size, wall: ev.Wall, arrived: s.now})
	if p != nil {
		p.have.add(ev.Seq)
	}
}

// flowed notes a chunk on a push stream; it tells whether the chunk came as soon as it could.
func (s *Swarm) flowed(st *stripe, p *peer, seq uint64) bool {
	i := seq % uint64(s.k)
	live := seq >= st.live
	if !st.last.IsZero() && live {
		d := s.now.Sub(st.last)
		if st.every == 0 {
			st.every = d
		}
		st.every += (d - st.every) / 8
	}
	if st.dead {
		s.rerouted(int(i))
	}
	st.last, st.dead = s.now, false
	st.top = max(st.top, seq+1)
	st.behind = time.Time{}
	if s.win.end() > st.top+uint64(s.k) {
		st.behind = s.now
	}
	if live {
		st.got++
	}
	switch {
	case p.unacked != 0:
	case p.id == s.cfg.Owner: // it is to know soon when one of its children says nothing any more
		s.at(later(s.now, p.ackAt))
	default:
		s.at(s.now.Add(ackEvery))
	}
	p.unacked |= 1 << i
	p.lastSeq, p.lastAt = seq, s.now
	return live
}

// settled ends the asking for a chunk that has come.
func (s *Swarm) settled(c *chunkState, from *peer, repair bool) {
	if p := c.asked; p != nil {
		p.outstanding--
		if p == from && repair {
			p.bad = max(p.bad-1, 0)
			p.answer.add(max(0, s.now.Sub(c.when)-p.distance()))
		}
		c.asked = nil
	}
	if repair && c.tries > 0 {
		s.stats.Repaired++
	}
}

// produced takes in a chunk that this gateway made.
func (s *Swarm) produced(ev Produced) {
	if ev.Epoch != s.epoch || ev.Seq < s.win.end() && s.win.held > 0 {
		s.stats.Stale++
		return
	}
	if len(s.win.chunks) > 0 && ev.Seq > s.win.end()+maxJump {
		s.restart(ev.Seq)
	}
	s.rate.add(ev.Size, s.now)
	s.hold(ev.Seq, chunkState{key: ev.Key, vital: ev.Vital, size: ev.Size, wall: ev.Wall, arrived: s.now})
}

// hold keeps a new chunk, forwards it, and plays what can be played.
func (s *Swarm) hold(seq uint64, c chunkState) {
	s.stats.Received++
	end := s.win.end()
	s.win.hold(seq, c)
	s.do(Keep{s.epoch, seq})
	s.forward(seq, s.win.at(seq))
	if seq >= end {
		s.advance(s.now)
	}
	s.play()
}

// advance notes for every stripe whether it is behind, now that a later chunk is known.
func (s *Swarm) advance(now time.Time) {
	if s.owner() {
		return
	}
	end := s.win.end()
	s.at(now.Add(repairSlack))
	for i := range s.stripes {
		if st := &s.stripes[i]; st.parent != nil && st.behind.IsZero() && end > st.top+uint64(s.k) {
			st.behind = now
			s.at(now.Add(silence))
		}
	}
}

// restart gives up all that is held, because the owner has gone on far beyond it.
func (s *Swarm) restart(seq uint64) {
	s.forgetAll()
	s.win = window{low: seq}
	s.do(Forget{s.epoch, seq})
	if s.begun {
		s.begun, s.resume = false, s.next
	}
	for i := range s.stripes {
		s.stripes[i].top = 0
	}
}

// forgetAll ends the asking for chunks, before the window is thrown away.
func (s *Swarm) forgetAll() {
	for i := range s.win.chunks {
		if p := s.win.chunks[i].asked; p != nil {
			p.outstanding--
		}
	}
	for _, p := range s.kids {
		p.backlog, p.flight = nil, nil
	}
}

// acks tells parents what has come.
func (s *Swarm) acks() {
	for _, p := range s.linked {
		if p.unacked == 0 {
			continue
		}
		if s.now.Before(p.ackAt) {
			s.at(p.ackAt)
			continue
		}
		p.ackAt = s.now.Add(ackEvery)
		m := Ack{Epoch: s.epoch, Last: p.lastSeq, Stamp: uint64(p.lastAt.UnixMicro())}
		for i := range s.stripes {
			if p.unacked&(1<<i) != 0 && s.stripes[i].top > 0 {
				m.Seqs = append(m.Seqs, s.stripes[i].top-1)
			}
		}
		p.unacked = 0
		if p.open && len(m.Seqs) > 0 {
			s.send(p, m)
		}
	}
}

// trim forgets old chunks.
func (s *Swarm) trim() {
	if s.now.Before(s.trimmed.Add(time.Second)) {
		s.at(s.trimmed.Add(time.Second))
		return
	}
	s.trimmed = s.now
	s.at(s.now.Add(time.Second))
	below := s.win.low
	last, ok := s.win.lastKey()
	for ; below < s.win.end(); below++ {
		c := s.win.at(below)
		age := s.now.Sub(c.arrived)
		if c.held && (age < keepFor || ok && below >= last && age < keepAtAll) {
			break
		}
		if s.begun && below >= s.next && s.win.end()-below < maxWindow {
			break
		}
	}
	bytes := s.win.bytes
	for q := s.win.low; q < s.win.end() && (bytes > s.cfg.MaxBytes || s.win.end()-q > maxWindow); q++ {
		if c := s.win.at(q); c.held {
			bytes -= c.size
		}
		below = max(below, q+1)
	}
	if below == s.win.low {
		return
	}
	for q := s.win.low; q < below; q++ {
		if c := s.win.at(q); c != nil && c.asked != nil {
			c.asked.outstanding--
		}
	}
	s.win.forget(below)
	s.do(Forget{s.epoch, below})
	if s.begun && s.next < below {
		s.skip(below)
	}
}
