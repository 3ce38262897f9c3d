package swarm

import (
	"math/bits"
	"slices"
	"time"
)

// first returns where a child begins: where it was, else with the last key chunk. Where the upload does not carry much
// more than the channel it would lag for long; it begins with the next key chunk if that is nearer.
func (s *Swarm) first(p *peer, m *Attach) uint64 {
	if m.Resume && m.Have.Base >= s.win.low && m.Have.Base <= s.win.end() {
		return m.Have.Base
	}
	key, ok := s.win.lastKey()
	if !ok || !m.Resume && s.owner() && s.size >= fewMembers && s.sources() == 1 {
		return s.win.end() // an owner of many has no upload for what was before
	}
	if before, ok := s.win.keyBefore(key); ok && !m.Resume && s.pace(p) < thinPace*s.stripeRate()*float64(bits.OnesCount64(p.down)) {
		group, age := s.win.at(key).wall.Sub(s.win.at(before).wall), s.now.Sub(s.win.at(key).arrived)
		if age > group/2 && age < group {
			return s.win.end()
		}
	}
	return key
}

// thinPace is how many times its rate a newcomer must be sent for it to catch up soon.
const thinPace = 1.5

// catchUp queues what a new child lacks of its stripes.
func (s *Swarm) catchUp(p *peer, mask uint64, m *Attach, from uint64) {
	keep := p.backlog[:0]
	for _, q := range p.backlog { // of its other stripes
		if mask&(1<<(q%uint64(s.k))) == 0 {
			keep = append(keep, q)
		}
	}
	p.backlog = keep
	p.flight = slices.DeleteFunc(p.flight, func(f flying) bool { return mask&(1<<(f.seq%uint64(s.k))) != 0 })
	for q := from; q < s.win.end(); q++ {
		if mask&(1<<(q%uint64(s.k))) != 0 && s.win.holds(q) && !m.Have.holds(q) {
			p.backlog = append(p.backlog, q)
		}
	}
	s.drain(p)
}

// pace returns the bytes a second at which a child is caught up: four stripes' rate, or twice that of its own when
// these are more, but no more than the upload that is left. Of a line that is full it is at least what is pushed anyway and one
// stripe more for all who are behind: what comes new waits for it, and with it all who have the stripe through the child.
func (s *Swarm) pace(p *peer) float64 {
	stripe := s.stripeRate()
	own := bits.OnesCount64(p.down)
	want := stripe * float64(max(4, 2*own))
	behind, theirs := s.behind()
	least := max(1.1*stripe*float64(own), stripe*(float64(own)+1/float64(max(1, behind))))
	switch {
	case s.pressure() > pressed:
		return least // what is pushed to all goes before what was
	case p.local || s.upload >= Unlimited:
		return 4 * want
	}
	left := usable * (float64(s.upload)/8/Wire - stripe*float64(s.total()+s.moves()-theirs))
	return max(least, min(want, left/float64(max(1, behind))))
}

// behind returns how many children are being caught up, and how many slots they have.
func (s *Swarm) behind() (children, slots int) {
	for _, q := range s.kids {
		if len(q.backlog) > 0 {
			children++
			slots += bits.OnesCount64(q.down)
		}
	}
	return children, slots
}

// debt is how many slots newcomers do not get because children are being caught up, each at half as much again as its
// stripes take: else those who come while others are behind take what these need, and all stay behind.
func (s *Swarm) debt() int {
	if s.size < smallSwarm || s.upload >= Unlimited {
		return 0
	}
	_, slots := s.behind()
	return slots / 2
}

// pressure returns for how long what is sent now waits for the line: by what was pushed and given lately, and by what half
// of the children see, at least. A child on a machine that stands still for a moment sees a queue that is not the line's.
func (s *Swarm) pressure() time.Duration {
	var seen []time.Duration
	for _, p := range s.kids {
		if !s.doubtful(p) {
			seen = append(seen, p.queue(s.now))
		}
	}
	queue := max(0, s.lineBusy.Sub(s.now))
	if len(seen) > 0 {
		slices.Sort(seen)
		queue = max(queue, seen[(len(seen)-1)/2])
	}
	return queue
}

// sends notes what takes the line to a peer. The upload may be more than is known: after a second that is forgotten.
func (s *Swarm) sends(p *peer, bytes int) {
	if !p.local && s.upload > 0 && s.upload < Unlimited {
		takes := time.Duration(Wire * float64(bytes) * 8 / float64(s.upload) * float64(time.Second))
		s.lineBusy = earlier(later(s.lineBusy, s.now).Add(takes), s.now.Add(time.Second))
	}
}

// burst returns the bytes that the catching up of a child may begin with: of all such children at once no more than the
// line takes in a moment.
func (s *Swarm) burst(p *peer) int {
	if p.local || s.upload >= Unlimited {
		return burst
	}
	children, _ := s.behind()
	return min(burst, int(burstTime.Seconds()*float64(s.upload)/8)/max(1, children))
}

// stripeRate returns the bytes a second of a stripe.
func (s *Swarm) stripeRate() float64 { return float64(max(s.slotRate(), 64_000)) / 8 / float64(s.k) }

// drain pushes of a child's backlog what its pace allows.
func (s *Swarm) drain(p *peer) {
	perSecond := s.pace(p)
	for len(p.backlog) > 0 {
		q := p.backlog[0]
		c := s.win.at(q)
		if c == nil || !c.held || p.down&(1<<(q%uint64(s.k))) == 0 || p.have.holds(q) {
			p.backlog = p.backlog[1:]
			continue
		}
		if !p.paced.take(c.size, perSecond, max(s.burst(p), c.size), s.now) {
			s.at(s.now.Add(time.Duration((float64(c.size)-p.paced.left)/perSecond*float64(time.Second)) + time.Millisecond))
			return
		}
		p.backlog = p.backlog[1:]
		s.push(p, q, c)
	}
	p.backlog = nil
}
