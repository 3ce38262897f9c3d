package swarm

import (
	"slices"
	"time"
)

// candidates takes in gateways that may be members.
func (s *Swarm) candidates(ev Candidates) {
	for i := range ev.Members {
		s.tracker = s.tracker || ev.Tracker && ev.Members[i].ID == s.cfg.Self
		p := s.learn(&ev.Members[i], false)
		if p == nil {
			continue
		}
		p.tracker = p.tracker || ev.Tracker
		p.keep = p.keep || ev.Keep
		p.local = p.local || ev.Local
		p.refused = 0 // who names it may know that it has become a member
		if ev.Keep || ev.Local {
			p.again = time.Time{}
		}
		if p.link == linked && !p.told && !s.owner() {
			s.send(p, s.findMessage(p))
		}
	}
	s.relink()
}

// up notes that a control stream to the peer is there.
func (s *Swarm) up(id ID, rtt time.Duration, local bool) *peer {
	p := s.find(id)
	if p == nil {
		return nil
	}
	p.local = p.local || local
	if rtt > 0 && !p.rtt.set {
		p.rtt.add(rtt)
	}
	if p.link == linked {
		return p
	}
	p.link, p.since, p.failures, p.heard, p.leaving = linked, s.now, 0, s.now, false
	s.linked = append(s.linked, p)
	p.hello, p.refused, p.epoch = hello{}, 0, 0
	if !s.owner() && s.leaving.IsZero() {
		s.send(p, s.findMessage(p))
	}
	s.greet(p, true)
	return p
}

// down notes that there is no control stream to the peer.
func (s *Swarm) down(id ID, ban time.Duration) {
	p := s.peers[id]
	if p == nil {
		if ban > 0 {
			p = s.find(id)
		}
		if p == nil {
			return
		}
	}
	if ban > 0 {
		p.banned = s.now.Add(ban)
	}
	p.failures++
	p.again = s.now.Add(s.backoff(p.failures))
	s.unlink(p)
	s.relink()
}

// unlink ends all relations to a peer.
func (s *Swarm) unlink(p *peer) {
	if p.link == linked {
		s.linked = slices.DeleteFunc(s.linked, func(q *peer) bool { return q == p })
	}
	p.link, p.mine, p.told, p.depth, p.have = unlinked, false, false, -1, Have{}
	clear(p.routes)
	s.abandon(p)
	s.dismiss(p, p.down)
	p.outstanding, p.standing = 0, 0
	for i := range s.win.chunks {
		if s.win.chunks[i].asked == p {
			s.win.chunks[i].asked = nil
		}
	}
}

// backoff returns how long to wait after a number of failures, with a random part so that members do not dial in step.
func (s *Swarm) backoff(failures int) time.Duration {
	d := min(dialAgain<<min(failures-1, 10), dialSlowest)
	return d/2 + time.Duration(s.rng.Int64N(int64(d)))
}

// links dials who is needed, gives up who does not answer, and who is not needed.
func (s *Swarm) links() {
	s.linksAt = s.now.Add(linksEvery)
	s.warm()
	up, dials := len(s.linked), 0
	for _, p := range s.order {
		if p.link == dialling {
			if s.now.Sub(p.since) < dialPatience {
				dials++
				s.at(p.since.Add(dialPatience))
				continue
			}
			s.disconnect(p)
			p.failures++
			p.again = s.now.Add(s.backoff(p.failures))
			p.link = unlinked
		}
	}
	if s.owner() || !s.leaving.IsZero() {
		return
	}
	for dials < maxDials {
		p := s.dialable()
		if p == nil || up+dials >= neighbours && !p.urgent && !p.tracker && !(s.promises(p) && up+dials < maxLinks+maxDials) && !s.sample() {
			break
		}
		p.link, p.mine, p.since, p.urgent = dialling, true, s.now, false
		s.do(Connect{p.id, p.addresses})
		s.at(s.now.Add(dialPatience))
		dials++
	}
	if up > maxLinks {
		s.prune(up - maxLinks)
	}
	s.seek()
}

// dialable returns the peer to dial next: at the same site, configured, then at random, those that failed least first.
func (s *Swarm) dialable() *peer {
	var best *peer
	rank, ties := 0, 0
	for _, p := range s.order {
		if p.link != unlinked || s.now.Before(p.banned) || len(p.addresses) == 0 && !p.keep {
			continue
		}
		if s.now.Before(p.again) {
			s.at(p.again)
			continue
		}
		r := p.failures * 4
		switch {
		case p.urgent:
			r = -2
		case s.promises(p):
			r--
		case p.local:
		case p.keep, p.id == s.cfg.Owner:
			r++
		case p.slots > 0:
			r += 2
		default:
			r += 3
		}
		switch {
		case best == nil || r < rank:
			best, rank, ties = p, r, 1
		case r == rank:
			if ties++; s.rng.IntN(ties) == 0 {
				best = p
			}
		}
	}
	return best
}

// promises tells whether a peer was said to have room for a stripe that lacks a parent.
func (s *Swarm) promises(p *peer) bool {
	lacks := s.wanting()
	if lacks == s.all() && s.state != Joined || p.depth < 0 {
		return false
	}
	return lacks&(p.serves|p.leaves&s.homes()) != 0 || s.thin&(p.serves|p.leaves&s.homes()) != 0
}

// warm counts the linked peers that forward each stripe, beside its parent: those that could take over. It sets thin to
// the mask of the stripes that have too few.
func (s *Swarm) warm() {
	s.ready, s.thin, s.site = make([]int, s.k), 0, false
	for _, p := range s.linked {
		s.site = s.site || p.local
	}
	if s.owner() || s.size < fewMembers {
		return
	}
	for _, p := range s.linked {
		if p.slots == 0 || p.id == s.cfg.Owner {
			continue
		}
		for i := range s.stripes {
			if s.stripes[i].parent != p && s.eligible(p, i) {
				s.ready[i]++
			}
		}
	}
	for i, n := range s.ready {
		if n < backups {
			s.thin |= 1 << i
		}
	}
}

// needed tells whether without a peer a stripe would have too few that could take over.
func (s *Swarm) needed(p *peer) bool {
	for i, n := range s.ready {
		if n <= backups && p.slots > 0 && (p.serves|p.leaves)&(1<<i) != 0 {
			return true
		}
	}
	return false
}

// sample tells whether one more peer may be dialled to learn how far it is: of all known the nearest are to be found.
func (s *Swarm) sample() bool {
	if s.now.Before(s.sampleAt) || s.state != Joined {
		return false
	}
	every := sampleEvery
	if s.samples++; s.samples > sampled {
		every = sampleSlow
	}
	s.sampleAt = s.now.Add(every/2 + time.Duration(s.rng.Int64N(int64(every))))
	return true
}

// prune gives up n links of which nothing is had, the farthest first.
func (s *Swarm) prune(n int) {
	for ; n > 0; n-- {
		var worst *peer
		for _, p := range s.linked {
			if !p.mine || p.keep || p.local || p.id == s.cfg.Owner || p.up|p.asked|p.down != 0 || s.now.Sub(p.since) < settleAfter || s.needed(p) {
				continue
			}
			if worst == nil || p.distance() > worst.distance() {
				worst = p
			}
		}
		if worst == nil {
			return
		}
		s.disconnect(worst)
		s.unlink(worst)
		worst.again = s.now.Add(s.backoff(4))
	}
}

// disconnect ends what Connect began.
func (s *Swarm) disconnect(p *peer) {
	if p.mine {
		s.do(Disconnect{p.id})
	}
	p.mine = false
}

// seek asks for more members, often while parents lack.
func (s *Swarm) seek() {
	every := findIdle
	switch {
	case s.wanting() != 0, s.astray() && s.now.Sub(s.joining) < findThin:
		every = findEvery
	case s.thin != 0, s.astray():
		every = findThin
	}
	if at := s.sought.Add(every); s.now.Before(at) {
		s.at(at)
		return
	}
	s.sought = s.now
	s.at(s.now.Add(every))
	asked := 0
	for _, p := range s.shuffled() {
		switch {
		case !s.usable(p):
		case p.id == s.cfg.Owner, p.tracker: // it has to answer everybody
			if !s.now.Before(p.askAgain) {
				p.askAgain = s.now.Add(askOwner + time.Duration(s.rng.Int64N(int64(askOwner))))
				s.send(p, s.findMessage(p))
			}
		case asked < 2:
			s.send(p, s.findMessage(p))
			asked++
		}
	}
	for _, p := range append([]*peer(nil), s.order...) {
		if p.link == unlinked && !p.keep && p.id != s.cfg.Owner && s.now.Sub(p.named) > forgetAfter && !s.now.Before(p.banned) {
			s.drop(p)
		}
	}
}

// astray tells whether nobody has said yet where the owner is, from whom the channel can be had when all others go.
func (s *Swarm) astray() bool {
	p := s.peers[s.cfg.Owner]
	return !s.owner() && (p == nil || p.link == unlinked && len(p.addresses) == 0 && !p.keep)
}

// shuffled returns the peers in random order.
func (s *Swarm) shuffled() []*peer {
	ps := append([]*peer(nil), s.order...)
	s.rng.Shuffle(len(ps), func(i, j int) { ps[i], ps[j] = ps[j], ps[i] })
	return ps
}

func (s *Swarm) findMessage(p *peer) Find {
	return Find{Self: s.self(p), Want: s.wantNames(p), Stripes: s.wanting() | s.thin}
}

// wantNames is how many members a peer is asked for: few give many answers where several are asked.
func (s *Swarm) wantNames(p *peer) int {
	if s.state == Joined && p.id != s.cfg.Owner {
		return MaxMembers / 4
	}
	return MaxMembers
}

// findAsked answers Find.
func (s *Swarm) findAsked(p *peer, m *Find) {
	s.learn(&m.Self, true)
	want := min(m.Want, MaxMembers)
	if !p.sought.IsZero() {
		want = min(want, namesAgain)
	}
	names := s.named(p, want, m.Stripes)
	if s.owner() && m.Stripes != 0 && m.Self.Depth >= 0 { // it has lost a stripe that the owner's children have
		names = append(s.holders(p, m.Stripes), names...)
		names = names[:min(len(names), MaxMembers)]
	}
	s.send(p, Members{Self: s.self(p), Members: names, Size: s.size, Givers: s.givers})
	p.seeks, p.sought = m.Stripes, s.now
}

// membersTold takes in the answer to Find.
func (s *Swarm) membersTold(p *peer, m *Members) {
	s.learn(&m.Self, true)
	s.hints(m.Members)
	if p.up != 0 && len(m.Members) == 1 { // by introduce
		if g := s.peers[m.Members[0].ID]; g != nil && g.link == unlinked && !s.now.Before(g.again) {
			g.urgent = true
		}
	}
	if m.Size > s.size {
		s.size, s.givers = m.Size, m.Givers
	}
	s.relink()
}

// hints takes in members that a peer speaks of.
func (s *Swarm) hints(ms []Member) {
	for i := range ms {
		if p := s.learn(&ms[i], false); p != nil {
			p.joined = true
		}
	}
	s.relink()
}

// instead names members to a peer that is refused stripes: the own children of them, which have them and are near the
// top, and others.
func (s *Swarm) instead(to *peer, stripes uint64) []Member {
	return append(s.holders(to, stripes), s.named(to, 4, stripes)...)
}

// holders names own children that forward stripes.
func (s *Swarm) holders(to *peer, stripes uint64) (ms []Member) {
	for _, p := range s.kids {
		if p != to && p.down&stripes != 0 && p.contributes(p.down&stripes) && len(p.addresses) > 0 && len(ms) < 4 {
			m := p.member()
			m.Stripes |= p.down & stripes & p.home // it has had no time to say so
			ms = append(ms, m)
		}
	}
	return ms
}

// named is others within what may be spent on names: many who ask must not fill the line.
func (s *Swarm) named(to *peer, n int, stripes uint64) []Member {
	perSecond := namesRate * float64(s.slotRate()) / 8
	s.naming.take(0, perSecond, namesBurst*nameSize, s.now)
	n = min(n, max(namesLeast, int(s.naming.left)/nameSize/namesShare))
	if !s.naming.take(n*nameSize, perSecond, namesBurst*nameSize, s.now) && !to.sought.IsZero() {
		return nil
	}
	return s.others(to, n, stripes)
}

// What is spent on naming members to those who ask.
const (
	nameSize   = 100  // bytes of a member, about
	namesRate  = 0.02 // of the channel's rate
	namesBurst = 400  // members
	namesShare = 8    // one in so many of what may be named now are named at once: others will ask
	namesLeast = 3    // are always named to who asks for the first time: it waits for that
	namesAgain = 8    // for who has asked before
	askOwner   = 3 * time.Second
)

// others names members to a peer: first some with room that have all of the stripes between them, then those that forward
// them, the rest at random. Who is no member itself is not named: its addresses are not for all members to know.
func (s *Swarm) others(to *peer, n int, stripes uint64) []Member {
	n = max(0, min(n, MaxMembers))
	var first, good, rest []Member
	lacks := stripes
	for _, p := range s.shuffled() {
		if p == to || !p.joined || s.now.Before(p.banned) || p.leaving || len(p.addresses) == 0 || p.link != linked && (p.failures > 0 || s.now.Sub(p.named) > time.Minute) {
			continue
		}
		if lacks == 0 {
			lacks = stripes
		}
		switch {
		case p.depth >= 0 && p.spare > 0 && p.serves&lacks != 0:
			first, lacks = append(first, p.member()), lacks&^p.serves
		case p.depth >= 0 && p.slots > 0 && (stripes == 0 && p.spare > 0 || (p.serves|p.home)&stripes != 0):
			good = append(good, p.member())
		default:
			rest = append(rest, p.member())
		}
	}
	all := append(append(first, good...), rest...)
	return all[:min(n, len(all))]
}

// relink lets links look at the peers again now.
func (s *Swarm) relink() { s.linksAt, s.due = s.now, s.now }
