package swarm

import (
	"slices"
	"time"
)

// ownerClock is the owner's clock as estimated here.
type ownerClock struct {
	ahead time.Duration // owner's less ours
	error time.Duration // bound; negative: unknown
	at    time.Time     // of the estimate
}

// clockDrift is by how much of the time that passes a clock may go wrong: twice 100 ppm, a poor crystal each.
const clockDrift = 5000 // one part in

// greet sends a heartbeat now.
func (s *Swarm) greet(p *peer, ask bool) { s.beat(p, ask, 0, true) }

// beat sends a heartbeat.
func (s *Swarm) beat(p *peer, ask bool, echo uint64, all bool) {
	m := Heartbeat{Epoch: s.epoch, Ask: ask, Echo: echo, Slots: s.slots(), Spare: s.spare(), Home: s.homes()}
	m.Stripes, m.Leaves = s.open(p)
	p.hello.room = m.Stripes | m.Leaves
	if ask {
		m.Stamp = uint64(s.now.UnixMicro())
		p.hello.ping = s.now.Add(pingEvery)
	}
	if all {
		p.hello.version = 0
	}
	if mask := s.unknown(p); mask != 0 && (all || p.down != 0 || !s.now.Before(p.hello.paths)) {
		m.Paths = s.ways(mask)
		p.hello.version, p.hello.paths = s.paths, s.now.Add(pathsEvery)
	}
	if s.owner() {
		m.Wall = uint64(s.now.UnixMicro())
	} else if s.clock.error >= 0 {
		m.Wall = uint64(s.now.Add(s.clock.ahead).UnixMicro())
		m.Error = uint64(s.clockError() / time.Microsecond)
	}
	if s.near(p) {
		from := s.win.low
		if s.begun {
			from = s.next
		}
		m.Have = s.win.have(from)
	}
	s.send(p, m)
}

// near tells whether the peer is one whom it helps to know what is held here.
func (s *Swarm) near(p *peer) bool {
	if p.up|p.asked|p.down != 0 {
		return true
	}
	return !s.owner() && p.depth != 0 && (p.mine || s.now.Sub(p.wanted) < suspectAfter)
}

// heartbeats sends those that are due.
func (s *Swarm) heartbeats() {
	for _, p := range s.linked {
		if p.down != 0 && p.down&s.unknown(p) != 0 || s.news(p) {
			p.hello.next = time.Time{}
		}
		if s.now.Before(p.hello.next) {
			s.at(p.hello.next)
			continue
		}
		every := max(idleHeartbeat, s.reportEvery)
		if s.owner() && p.down == 0 {
			continue // it answers who asks
		}
		switch {
		case p.up|p.asked|p.down != 0:
			every = heartbeatEvery
		case s.near(p):
			every = neighbourEvery
		}
		s.beat(p, !s.now.Before(p.hello.ping) && !s.owner(), 0, false)
		// A random tenth keeps members from speaking in step.
		p.hello.next = s.now.Add(every - time.Duration(s.rng.Int64N(int64(every)/10)))
		s.at(p.hello.next)
	}
}

// news tells whether there is room now for a peer that looks for a parent and was told that there is none.
func (s *Swarm) news(p *peer) bool {
	if p.seeks == 0 || s.now.Sub(p.sought) > suspectAfter || s.now.Before(p.newsAt) {
		return false
	}
	p.newsAt = s.now.Add(minWait)
	room, leaves := s.open(p)
	return (room|leaves)&p.seeks&^p.hello.room != 0
}

// heartbeat takes in a heartbeat.
func (s *Swarm) heartbeat(p *peer, m *Heartbeat) {
	s.newer(p, m.Epoch)
	if m.Epoch != p.epoch {
		p.epoch, p.have = m.Epoch, Have{}
	}
	if again := p.refused & (m.Stripes&^p.serves | m.Leaves&^p.leaves); again != 0 {
		p.refused &^= again // it has room again
		s.due = s.now
	}
	if s.wanting()&(m.Stripes|m.Leaves) != 0 {
		s.due = s.now
	}
	if p.id == s.cfg.Owner {
		s.vacant(m.Stripes)
	}
	p.told, p.joined, p.slots, p.spare, p.serves, p.leaves, p.home = true, true, m.Slots, m.Spare, m.Stripes, m.Leaves, m.Home
	if m.Have.Full > 0 || len(m.Have.Bits) > 0 {
		p.wanted = s.now
	}
	if m.Epoch == s.epoch {
		p.have = m.Have.clone()
		for _, q := range p.flight { // on its way
			p.have.add(q.seq)
		}
		if !s.owner() && m.Have.end() > s.win.end()+uint64(s.k) && s.win.held > 0 {
			s.overtaken(m.Have.end())
		}
	}
	if len(m.Paths) > 0 {
		s.routes(p, m.Paths)
	}
	if m.Echo != 0 {
		s.echo(p, m)
	}
	if m.Ask {
		s.beat(p, false, m.Stamp, false)
	}
}

// overtaken notes that a neighbour holds chunks of which none has come here.
func (s *Swarm) overtaken(end uint64) {
	for i := range s.stripes {
		if st := &s.stripes[i]; st.parent != nil && st.behind.IsZero() && end > st.top+uint64(s.k) {
			st.behind = s.now
			s.at(s.now.Add(silence))
		}
	}
}

// echo takes the round trip and the owner's clock from the answer to a heartbeat.
func (s *Swarm) echo(p *peer, m *Heartbeat) {
	rtt := s.now.Sub(time.UnixMicro(int64(m.Echo)))
	if rtt < 0 || rtt > 30*time.Second {
		return
	}
	p.rtt.add(rtt)
	if m.Wall == 0 || s.owner() {
		return
	}
	bound := time.Duration(min(m.Error, 1<<40))*time.Microsecond + rtt/2
	if s.clock.error < 0 || bound <= s.clockError() {
		s.clock = ownerClock{time.UnixMicro(int64(m.Wall)).Add(rtt / 2).Sub(s.now), bound, s.now}
	}
}

// clockError bounds the error of the owner's clock now.
func (s *Swarm) clockError() time.Duration {
	return s.clock.error + s.now.Sub(s.clock.at)/clockDrift
}

// routes takes in how a peer gets its stripes.
func (s *Swarm) routes(p *peer, paths []Path) {
	for i := range paths {
		m := &paths[i]
		for j := range s.stripes {
			if m.Stripes&(1<<j) == 0 {
				continue
			}
			r := &p.routes[j]
			changed := r.rooted != m.Rooted || !slices.Equal(r.hops, m.Hops)
			r.rooted, r.hops, r.delay = m.Rooted, m.Hops, time.Duration(m.Delay)*time.Millisecond
			if st := &s.stripes[j]; changed && st.parent == p {
				s.rerouted(j)
				s.due = s.now
				s.loop(j)
			}
		}
	}
	p.depth = -1
	for j := range p.routes {
		if r := &p.routes[j]; r.rooted {
			p.depth = max(p.depth, len(r.hops))
		}
	}
}

// loop takes this member out of a loop if it is the lowest on it.
func (s *Swarm) loop(i int) {
	p := s.stripes[i].parent
	at := slices.Index(p.routes[i].hops, s.hop)
	if at < 0 {
		return
	}
	for _, h := range append(p.routes[i].hops[:at:at], p.hop) {
		if h < s.hop {
			return
		}
	}
	s.detach(p, 1<<i)
	s.orphan(i)
	s.refuse(p, 1<<i, refusedFor)
}

// rerouted notes that a stripe comes another way.
func (s *Swarm) rerouted(i int) {
	s.paths++
	s.stripes[i].way = s.paths
}

// unknown returns the mask of the stripes of which a peer does not know how they come here.
func (s *Swarm) unknown(p *peer) (mask uint64) {
	if s.owner() {
		if p.hello.version == 0 {
			return s.all()
		}
		return 0
	}
	if p.hello.version == s.paths {
		return 0
	}
	for i := range s.stripes {
		if s.stripes[i].way > p.hello.version || p.hello.version == 0 {
			mask |= 1 << i
		}
	}
	return mask
}

// ways returns how stripes come here, in as few paths as there are different ones.
func (s *Swarm) ways(mask uint64) []Path {
	if s.owner() {
		return []Path{{Stripes: mask, Rooted: true}}
	}
	var ps []Path
next:
	for i := range s.stripes {
		if mask&(1<<i) == 0 {
			continue
		}
		p := s.path(i)
		for j := range ps {
			if ps[j].Rooted == p.Rooted && slices.Equal(ps[j].Hops, p.Hops) {
				ps[j].Stripes |= p.Stripes
				continue next
			}
		}
		ps = append(ps, p)
	}
	return ps
}

// path returns how a stripe comes here.
func (s *Swarm) path(i int) Path {
	p := s.stripes[i].parent
	if p == nil {
		return Path{Stripes: 1 << i}
	}
	r := &p.routes[i]
	hops := append(append(make([]uint64, 0, len(r.hops)+1), p.hop), r.hops...)
	return Path{Stripes: 1 << i, Rooted: s.rooted(i), Hops: hops[:min(len(hops), MaxHops)], Delay: s.wayDelay(i)}
}

// wayDelay returns the milliseconds that a stripe's chunks take from the owner to here.
func (s *Swarm) wayDelay(i int) int {
	st := &s.stripes[i]
	d := st.parent.routes[i].delay + st.parent.distance()/2
	if st.usual.n >= averageSome && s.clock.error >= 0 && s.clockError() < clockGood {
		d = max(0, st.usual.mean+s.clock.ahead)
	}
	return int(min(d, time.Minute) / time.Millisecond)
}

// clockGood is the error of the owner's clock up to which delays are measured with it.
const clockGood = 50 * time.Millisecond

// rooted tells whether a stripe comes from the owner without a break.
func (s *Swarm) rooted(i int) bool {
	p := s.stripes[i].parent
	return p != nil && !s.stripes[i].dead && (p.routes[i].rooted || p.id == s.cfg.Owner)
}

// depth returns the hops of a stripe from the owner.
func (s *Swarm) depth(i int) int {
	if p := s.stripes[i].parent; p != nil {
		return len(p.routes[i].hops) + 1
	}
	return -1
}

// onPath tells whether a stripe comes through the gateway with a hop.
func (s *Swarm) onPath(i int, hop uint64) bool {
	p := s.stripes[i].parent
	return p != nil && (p.hop == hop || slices.Contains(p.routes[i].hops, hop))
}
