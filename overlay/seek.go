package overlay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"peergate/media"
	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"
)

// Who wants a channel asks all its peers at once who can bring it. The owner and the members of the channel's swarm
// answer for themselves; others ask on, so that a channel is found over any number of gateways. A gateway that is asked
// the same thing again says so, thus the question reaches each once. When no member is found but somebody could become
// one, the nearest is asked to.

const (
	// seekWithin is how long a search may take as a whole.
	seekWithin = 4 * time.Second
	// seekHop is taken from that at each hop, for the way back.
	seekHop = 250 * time.Millisecond
	// seekMore is how long the answers of others are waited for once somebody could become a member.
	seekMore = 300 * time.Millisecond
	// floodLife is how long a question is remembered.
	floodLife = 30 * time.Second
	// maxFloods bounds how many are.
	maxFloods = 8192
	// searchSoon is how long a channel that has lost its parents waits before it searches again, searchAgain the time
	// between such searches.
	searchSoon  = 200 * time.Millisecond
	searchAgain = time.Second
)

// answer is what a peer says to a seek; neither field is set when the link has ended.
type answer struct {
	from    p2p.ID
	found   *found
	missing *missing
}

// questions are the seeks that peers have not answered yet.
type questions struct {
	mu    sync.Mutex // guards the fields below
	last  uint64     // number of the last one
	asked map[uint64]question
}

type question struct {
	peer p2p.ID
	to   chan<- answer
}

// ask sends a seek to a peer and has the answer sent to the channel, which must have room for it.
func (n *Node) ask(l *link, s seek, to chan<- answer) {
	s.number = n.questions.add(l.peer, to)
	l.send(s.encode())
	if n.link(l.peer) == nil {
		n.questions.forgo(l.peer)
	}
}

func (q *questions) add(peer p2p.ID, to chan<- answer) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	q.asked[q.last] = question{peer, to}
	return q.last
}

// answer hands an answer to who has asked.
func (q *questions) answer(number uint64, a answer) {
	q.mu.Lock()
	asked, ok := q.asked[number]
	if ok && asked.peer == a.from {
		delete(q.asked, number)
	} else {
		ok = false
	}
	q.mu.Unlock()
	if ok {
		asked.to <- a
	}
}

// forgo answers what a peer will not answer any more.
func (q *questions) forgo(peer p2p.ID) {
	q.mu.Lock()
	var all []question
	for number, asked := range q.asked {
		if asked.peer == peer {
			all = append(all, asked)
			delete(q.asked, number)
		}
	}
	q.mu.Unlock()
	for _, asked := range all {
		asked.to <- answer{from: peer}
	}
}

// floods remembers questions.
type floods struct {
	mu   sync.Mutex // guards seen
	seen map[uint64]time.Time
}

// first reports whether a question is new, and remembers it.
func (f *floods) first(id uint64, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t, ok := f.seen[id]; ok && now.Sub(t) < floodLife {
		return false
	}
	if len(f.seen) >= maxFloods {
		for old, t := range f.seen {
			if now.Sub(t) >= floodLife {
				delete(f.seen, old)
			}
		}
	}
	if len(f.seen) >= maxFloods {
		clear(f.seen) // somebody asks without end; to ask on twice is the lesser evil
	}
	f.seen[id] = now
	return true
}

// sought looks into a question of a peer, beside the link's loop.
func (n *Node) sought(l *link, s *seek) {
	most := int32(maxSeeks)
	if n.guest(l.peer) {
		most = maxSeeksOfGuests
	}
	if l.seeks.Add(1) > most {
		l.seeks.Add(-1)
		l.send((&missing{s.number, causeAsked, "too many questions at once"}).encode())
		return
	}
	if !n.start(func(ctx context.Context) {
		defer l.seeks.Add(-1)
		ctx, cancel := context.WithTimeout(ctx, min(time.Duration(s.within)*time.Millisecond, seekWithin))
		defer cancel()
		f, m := n.lookInto(ctx, l.peer, s)
		to := n.link(l.peer)
		switch {
		case to == nil:
		case f != nil:
			to.use()
			f.number = s.number
			to.send(f.encode())
		default:
			m.number = s.number
			to.send(m.encode())
		}
	}) {
		l.seeks.Add(-1)
	}
}

// lookInto answers a question: one of the results is set.
func (n *Node) lookInto(ctx context.Context, from p2p.ID, s *seek) (*found, *missing) {
	if s.owner == n.ID() {
		return n.lookHere(ctx, from, s)
	}
	switch ch, err := n.lasting(ctx, channelID(s.owner, s.name)); {
	case err != nil:
		return nil, &missing{cause: causeUnreachable}
	case ch != nil && ch.admits(from):
		if ch.orphan.Load() {
			return nil, &missing{cause: causeUnreachable}
		}
		ch.expect()
		d, _ := ch.description()
		return &found{descriptor: d.raw, member: true}, nil
	}
	if !n.book.trusts(from) {
		return nil, &missing{cause: causeUnreachable} // others are not asked for a stranger
	}
	if s.hops >= maxHops || !n.floods.first(s.flood, time.Now()) {
		return nil, &missing{cause: causeAsked}
	}
	if s.join {
		ch, err := n.member(ctx, s.owner, s.name, from)
		if err != nil {
			return nil, missingFor(err)
		}
		ch.expect()
		d, _ := ch.description()
		return &found{descriptor: d.raw, member: true}, nil
	}
	r := n.search(ctx, *s, from)
	if r.best == nil {
		return nil, &missing{cause: r.cause, text: r.text}
	}
	return &found{descriptor: r.best.found.descriptor, hops: r.best.found.hops + 1}, nil
}

// lookHere answers a question about a stream of this gateway.
func (n *Node) lookHere(ctx context.Context, from p2p.ID, s *seek) (*found, *missing) {
	if !n.own(s.name) {
		return nil, &missing{cause: causeRefused}
	}
	if !n.gives(from, s.name) {
		switch ok, err := n.lets(s); {
		case err != nil:
			return nil, &missing{cause: causeForbidden, text: err.Error()}
		case !ok:
			return nil, &missing{cause: causeRefused}
		}
	}
	ch, err := n.ownChannel(ctx, s.name)
	if err != nil {
		return nil, missingFor(err)
	}
	ch.expect()
	d, _ := ch.description()
	return &found{descriptor: d.raw, member: true}, nil
}

// missingFor turns the reason why a channel cannot be had into an answer.
func missingFor(err error) *missing {
	m := &missing{cause: causeUnreachable, text: err.Error()}
	if errors.Is(err, media.ErrNotFound) {
		m.cause = causeUnknown
	}
	return m
}

// outcome is what a search came to.
type outcome struct {
	best  *answer // nil when nobody can bring the channel
	cause cause   // when best is nil
	text  string
}

// search asks all peers but one, and those whom links name; those that are being dialled as soon as they answer.
func (n *Node) search(ctx context.Context, s seek, except p2p.ID) outcome {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(seekWithin)
	}
	s.hops++
	s.within = uint64(max(0, time.Until(deadline)-seekHop) / time.Millisecond)
	n.floods.first(s.flood, time.Now()) // when it comes back, this gateway has been asked
	peers := append(n.book.all(), n.contacts(s.owner, s.name)...)
	answers := make(chan answer, len(peers))
	asked := 0
	for _, p := range peers {
		if p.id == except {
			continue
		}
		asked++
		if l := n.link(p.id); l != nil {
			n.ask(l, s, answers)
			continue
		}
		n.askLater(p, s, answers)
	}
	return gather(ctx, answers, asked, s.owner)
}

// askLater asks a peer when its keeper, which is told to dial, has a link. Without an address that is in vain.
func (n *Node) askLater(p *peer, s seek, answers chan<- answer) {
	if p.hopeless(n.host.Known(p.id)) {
		answers <- answer{}
		return
	}
	p.want(nil, func(err error) {
		if l := n.link(p.id); l != nil {
			n.ask(l, s, answers)
			return
		}
		m := &missing{cause: causeUnreachable}
		if err != nil && p.id == s.owner {
			m.text = err.Error()
		}
		answers <- answer{missing: m}
	})
}

// gather waits for answers: for all while nobody is found, for a moment when somebody could become a member, no longer
// when somebody is one or the owner says no.
func gather(ctx context.Context, answers <-chan answer, n int, owner p2p.ID) outcome {
	r := outcome{cause: causeUnreachable}
	var enough <-chan time.Time
	for ; n > 0; n-- {
		select {
		case a := <-answers:
			if r.take(a, owner) {
				return r
			}
			if r.best != nil && enough == nil {
				t := time.NewTimer(seekMore)
				defer t.Stop()
				enough = t.C
			}
		case <-enough:
			return r
		case <-ctx.Done():
			return r
		}
	}
	return r
}

// take adds an answer to the outcome; it reports whether others do not matter any more.
func (r *outcome) take(a answer, owner p2p.ID) bool {
	switch {
	case a.found != nil:
		if d, err := chunk.ParseDescriptor(a.found.descriptor); err != nil || d.Ended() {
			return false
		}
		if r.best == nil || a.found.hops < r.best.found.hops || a.found.member {
			r.best = &a
		}
		return a.found.member
	case a.missing != nil:
		if a.missing.cause > r.cause || r.text == "" && a.missing.cause == r.cause {
			r.cause, r.text = a.missing.cause, a.missing.text
		}
		return a.from == owner && a.missing.cause >= causeRefused
	}
	return false
}

// find searches until a member is found, and asks the nearest gateway to become one when there is none.
func (n *Node) find(ctx context.Context, owner p2p.ID, name media.Name, except p2p.ID) (*found, p2p.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, seekWithin)
	defer cancel()
	request := n.credentials(owner, name)
	r := n.searchFirst(ctx, seek{flood: rand.Uint64(), owner: owner, name: name, request: request}, except)
	if r.best == nil && r.cause <= causeUnreachable && n.consult(ctx, owner, name) {
		r = n.search(ctx, seek{flood: rand.Uint64(), owner: owner, name: name, request: request}, except)
	}
	if r.best == nil {
		return nil, "", n.notFound(owner, name, r)
	}
	if r.best.found.member {
		return r.best.found, r.best.from, nil
	}
	deadline, _ := ctx.Deadline()
	answers := make(chan answer, 1)
	l := n.link(r.best.from)
	if l == nil {
		return nil, "", n.notFound(owner, name, outcome{cause: causeUnreachable})
	}
	n.ask(l, seek{
		flood: rand.Uint64(), owner: owner, name: name, join: true, hops: 1, request: request,
		within: uint64(max(0, time.Until(deadline)-seekHop) / time.Millisecond),
	}, answers)
	r = gather(ctx, answers, 1, owner)
	if r.best == nil {
		return nil, "", n.notFound(owner, name, r)
	}
	return r.best.found, r.best.from, nil
}

// notFound is the reason for a player when a search found nothing.
func (n *Node) notFound(owner p2p.ID, name media.Name, r outcome) error {
	who := n.book.name(owner)
	switch r.cause {
	case causeUnknown:
		return fmt.Errorf("%s has no stream %q: %w", who, name, media.ErrNotFound)
	case causeForbidden:
		return fmt.Errorf("%s/%s is refused by its owner: %s: %w", who, name, clip(r.text), media.ErrForbidden)
	case causeRefused:
		return fmt.Errorf("%s does not share %q: %w", who, name, media.ErrNotFound)
	}
	if p := n.book.known(owner); p != nil && p.fault() != nil {
		return fmt.Errorf("%s cannot be reached: %w", who, p.fault())
	}
	if r.text != "" {
		return fmt.Errorf("%s cannot be reached: %s", who, r.text)
	}
	return fmt.Errorf("%s cannot be reached, and no peer knows a way", who)
}

// search looks for somebody who brings the channel, after a moment, unless that is being done.
func (ch *channel) search(after time.Duration) {
	if ch.seeking || ch.source != nil {
		return
	}
	ch.seeking = true
	ch.start(func(ctx context.Context) {
		t := time.NewTimer(after)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		f, from, err := ch.n.find(ctx, ch.owner, ch.name, "")
		ch.box.put(func() { ch.sought(f, from, err) })
	})
}

// sought takes what a search came to. While nobody brings the channel, another one follows.
func (ch *channel) sought(f *found, from p2p.ID, err error) {
	ch.seeking = false
	switch {
	case err == nil:
		if err := ch.renew(f.descriptor); err != nil {
			ch.log.Debug("descriptor refused", "peer", ch.n.book.name(from), "err", err)
		}
		ch.step(swarm.Candidates{Members: []swarm.Member{{ID: swarm.ID(from)}}, Keep: true})
	case !ch.lost.IsZero() && time.Since(ch.outs.since) > refusedFor:
		ch.outs.refuse(err)
	}
	if !ch.lost.IsZero() {
		ch.search(searchAgain)
	}
}

// expect has the channel carried for a moment, in which somebody who has asked for it may attach.
func (ch *channel) expect() {
	ch.box.put(func() {
		ch.hold = time.Now().Add(holdFor)
		if ch.source != nil {
			ch.source.wanted = time.Now()
		}
		ch.demands()
	})
}
