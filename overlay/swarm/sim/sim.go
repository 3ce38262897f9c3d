// Package sim runs the swarm's state machine, the very code of a gateway, in virtual time: one owner and any number of
// members on a network of uplinks, distances, losses and NATs. A seed repeats a run.
//
// The model: a member's uplink sends one chunk or message after the other at its rate, with 6.5 % of
// headers, then it travels the distance
// between the two. What goes from one member to another stays in order, push stream and control stream each for itself.
// A lost segment of 1,200 bytes is sent again a round trip later and holds up what is behind it, as TCP with a
// congestion control that loss does not slow down (BBR) does. Downlinks are not limited. A machine may stand still now and
// then: what comes meanwhile is seen to afterwards. A crashed member says nothing;
// others see the connection end after Config.Keepalive. A dialled member answers after Config.Handshakes round trips.
package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"peergate/overlay/swarm"
)

// Config describes a run. The zero value of a field that has a default means the default.
type Config struct {
	Members int
	Seed    uint64
	Rate    int // bits a second of the channel; 0: 2 Mbit/s
	Stripes int // 0: as the rate asks for, 8, 2 or 1

	Ramp   time.Duration // members come at random within it; 0: 60 ms for each, at least 30 s
	Settle time.Duration // after the ramp, before the measuring begins; 0: 10 s
	Length time.Duration // measured; 0: 60 s

	Owner      float64       // owner's uplink as a multiple of the rate; 0: 3
	Uplinks    []Uplink      // of members; nil: DefaultUplinks
	Near, Far  time.Duration // distances are spread between these, one way; 0: 10 and 90 ms
	Loss       float64       // of segments
	Drop       float64       // of pushed chunks, whole, beyond what the streams repair
	Churn      time.Duration // mean life of a member, exponential; 0: they stay
	Crash      float64       // part of the members that crash at once, in the middle of the measured time
	Roots      time.Duration // each so long one of the owner's children dies, and another member with its upload comes; 0: none
	NAT        float64       // part of the members that nobody can dial
	Liars      float64       // part of the members that claim to hold everything and send bad chunks
	Handshakes float64       // round trips of a connection's making; 0: 1, as of QUIC
	Keepalive  time.Duration // 0: 15 s
	Delay      time.Duration // as in swarm.Config
	Steady     bool
	Queue      time.Duration // that a line has at most: what comes later is lost, and sent again after a time-out; 0: no end
	Stalled    float64       // part of the time for which each machine stands still, as busy ones do
	Stall      time.Duration // for how long at a time, in the mean; 0: 50 ms
	Sites      int           // members that share a site, with the same network; 0 or 1: each has its own
}

// Uplink is a class of members.
type Uplink struct {
	Part float64 // of all members
	Rate float64 // multiple of the channel's rate; 0: contributes nothing; negative: without limit
}

// DefaultUplinks is a mix from phones that give nothing to rented machines that give ten times the rate; the mean is 2.1,
// of which headers, what is set aside for repair and rounding leave 1.6.
var DefaultUplinks = []Uplink{{0.2, 0}, {0.2, 1}, {0.25, 1.5}, {0.2, 2.5}, {0.1, 5}, {0.05, 10}}

func (c *Config) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.Ramp, max(30*time.Second, time.Duration(c.Members)*60*time.Millisecond))
	set(&c.Settle, 10*time.Second)
	set(&c.Length, time.Minute)
	set(&c.Near, 10*time.Millisecond)
	set(&c.Far, 90*time.Millisecond)
	set(&c.Keepalive, 15*time.Second)
	if c.Rate == 0 {
		c.Rate = 2_000_000
	}
	if c.Stripes == 0 {
		c.Stripes = 8
		if c.Rate < 256_000 {
			c.Stripes = 1
		} else if c.Rate < 1_000_000 {
			c.Stripes = 2
		}
	}
	if c.Owner == 0 {
		c.Owner = 3
	}
	if c.Uplinks == nil {
		c.Uplinks = DefaultUplinks
	}
	set(&c.Stall, 50*time.Millisecond)
	if c.Handshakes == 0 {
		c.Handshakes = 1
	}
}

// event is something that will happen.
type event struct {
	at   time.Duration
	n    uint64 // those of one time happen in the order they were made
	node *node
	ev   swarm.Event // for the node; nil: wake it, unless do is set
	do   func()
}

type queue []event

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at < q[j].at || q[i].at == q[j].at && q[i].n < q[j].n }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

// Sim is a run.
type Sim struct {
	cfg    Config
	rng    *rand.Rand
	now    time.Duration
	events queue
	n      uint64

	nodes   []*node
	byID    map[swarm.ID]*node
	owner   *node
	chunks  []chunkInfo // of the current epoch, by sequence number
	epoch   uint64
	from    time.Duration // measured time
	to      time.Duration
	made    int
	pieces  int // frames made
	result  Result
	stopped bool // the owner makes no chunks
}

// chunkInfo is what is known of a chunk besides its bytes.
type chunkInfo struct {
	size  int
	key   bool
	vital bool
	wall  time.Time
	at    time.Duration
}

// start is the time of day when a run begins.
var start = time.Unix(1_700_000_000, 0)

// New returns a run with its owner and without members.
func New(cfg Config) *Sim {
	cfg.defaults()
	s := &Sim{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 1)), byID: make(map[swarm.ID]*node), epoch: 1}
	s.from = cfg.Ramp + cfg.Settle
	s.to = s.from + cfg.Length
	s.owner = s.add("owner", cfg.Owner)
	s.owner.natted = false
	s.at(0, s.produce)
	return s
}

// Run makes the members come, and measures.
func Run(cfg Config) Result {
	s := New(cfg)
	cfg = s.cfg
	for range cfg.Members {
		s.at(time.Duration(s.rng.Int64N(int64(cfg.Ramp))), s.join)
	}
	if cfg.Crash > 0 {
		s.at(s.from+cfg.Length/3, s.crash)
	}
	if cfg.Roots > 0 {
		s.at(s.from, func() { s.fell(0) })
	}
	s.Until(s.to + 5*time.Second)
	return s.Result()
}

// Until runs up to a time since the start.
func (s *Sim) Until(t time.Duration) {
	for len(s.events) > 0 && s.events[0].at <= t {
		e := heap.Pop(&s.events).(event)
		if e.node != nil && s.cfg.Stalled > 0 && e.node.postpone(e) {
			continue
		}
		s.now = e.at
		switch {
		case e.do != nil:
			e.do()
		case e.node.gone:
		case e.ev == nil:
			if e.at == e.node.wake {
				e.node.handle(nil)
			}
		default:
			e.node.handle(e.ev)
		}
	}
	s.now = t
}

// at has f done at a time since the start.
func (s *Sim) at(t time.Duration, f func()) { s.push(event{at: t, do: f}) }

func (s *Sim) push(e event) {
	s.n++
	e.n = s.n
	heap.Push(&s.events, e)
}

// join adds a member, and its successor when it leaves.
func (s *Sim) join() {
	n := s.member(s.uplink())
	if s.cfg.Churn > 0 {
		life := time.Duration(s.rng.ExpFloat64() * float64(s.cfg.Churn))
		graceful := s.rng.IntN(2) == 0
		s.at(s.now+life, func() {
			if n.gone {
				return
			}
			if graceful {
				n.handle(swarm.Go{})
			} else {
				n.die()
			}
			s.join()
		})
	}
}

// member adds a member that knows the owner.
func (s *Sim) member(uplink float64) *node {
	s.made++
	n := s.add(swarm.ID(fmt.Sprintf("m%d", s.made)), uplink)
	n.liar = s.rng.Float64() < s.cfg.Liars
	n.demand(1)
	n.handle(swarm.Candidates{Members: []swarm.Member{s.owner.member()}, Keep: true})
	return n
}

// renew lets the owner begin a new epoch.
func (s *Sim) renew() {
	s.epoch++
	s.chunks = nil
	s.owner.epoch = s.epoch
	s.owner.handle(swarm.Described{Epoch: s.epoch, Stripes: s.cfg.Stripes, Rate: s.cfg.Rate})
}

// uplink draws a class.
func (s *Sim) uplink() float64 {
	x := s.rng.Float64()
	for _, u := range s.cfg.Uplinks {
		if x -= u.Part; x < 0 {
			return u.Rate
		}
	}
	return s.cfg.Uplinks[len(s.cfg.Uplinks)-1].Rate
}

// crash lets a part of the members die at once.
func (s *Sim) crash() {
	s.result.CrashAt = s.now - s.from
	for _, n := range s.nodes {
		if n != s.owner && !n.gone && s.rng.Float64() < s.cfg.Crash {
			n.die()
		}
	}
	s.watch(s.now)
}

// fell lets one of the owner's children die without a word, of one stripe after the other.
func (s *Sim) fell(stripe int) {
	if s.now+s.cfg.Roots/2 >= s.to {
		return
	}
	for _, id := range s.owner.m.Stats().Stripes[stripe%s.cfg.Stripes].Children {
		if n := s.byID[id]; !n.gone {
			n.die()
			s.member(n.upload * 8 / float64(s.cfg.Rate))
			break
		}
	}
	s.at(s.now+s.cfg.Roots, func() { s.fell(stripe + 1) })
}

// pollEvery is how exactly the return of stripes after a crash is measured.
const pollEvery = 50 * time.Millisecond

// watch notes when the members whose parents crashed have others.
func (s *Sim) watch(crash time.Duration) {
	var left []orphan
	for _, n := range s.nodes {
		if n.gone {
			continue
		}
		for i, st := range n.m.Stats().Stripes {
			if p := s.byID[st.Parent]; p != nil && p.gone {
				left = append(left, orphan{n, i})
			}
		}
	}
	s.result.Orphaned = len(left)
	var poll func()
	poll = func() {
		still := left[:0]
		for _, o := range left {
			p := s.byID[o.n.m.Stats().Stripes[o.stripe].Parent]
			switch {
			case o.n.gone:
			case p != nil && !p.gone:
				s.result.Back = append(s.result.Back, s.now-crash)
			default:
				still = append(still, o)
			}
		}
		left = still
		if len(left) > 0 && s.now < crash+10*time.Second {
			s.at(s.now+pollEvery, poll)
		}
	}
	s.at(s.now+pollEvery, poll)
}

// orphan is a stripe of a member whose parent has crashed.
type orphan struct {
	n      *node
	stripe int
}

// Frames of the channel: 30 a second, a key frame of six times the size every two seconds.
const (
	frameRate = 30
	group     = 60
	keySize   = 6
	maxChunk  = 8 << 10
	overhead  = 80 // bytes of a chunk's header and signature
	segment   = 1200
)

// produce makes the chunks of a frame, or of 250 ms of sound when the rate is small.
func (s *Sim) produce() {
	if s.stopped {
		return
	}
	interval := time.Second / frameRate
	size := s.cfg.Rate / 8 / frameRate * group / (group + keySize - 1)
	key := s.pieces%group == 0
	if key {
		size *= keySize
	}
	if s.cfg.Rate < 256_000 {
		interval = 250 * time.Millisecond
		size, key = s.cfg.Rate/32, true
	}
	s.pieces++
	limit := maxChunk
	if s.cfg.Rate > 8_000_000 {
		limit *= 2
	}
	for first := true; size > 0; first = false {
		n := min(size, limit)
		size -= n
		c := chunkInfo{n + overhead, key && first, key, start.Add(s.now), s.now}
		s.chunks = append(s.chunks, c)
		if s.now >= s.from && s.now < s.to {
			s.result.Payload += int64(n)
		}
		s.owner.handle(swarm.Produced{
			Epoch: s.epoch, Seq: uint64(len(s.chunks) - 1), Size: c.size, Key: c.key, Vital: c.vital, Wall: c.wall,
		})
	}
	s.at(s.now+interval, s.produce)
}
