package sim

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"peergate/overlay/swarm"
)

// node is a gateway: the machine and what performs its actions.
type node struct {
	s      *Sim
	id     swarm.ID
	m      *swarm.Swarm
	acts   swarm.Actions
	wake   time.Duration // of the pending event
	gone   bool
	natted bool
	liar   bool

	x, y   float64 // where it is, 0 to 1
	site   int
	upload float64       // bytes a second; infinite: no limit
	busy   time.Duration // the uplink is until then
	links  map[*node]*link
	rest   [2]time.Duration // between these it stands still, now or next
	rests  *rand.Rand

	joined    time.Duration // when it was started
	first     time.Duration // first release; 0: none
	firstSeq  uint64
	epoch     uint64
	state     swarm.State
	why       swarm.Reason
	last      uint64 // released, plus 1
	lastEpoch uint64
	stats     nodeStats
}

// link is one end of a connection.
type link struct {
	wanted  bool          // Connect was asked for at this end
	control time.Duration // what was sent last arrives then
	media   time.Duration
	repair  time.Duration
	push    bool // the push stream that this end opened
}

func (s *Sim) add(id swarm.ID, times float64) *node {
	n := &node{
		s: s, id: id, links: make(map[*node]*link), x: s.rng.Float64(), y: s.rng.Float64(), joined: s.now,
		natted: s.rng.Float64() < s.cfg.NAT, upload: math.Inf(1), epoch: s.epoch, wake: -1, site: len(s.nodes) / max(1, s.cfg.Sites),
	}
	limit := swarm.Unlimited
	if times >= 0 {
		n.upload = times * float64(s.cfg.Rate) / 8
		limit = int(times * float64(s.cfg.Rate))
	}
	if s.cfg.Sites > 1 && len(s.nodes) > 0 && s.nodes[len(s.nodes)-1].site == n.site {
		n.x, n.y = s.nodes[len(s.nodes)-1].x, s.nodes[len(s.nodes)-1].y
	}
	cfg := swarm.Config{
		Self: id, Owner: "owner", Epoch: s.epoch, Stripes: s.cfg.Stripes, Rate: s.cfg.Rate, Upload: limit,
		IdleAfter: 10 * time.Second, Delay: s.cfg.Delay, Steady: s.cfg.Steady, Seed: s.rng.Uint64(),
	}
	if !n.natted || id == "owner" {
		cfg.Addresses = []string{address(len(s.nodes))}
	}
	if n.upload == 0 {
		n.upload = float64(s.cfg.Rate) / 8 / 4 // it still sends messages
	}
	n.rests, n.rest[1] = rand.New(rand.NewPCG(cfg.Seed, 2)), s.now
	n.m = swarm.New(cfg)
	s.nodes = append(s.nodes, n)
	s.byID[id] = n
	n.schedule(s.now)
	return n
}

// address gives each node a network of its own.
func address(i int) string {
	return fmt.Sprintf("/ip4/10.%d.%d.1/tcp/8555", i/256, i%256)
}

func (n *node) member() swarm.Member {
	return swarm.Member{ID: n.id, Addresses: []string{address(0)}}
}

func (n *node) demand(players int) { n.handle(swarm.Demand{Players: players}) }

// handle gives the machine an event and performs what it answers.
func (n *node) handle(ev swarm.Event) {
	if n.gone {
		return
	}
	n.acts = n.acts[:0]
	wake := n.m.Handle(ev, start.Add(n.s.now), &n.acts)
	for _, a := range n.acts {
		n.perform(a, ev)
		if n.gone {
			return
		}
	}
	n.schedule(wake.Sub(start))
}

// schedule sees to it that the machine is woken.
func (n *node) schedule(at time.Duration) {
	at = max(at, n.s.now)
	if n.wake >= n.s.now && n.wake <= at && n.wake != -1 && n.wake > n.s.now {
		return // woken earlier; it will say when it wants to be woken again
	}
	n.wake = at
	n.s.push(event{at: at, node: n})
}

// postpone puts off an event to when the machine does not stand still; it reports whether it does.
func (n *node) postpone(e event) bool {
	for e.at >= n.rest[1] {
		mean := float64(n.s.cfg.Stall)
		n.rest[0] = n.rest[1] + time.Duration(n.rests.ExpFloat64()*mean*(1/n.s.cfg.Stalled-1))
		n.rest[1] = n.rest[0] + time.Duration(n.rests.ExpFloat64()*mean)
	}
	if n.gone || e.at < n.rest[0] {
		return false
	}
	if e.ev == nil {
		if e.at != n.wake {
			return true
		}
		n.wake = n.rest[1]
	}
	e.at = n.rest[1] // those that are put off stay in order
	heap.Push(&n.s.events, e)
	return true
}

// perform does an action.
func (n *node) perform(a swarm.Action, ev swarm.Event) {
	s := n.s
	switch a := a.(type) {
	case swarm.Connect:
		s.connect(n, s.byID[a.Peer])
	case swarm.Disconnect:
		s.disconnect(n, s.byID[a.Peer])
	case swarm.Send:
		s.send(n, s.byID[a.To], a.Message)
	case swarm.Open:
		if l := n.links[s.byID[a.Parent]]; l != nil {
			l.push = true
		}
	case swarm.Shut:
		s.shut(n, s.byID[a.Peer], a.Parent)
	case swarm.Push:
		s.chunk(n, s.byID[a.To], a.Epoch, a.Seq, a.Until, false)
	case swarm.Give:
		s.chunk(n, s.byID[a.To], a.Epoch, a.Seq, a.Until, true)
	case swarm.Keep:
		n.kept(a)
	case swarm.Release:
		n.released(a)
	case swarm.Skip:
		n.stats.skipped += int64(a.Next - a.First)
		if s.now >= s.from && s.now < s.to {
			n.stats.skips++
		}
		n.last = a.Next
	case swarm.Fetch:
		s.fetch(n, s.byID[a.From])
	case swarm.Admission:
		n.state, n.why = a.State, a.Why
	case swarm.Closed:
		n.leave()
	}
}

// leave takes a node out whose machine has closed.
func (n *node) leave() {
	n.gone = true
	n.finish()
	for _, p := range n.linked() {
		delete(n.links, p)
		n.s.drop(p, n, n.s.distance(n, p))
	}
}

// die takes a node out without a word.
func (n *node) die() {
	n.gone = true
	n.finish()
	for _, p := range n.linked() {
		n.s.drop(p, n, n.s.cfg.Keepalive)
	}
}

// linked returns the peers with a link, in an order that repeats.
func (n *node) linked() []*node {
	var ps []*node
	for _, p := range n.s.nodes {
		if n.links[p] != nil {
			ps = append(ps, p)
		}
	}
	return ps
}
