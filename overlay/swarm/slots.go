package swarm

import (
	"math/bits"
	"slices"
	"time"
)

// slots returns how many slots this member offers: what its upload carries, less what is set aside for repair.
func (s *Swarm) slots() int {
	n := unlimitedChildren * s.k
	if s.upload < Unlimited {
		rate := s.slotRate()
		n = min(mostChildren*s.k, int(usable*float64(s.upload)*float64(s.k)/(Wire*float64(rate))))
		if s.owner() && s.size >= smallSwarm {
			n -= n % s.k // what is left of a rate is for repair and for those that begin
		}
		if s.owner() && float64(s.upload) >= slotTolerance*float64(rate) {
			n = max(n, s.k)
		}
	}
	if s.capped > 0 {
		n = min(n, s.capped)
	}
	return n
}

// slotRate returns the bit rate by which slots are reckoned. It follows the measured one only when that is clearly
// another, for slots that come and go would drive children about.
func (s *Swarm) slotRate() int {
	if s.rated == 0 {
		s.rated = max(s.cfg.Rate, 0)
		if s.rated == 0 {
			s.rated = defaultRate
		}
	}
	// A channel that stood still before it was described is told with too little: that shows before its steady rate does.
	if m := s.rate.perSecond * 8; s.rate.steady == 0 && m > 2*s.rated {
		s.rated = m
	}
	// A member that misses chunks measures too little, and must not take that for room.
	if m := s.rate.steady * 8; m > s.rated*6/5 || m > 0 && m < s.rated*4/5 && (s.owner() || s.cfg.Rate == 0) {
		s.rated = m
	}
	return s.rated
}

// homes returns the mask of the stripes that this member forwards. While there are few contributors each may forward
// all; among many, each has a few, so that trees are wide and shallow and a death costs mostly one stripe.
func (s *Swarm) homes() uint64 {
	if s.owner() || s.size < smallSwarm {
		return s.all()
	}
	return s.home
}

// homesOf is how many home stripes a contributor has: so many that it serves at most eight children in each, and that
// every stripe has three contributors where there are few.
func (s *Swarm) homesOf(slots, givers int) int {
	few := (stripeGivers*s.k + givers) / max(1, givers)
	return max(1, min(s.k, max((slots+childrenPerStripe-1)/childrenPerStripe, min(slots, few))))
}

// width is how many children a stripe may have here.
func (s *Swarm) width() int {
	n := max(1, bits.OnesCount64(s.homes()))
	return max(1, (s.slots()+n-1)/n)
}

// total returns how many slots are filled. Those of the own site cost no upload; those being moved away are free, and
// those of a child that is silent, which may be dead.
func (s *Swarm) total() int {
	return s.fills()[s.k]
}

// fills returns how many slots of each stripe are filled, and after them how many of all. They are counted once for an
// event.
func (s *Swarm) fills() []int {
	if s.filling != nil {
		return s.filling
	}
	s.filling = make([]int, s.k+1)
	for _, p := range s.kids {
		for m := s.counted(p); m != 0; m &= m - 1 {
			s.filling[bits.TrailingZeros64(m)]++
			s.filling[s.k]++
		}
	}
	return s.filling
}

// counted returns the mask of the stripes for which a child fills a slot.
func (s *Swarm) counted(p *peer) uint64 {
	if p.local || s.doubtful(p) {
		return 0
	}
	return p.down &^ p.moving
}

// filled returns how many of a stripe's slots are.
func (s *Swarm) filled(i int) int { return s.fills()[i] }

// spare returns how many slots a newcomer may hope for.
func (s *Swarm) spare() int { return max(0, s.slots()-s.reserve()-s.debt()-s.total()) }

// reserve is how many slots newcomers do not get: those who lose a parent shall find one.
func (s *Swarm) reserve() int {
	if s.owner() || s.slots() < s.k || s.size < fewMembers {
		return 0
	}
	return 1
}

// open returns the masks of the stripes for which there is room for a peer, and in which a contributor may take a
// leaf's place.
func (s *Swarm) open(p *peer) (room, leaves uint64) {
	slots := s.slots()
	if slots == 0 || !s.leaving.IsZero() {
		return 0, 0
	}
	if p != nil && p.local {
		return s.all(), 0
	}
	free := s.spare() > 0 || p != nil && p.depth >= 0 && s.total() < s.slots() // the reserve is for those who had a parent
	for i := range s.stripes {
		bit := uint64(1) << i
		if !s.owner() && !s.rooted(i) {
			continue
		}
		if free && s.offers(p, i, 0, p != nil && p.depth < 0) || p == nil && s.rootless(i) || p != nil && (s.heir(p, i) || s.outranked(p, i) != nil) {
			room |= bit
		}
		if s.homes()&bit != 0 && s.lesser(p, i) != nil && (!s.owner() || p != nil && s.root(p, i)) {
			leaves |= bit
		}
	}
	return room, leaves
}

// offers tells whether a stripe has room for a peer, given that there is a slot.
func (s *Swarm) offers(p *peer, i, tries int, newcomer bool) bool {
	bit := uint64(1) << i
	n := s.filled(i)
	if !s.owner() {
		return s.homes()&bit != 0 && n < s.width() && (n == 0 || s.size < smallSwarm || s.total()+s.unserved() < s.slots())
	}
	switch {
	case s.total()+s.unserved() >= s.slots():
		return false
	case s.size < smallSwarm, tries >= relentAfter:
		return true
	case newcomer && s.slots() >= 2*s.k:
		return true // it shall see something at once, and finds others later: see relieve
	case s.short():
		return n < s.width()
	case n >= s.sources():
		return false
	}
	return p != nil && s.root(p, i) || !s.provided(i)
}

// root tells, at the owner, whether a peer is one to be given a stripe: it forwards it to several others, and has no
// more stripes from the owner than others, so that its death does not cost all of them.
func (s *Swarm) root(p *peer, i int) bool {
	bit := uint64(1) << i
	if !p.contributes(bit) {
		return false
	}
	if s.size < fewMembers {
		return true
	}
	if s.deposed(p) {
		return false
	}
	each := max(1, (s.k*s.sources()+s.givers-1)/max(1, s.givers))
	return bits.OnesCount64(p.down&^p.moving|bit) <= each && p.slots/max(1, bits.OnesCount64(p.home)) >= rootWidth
}

// rootWidth is how many children in a stripe the owner's children shall have room for.
const rootWidth = 4

// rootless tells whether this is the owner, which can send the channel, and gives a stripe to nobody: whoever asks first
// gets it, since without it all lack it.
func (s *Swarm) rootless(i int) bool { return s.owner() && s.filled(i) == 0 && s.slots() >= s.k }

// heir tells whether a peer may have a stripe that the owner gives to nobody: in the first moment one that forwards it.
func (s *Swarm) heir(p *peer, i int) bool {
	if !s.rootless(i) || s.deposed(p) {
		return false
	}
	if s.size < fewMembers || s.root(p, i) {
		return true
	}
	return s.now.Sub(s.rootlessAt[i]) > rootWait
}

// rootWait is for how long a stripe that the owner gives to nobody waits for a member that forwards it.
const rootWait = 500 * time.Millisecond

// orphaned notes, at the owner, since when stripes are given to nobody, and tells some who forward them.
func (s *Swarm) orphaned() {
	if !s.owner() || s.size < fewMembers {
		return
	}
	for i := range s.stripes {
		if !s.rootless(i) {
			s.rootlessAt[i] = time.Time{}
			continue
		}
		if s.at(s.now.Add(rootWait)); s.rootlessAt[i].IsZero() {
			s.rootlessAt[i] = s.now
			for _, p := range s.heirs(i) {
				s.greet(p, false)
			}
		}
	}
}

// heirs are the linked members with most slots who forward a stripe.
func (s *Swarm) heirs(i int) (best []*peer) {
	for _, p := range s.linked {
		if p.down == 0 && s.usable(p) && s.root(p, i) {
			best = append(best, p)
		}
	}
	slices.SortStableFunc(best, func(a, b *peer) int { return b.slots - a.slots })
	return best[:min(len(best), mostHeirs)]
}

// mostHeirs are told of a stripe that the owner gives to nobody.
const mostHeirs = 8

// unserved returns how many of its stripes a member gives to nobody. It keeps a slot for each: without that, one who has a
// stripe from the owner for all can fill its slots with others, and all lack it.
func (s *Swarm) unserved() int {
	if s.owner() && s.slots() < s.k {
		return 0
	}
	n := 0
	for i := range s.stripes {
		if s.homes()&(1<<i) != 0 && s.filled(i) == 0 {
			n++
		}
	}
	return n
}

// sources is how many children of a stripe the owner has: one, so that it sends the channel once, and a second where
// it has upload for all stripes twice.
func (s *Swarm) sources() int {
	if s.slots() >= 2*s.k {
		return 2
	}
	return 1
}

// contributes tells whether the peer forwards a stripe.
func (p *peer) contributes(bit uint64) bool { return p.slots > 0 && p.home&bit != 0 }

// lesser returns a child whose slot of a stripe a contributor may take: one that does not forward it, or else one with
// clearly less upload, since what a slow line sends to many takes long and is best sent at the end of a way. For no peer
// in particular it is one that does not forward. The owner does not give a place to one with less than half the slots that a
// child has for each of its stripes.
func (s *Swarm) lesser(p *peer, i int) *peer {
	bit := uint64(1) << i
	var best *peer
	bestGives := false
	for _, q := range s.kids {
		if q == p || q.down&^q.moving&bit == 0 || q.local {
			continue
		}
		gives := q.contributes(bit) && (!s.owner() || s.root(q, i))
		if gives && (p == nil || p.slots < outweighs*q.slots) || s.owner() && p != nil && outweighs*p.slots*bits.OnesCount64(q.down&^q.moving) < q.slots {
			continue
		}
		switch {
		case best == nil, bestGives && !gives:
			best, bestGives = q, gives
		case gives && !bestGives:
		case s.cfg.Prefer && q.standing < best.standing:
			best = q
		case s.cfg.Prefer && q.standing > best.standing:
		case q.slots < best.slots:
			best = q
		}
	}
	return best
}

// outweighs is how many times the slots of another a contributor must have to take its place.
const outweighs = 2

// displace makes room for a contributor by moving one that gives less to it; it reports whether that was possible.
func (s *Swarm) displace(p *peer, i int, spare int) bool {
	bit := uint64(1) << i
	if s.owner() && s.size >= fewMembers && (s.now.Sub(s.moved) < rootsApart || s.pressure() > pressed) {
		return false // whoever takes a place is sent what it lacks, which makes a full line fuller
	}
	if spare <= 0 || !p.contributes(bit) || s.owner() && !s.root(p, i) || s.homes()&bit == 0 || s.moves() >= max(1, s.slots()) {
		return false
	}
	q := s.lesser(p, i)
	if q == nil {
		return false
	}
	if s.owner() && s.total()+s.unserved() < s.slots() { // both can be served, should that one find nobody else
		if s.now.Before(q.urgeAt) {
			return false
		}
		s.urge(q, bit, p)
		return true
	}
	q.adopt |= bit
	q.adopter = p
	q.moving |= bit
	s.filling = nil
	s.moved = s.now
	q.moveBy = s.now.Add(shedNotice)
	s.at(q.moveBy)
	return true
}

// outranks is by how many percent a peer's standing must exceed another's to take its place: as much as changes by itself
// within some minutes of watching.
const outranks = 20

// outranked returns the child of a stripe that has carried least, when that is clearly less than the peer has.
func (s *Swarm) outranked(p *peer, i int) (least *peer) {
	bit := uint64(1) << i
	if !s.cfg.Prefer || s.homes()&bit == 0 {
		return nil
	}
	for _, q := range s.kids {
		if q != p && s.counted(q)&bit != 0 && p.outranks(q) && (least == nil || q.standing < least.standing) {
			least = q
		}
	}
	return least
}

func (p *peer) outranks(q *peer) bool { return q.standing+outranks <= p.standing }

// outrank makes room for a peer by moving a child that it outranks; it reports whether there is one.
func (s *Swarm) outrank(p *peer, i int) bool {
	least := s.outranked(p, i)
	if least == nil || s.moves() >= max(s.k, s.slots()/4) {
		return false
	}
	s.moved = s.now
	s.shed(least, 1<<i)
	return true
}

// yield lets, at the owner, a newcomer be one of those for whom the slots of all suffice in the place of the member that has
// carried least, when it outranks that.
func (s *Swarm) yield(p *peer) bool {
	if !s.cfg.Prefer {
		return false
	}
	var least *peer
	for _, q := range s.linked {
		if e := s.roster[q.id]; e != nil && e.admitted && !q.local && p.outranks(q) && (least == nil || q.standing < least.standing) {
			least = q
		}
	}
	if least == nil {
		return false
	}
	s.roster[least.id].admitted = false
	return true
}

// swap makes room for a member that finds no parent for a stripe, which this one gives to nobody, by moving a child of
// the stripe that it gives to most.
func (s *Swarm) swap(p *peer, i int) bool {
	if s.owner() || s.filled(i) > 0 || s.homes()&(1<<i) == 0 || s.moves() >= max(1, s.slots()/4) {
		return false
	}
	var victim *peer
	most, best := 0, 0
	for j := range s.stripes {
		if n := s.filled(j); n > best {
			most, best = j, n
		}
	}
	for _, q := range s.kids {
		if q == p || s.counted(q)&(1<<most) == 0 {
			continue
		}
		if victim == nil || victim.contributes(1<<most) && !q.contributes(1<<most) {
			victim = q
		}
	}
	if victim == nil {
		return false
	}
	s.moved = s.now
	s.shed(victim, 1<<most)
	return true
}

// complaint is that a member finds nobody who gives it a stripe.
type complaint struct {
	by *peer
	at time.Time
}

const (
	// So many members who find nobody for a stripe, and one in so many, show within complainFor that the owner's child
	// does not pass it on, when it has had it for rootPatience. To take it from one that does lets all look for another way.
	complaints    = 3
	complaintPart = 20
	complainFor   = 3 * time.Second
	rootPatience  = 5 * time.Second
	deposedFor    = time.Minute // it is not given one again
)

// depose takes, at the owner, a stripe from a child that does not pass it on, and has another take it.
func (s *Swarm) depose(p *peer, i int) bool {
	if !s.owner() || s.size < fewMembers || s.pressure() > maxQueue {
		return false // when its own line is full, nobody else is to blame
	}
	cs := slices.DeleteFunc(s.complaints[i], func(c complaint) bool { return c.by == p || s.now.Sub(c.at) > complainFor })
	enough := max(complaints, s.size/complaintPart)
	if len(cs) < enough {
		cs = append(cs, complaint{p, s.now})
	}
	s.complaints[i] = cs
	if len(cs) < enough || !p.contributes(1<<i) || s.deposed(p) || s.now.Sub(s.moved) < rootsApart || s.now.Sub(s.granted[i]) < rootPatience {
		return false
	}
	for _, q := range s.kids {
		if s.counted(q)&(1<<i) != 0 {
			q.deposedAt = s.now
			s.shed(q, 1<<i)
		}
	}
	s.complaints[i], s.moved = nil, s.now
	return true
}

// deposed tells whether a stripe was taken from a peer lately.
func (s *Swarm) deposed(p *peer) bool {
	return !p.deposedAt.IsZero() && s.now.Sub(p.deposedAt) < deposedFor
}

// rootsApart is the least time between changes of the owner's children, each of whom is sent what it lacks.
const rootsApart = time.Second

// adopted tells leaves which contributor has their slots now.
func (s *Swarm) adopted() {
	for _, p := range s.kids {
		if p.adopt == 0 {
			continue
		}
		m := append([]Member{p.adopter.member()}, s.others(p, 7, p.adopt)...)
		s.send(p, Detach{Stripes: p.adopt, After: int(shedNotice / time.Millisecond), Members: m})
		p.adopt, p.adopter = 0, nil
	}
}

// moves returns how many slots are being moved away: these are served beyond what is offered, for a moment.
func (s *Swarm) moves() int {
	n := 0
	for _, p := range s.kids {
		n += bits.OnesCount64(p.moving & p.down)
	}
	return n
}

// tight tells whether the upload does not carry the slots that are being moved away beside the others.
func (s *Swarm) tight() bool {
	return s.upload < Unlimited && s.moves() > 0 && Wire*float64((s.total()+s.moves())*s.slotRate()) > float64(s.upload*s.k)
}
