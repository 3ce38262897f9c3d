package swarm

import "time"

// describe begins an epoch.
func (s *Swarm) describe(epoch uint64, k int) {
	k = max(1, min(k, MaxStripes))
	if k != s.k {
		s.home, s.reportedAt = 0, time.Time{}
		for _, e := range s.roster {
			e.home = 0
		}
	}
	s.epoch, s.k = epoch, k
	s.stripes, s.used = make([]stripe, s.k), make([]int, s.k)
	s.win = window{}
	s.begun, s.next, s.resume, s.caught = false, 0, 0, false
	s.lag, s.hist = estimate{}, histogram{}
	s.supply, s.complaints, s.granted = make([]int, s.k), make([][]complaint, s.k), make([]time.Time, s.k)
	s.rootlessAt = make([]time.Time, s.k)
	if s.owner() {
		s.count()
	}
	s.paths++
}

// described takes in a newer descriptor: what was held is void, and the relations are made anew.
func (s *Swarm) described(ev Described) {
	if ev.Epoch <= s.epoch || !s.leaving.IsZero() {
		return
	}
	s.forgetAll()
	if ev.Rate > 0 {
		s.cfg.Rate = ev.Rate
	}
	for _, p := range s.order { // push streams stay open: members attach again on them when they have the descriptor
		if p.up != 0 {
			p.depth = max(p.depth, 0) // it has the descriptor, or had it from whom we had it
		}
		p.up, p.asked, p.unacked, p.refused, p.outstanding = 0, 0, 0, 0, 0
		p.routes, p.have = make([]route, max(1, min(ev.Stripes, MaxStripes))), Have{}
		p.child = child{}
		if p.id == s.cfg.Owner {
			p.depth = 0
		}
	}
	s.kids, s.filling = nil, nil
	s.describe(ev.Epoch, ev.Stripes)
	s.do(Forget{s.epoch, 0})
	s.joining, s.paused = s.now, time.Time{}
	if ev.Ended {
		s.tellAll(0)
		s.leave(Closed{Ended: true}, endNotice)
		return
	}
	s.tellAll(s.epoch)
	s.due = s.now
}

// tellAll sends a heartbeat to every linked peer that has not shown a newer epoch.
func (s *Swarm) tellAll(epoch uint64) {
	for _, p := range s.linked {
		if p.epoch < epoch || epoch == 0 {
			s.greet(p, false)
		}
	}
}

// newer asks for the descriptor of an epoch that a peer speaks of.
func (s *Swarm) newer(p *peer, epoch uint64) {
	if epoch <= s.epoch || s.owner() || s.now.Sub(s.fetched) < minWait {
		return
	}
	s.fetched = s.now
	s.do(Fetch{p.id, epoch})
}

// demand takes in who wants the channel.
func (s *Swarm) demand(ev Demand) {
	s.players, s.relay = ev.Players, ev.Relay
	if s.players > 0 || s.relay {
		s.idle = time.Time{}
	} else if s.idle.IsZero() && len(s.kids) == 0 {
		s.idle = s.now
	}
	s.due = s.now
}

// lifetime leaves when nobody wants the channel, and ends the leaving.
func (s *Swarm) lifetime() {
	switch {
	case !s.leaving.IsZero():
		if s.at(s.leaving); !s.now.Before(s.leaving) {
			s.finish()
		}
	case s.owner() || s.players > 0 || s.relay || len(s.kids) > 0:
		s.idle = time.Time{}
	case s.idle.IsZero():
		s.idle = s.now
		s.at(s.now.Add(s.cfg.IdleAfter))
	default:
		at := s.idle.Add(s.cfg.IdleAfter)
		if s.at(at); !s.now.Before(at) {
			s.leave(Closed{Idle: true}, leaveNotice)
		}
	}
}

// leave begins to leave: who depends on this member is told, and served for another moment.
func (s *Swarm) leave(how Closed, notice time.Duration) {
	if !s.leaving.IsZero() {
		return
	}
	s.closing = how
	if len(s.kids) == 0 && !how.Ended {
		notice = 0
	}
	s.leaving = s.now.Add(notice)
	if !how.Ended {
		for _, p := range s.linked {
			if (p.id == s.cfg.Owner || p.tracker) && !s.owner() {
				s.send(p, Report{Self: s.self(p), Leaves: true})
			}
			m := Leave{After: int(notice / time.Millisecond)}
			if p.down != 0 {
				m.Backups = s.others(p, 8, p.down)
			}
			s.send(p, m)
		}
	}
	if notice == 0 {
		s.finish()
		return
	}
	s.at(s.leaving)
}

// finish ends all relations.
func (s *Swarm) finish() {
	for _, p := range s.order {
		if p.up|p.asked != 0 && p.link == linked {
			s.send(p, Detach{Stripes: p.up | p.asked})
		}
		p.up, p.asked = 0, 0
		s.settle(p)
		s.dismiss(p, p.down)
		s.disconnect(p)
	}
	s.do(Forget{s.epoch, s.win.end()})
	s.do(s.closing)
	s.closed = true
}

// left takes in that a peer is about to go.
func (s *Swarm) left(p *peer, m *Leave) {
	p.leaving, p.spare, p.serves, p.leaves = true, 0, 0, 0
	if p.up != 0 {
		s.recommended(p, m.Backups, p.up)
	}
	s.hints(m.Backups)
	after := max(0, min(time.Duration(m.After)*time.Millisecond, attachHold))
	s.filling = nil
	if p.moving |= p.down; p.down != 0 { // its slots are free, but it goes on feeding its own children
		p.moveBy = s.now.Add(after)
		s.at(p.moveBy)
	}
	for i := range s.stripes {
		if s.stripes[i].heir == p {
			s.refuse(p, 1<<i, refusedFor)
		}
	}
	s.stopping(p, p.up, after)
}

// admission tells how the attempt to join stands.
func (s *Swarm) admission() {
	lacks := s.lacks()
	switch {
	case lacks == 0:
		s.state, s.why = Joined, 0
	case lacks == s.all() && s.state == Joined:
		s.state, s.joining = Joining, s.now
		s.caught = false
	case s.state != Joined && s.stuck():
		s.state = Waiting
	}
	if s.state == Waiting && lacks != s.all() && s.now.Sub(s.joining) > joinPatience {
		s.letGo()
	}
	why := s.why
	if s.state != Waiting {
		why = 0
	}
	if s.state != s.stats.State || why != s.told {
		s.stats.State, s.told = s.state, why
		s.do(Admission{s.state, why})
	}
}

// stuck tells whether there is nobody left to ask for what is lacking, and some have refused.
func (s *Swarm) stuck() bool {
	if at := s.joining.Add(refusedFor); s.now.Before(at) {
		s.at(at)
		return false
	}
	for i := range s.stripes {
		if s.stripes[i].heir != nil {
			return false
		}
	}
	if s.mustWait {
		s.why = RefusedCapacity
	}
	if s.why == 0 && !s.stranded() {
		s.why = RefusedFull // nobody had to say so: they told that they have no room
	}
	return s.why != 0
}

// letGo gives back the stripes of a newcomer that cannot get all: a channel in part is of no use to players, but may be
// what another one lacks. What it passes on stays: others depend on it.
func (s *Swarm) letGo() {
	var passed uint64
	for _, p := range s.kids {
		passed |= p.down
	}
	for _, p := range s.order {
		mask := (p.up | p.asked) &^ passed
		if mask == 0 {
			continue
		}
		s.detach(p, mask)
		p.asked &^= mask
		for i := range s.stripes {
			st := &s.stripes[i]
			if mask&(1<<i) == 0 {
				continue
			}
			if st.parent == p {
				s.orphan(i)
			}
			if st.heir == p {
				st.heir = nil
			}
		}
		s.settle(p)
	}
	s.paused = s.now.Add(waitAgain/2 + time.Duration(s.rng.Int64N(int64(waitAgain))))
	s.joining = s.paused
	s.at(s.paused)
}

// limits tries one slot more when queues have not grown for a while.
func (s *Swarm) limits() {
	if s.capped == 0 {
		return
	}
	if s.now.Before(s.uncap) {
		s.at(s.uncap)
		return
	}
	if s.total() >= s.capped {
		s.capped++
	}
	s.uncap = s.now.Add(uncapEvery)
}

// uncapEvery is how long a member that had to shed a stripe waits before it offers a slot more.
const uncapEvery = 30 * time.Second

// backups names those who could take over a stripe.
func (s *Swarm) backups(i int) []ID {
	var ids []ID
	for _, p := range s.linked {
		if p != s.stripes[i].parent && len(ids) < backups && s.eligible(p, i) {
			ids = append(ids, p.id)
		}
	}
	return ids
}
