// Package swarm is one gateway's part in the swarm of one channel, as a deterministic state machine: events in, actions
// out. It has no clock, no goroutine and no I/O, and takes its randomness from a seed, so that the code that runs in a
// gateway also runs in a virtual-time simulator and under a fuzzer.
//
// The caller, one at a time, does
//
//	wake := s.Handle(event, now, &actions)
//
// performs the actions in order, and calls Handle again with the next event or, at wake, with nil. Bytes of chunks stay
// with the caller, who keeps them by epoch and sequence number as Keep and Forget say. It verifies a chunk's signature
// before it tells of it.
package swarm

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"
)

// ID names a gateway. Here it is an opaque text.
type ID string

// Hop returns the eight bytes by which paths name the gateway.
func (id ID) Hop() uint64 {
	sum := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint64(sum[:])
}

// Unlimited upload is as much as the network takes without queues.
const Unlimited = 1 << 40

// Config is what a member is and may do.
type Config struct {
	Self      ID
	Owner     ID       // of the channel; when it is Self, chunks are Produced here
	Addresses []string // where others can dial this gateway; none when they cannot
	Epoch     uint64   // of the descriptor, at least 1
	Stripes   int      // K of the descriptor
	Rate      int      // bits a second of the channel, by the descriptor; a hint until it is measured
	Upload    int      // as in Limit
	IdleAfter time.Duration
	Delay     time.Duration // how long a gap may hold up the players; 0: by measurement, 0.2 to 3 s
	Steady    bool          // release everything Delay (0: 1 s) after the owner's clock, in step with other sites
	Prefer    bool          // where slots are short, serve those of a higher Standing
	MaxBytes  int           // of kept chunks; 0: 16 MiB
	Seed      uint64
}

// StripeStats tells the state of one stripe.
type StripeStats struct {
	Parent   ID // "" while there is none, and at the owner
	Backups  []ID
	Depth    int // hops to the owner; -1 without a parent
	Children []ID
}

// PeerStats tells what is known of a linked peer.
type PeerStats struct {
	ID       ID
	RTT      time.Duration // 0 unknown
	Queue    time.Duration // how long a chunk to it waits
	Local    bool
	Parent   uint64 // mask of the stripes that it pushes here
	Child    uint64 // mask of the stripes that are pushed to it
	Received uint64 // bytes of chunks, pushed or given
	Sent     uint64
}

// Stats tells the state of a member, for people.
type Stats struct {
	Epoch     uint64
	State     State
	Why       Reason   // of Waiting
	Parents   []ID     // without repetition
	Depth     int      // hops to the owner of the deepest stripe; -1 without a parent
	Path      []uint64 // ID.Hop from the parent to the owner, of the deepest stripe
	Children  []ID     // without repetition
	Stripes   []StripeStats
	Links     []PeerStats
	Peers     int // gateways known
	Held      int // chunks
	HeldBytes int
	Next      uint64        // sequence number that players get next
	Delay     time.Duration // what a gap may hold up now
	Lag       time.Duration // from the owner's closing of a chunk to its arrival, median of late; 0 unknown
	Clock     time.Duration // owner's clock less ours
	Error     time.Duration // bound of the error of Clock; negative: unknown
	Rate      int           // bits a second of the channel, measured
	Slots     int           // that are offered
	Used      int           // of them, those filled

	Received   uint64 // chunks, without duplicates
	Duplicates uint64 // chunks that came again
	Stale      uint64 // chunks of an old epoch or given up
	Pushed     uint64 // chunks to children
	Asked      uint64 // chunks wanted of others because they were missing
	Repaired   uint64 // of them, those that came
	Given      uint64 // chunks to others who asked
	Dropped    uint64 // chunks not pushed, or not written, because a child's queue was too long
	Released   uint64 // chunks to players
	Skipped    uint64 // chunks given up
	Skips      uint64 // times that this happened
	Switches   uint64 // parents replaced
	Shed       uint64 // stripes taken from children because of queues
}

// Swarm is a member. It is for one goroutine.
type Swarm struct {
	cfg Config
	hop uint64
	rng *rand.Rand

	now     time.Time // of the event
	out     *Actions  // its actions
	due     time.Time // when tick is to be called
	started bool
	closed  bool

	epoch   uint64
	k       int // stripes
	stripes []stripe
	used    []int  // children of each stripe
	paths   uint64 // counts changes of the own paths
	number  uint64 // of the last Attach

	peers    map[ID]*peer
	order    []*peer       // all of peers, in the order they were named
	linked   []*peer       // those with a control stream, in the order these came
	kids     []*peer       // those with down set, contributors first
	doubting time.Duration // for how long a child may be quiet; 0: to be found anew
	filling  []int         // filled slots by stripe, and of all stripes; nil: to be counted anew

	win        window
	trimmed    time.Time
	rate       meter
	asking     tokens
	askingLate tokens
	giving     tokens
	naming     tokens
	lag        estimate  // arrival less the owner's wall clock, of live chunks
	hist       histogram // the same, with those that were repaired
	clock      ownerClock

	// Play-out.
	begun   bool
	next    uint64 // to be released
	resume  uint64 // what was next before the window was thrown away
	caught  bool   // all stripes have been caught up since the beginning
	wait    time.Duration
	delayed time.Time // wait was computed

	// Joining and leaving.
	state      State
	why        Reason    // the last refusal
	told       Reason    // of the last Admission
	joining    time.Time // since when
	paused     time.Time // no parent is looked for before
	sampleAt   time.Time // one more peer may be dialled, to learn how far it is
	samples    int
	optimizeAt time.Time // a better parent is looked for
	ready      []int     // peers that could take over, by stripe
	site       bool      // a peer of the own site is linked
	thin       uint64    // mask of the stripes that have too few
	linksAt    time.Time // links is to be called
	sought     time.Time // members were asked for
	fetched    time.Time // a descriptor was
	size       int       // members of the swarm, as far as is known
	givers     int       // of them, contributors
	tracker    bool      // the owner has named this member as one who knows the others
	players    int
	relay      bool
	idle       time.Time // since when nobody wants the channel; zero: somebody does
	leaving    time.Time // Closed comes then; zero: not leaving
	closing    Closed

	// Who gives what.
	moved       time.Time // when a slot was given to another last
	home        uint64    // stripes to forward, by the owner's plan
	reportedAt  time.Time
	reportEvery time.Duration // as the owner's plan says; 0: there is no plan yet
	firstReport time.Time
	enrolledAt  time.Time
	mustWait    bool          // by the owner's plan
	roster      map[ID]*entry // of the owner
	surveyed    time.Time
	complaints  [][]complaint // by stripe
	granted     []time.Time   // when a child got a stripe last
	rootlessAt  []time.Time   // since when the owner gives a stripe to nobody
	supply      []int         // slots by stripe, in units of 1/supplyUnit
	offered     int           // slots of all, the owner's included
	rated       int           // bits a second, for slots

	upload   int
	lineBusy time.Time // until then, by what was pushed and given
	capped   int       // slots, since queues have grown; 0: as many as upload allows
	uncap    time.Time // one more may be tried then

	stats Stats
}

// New returns a member that has not begun: the first Handle does that.
func New(cfg Config) *Swarm {
	cfg.Stripes = max(1, min(cfg.Stripes, MaxStripes))
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = defaultBytes
	}
	s := &Swarm{
		cfg: cfg, hop: cfg.Self.Hop(), rng: rand.New(rand.NewPCG(cfg.Seed, cfg.Self.Hop())),
		peers: make(map[ID]*peer), roster: make(map[ID]*entry), supply: make([]int, cfg.Stripes), upload: cfg.Upload, clock: ownerClock{error: -1}, size: 1,
	}
	s.describe(cfg.Epoch, cfg.Stripes)
	return s
}

// Handle takes an event in at the time now, which never goes back, appends to out what is to be done, and returns when
// it wants to be called again at the latest: the zero time when it has Closed.
func (s *Swarm) Handle(ev Event, now time.Time, out *Actions) (wake time.Time) {
	if s.closed {
		return time.Time{}
	}
	if now.Before(s.now) {
		now = s.now
	}
	s.now, s.out, s.filling, s.doubting = now, out, nil, 0
	if !s.started {
		s.started, s.joining, s.idle, s.due = true, now, now, now
		if s.owner() {
			s.clock.error = 0
		}
	}
	if ev != nil {
		s.take(ev)
	}
	if !s.closed && !s.now.Before(s.due) {
		s.tick()
	}
	s.out = nil
	if s.closed {
		return time.Time{}
	}
	return s.due
}

// take takes in an event.
func (s *Swarm) take(ev Event) {
	switch ev := ev.(type) {
	case Arrived:
		s.arrived(ev)
	case Produced:
		s.produced(ev)
	case Received:
		if p := s.up(ev.From, 0, false); p != nil && !s.now.Before(p.banned) {
			p.heard, p.silent = s.now, false
			s.receive(p, ev.Message)
		}
	case Wrote:
		s.wrote(ev)
	case LinkUp:
		s.up(ev.Peer, ev.RTT, ev.Local)
		s.due = s.now
	case LinkDown:
		s.down(ev.Peer, ev.Ban)
	case Broken:
		s.broken(ev)
	case Candidates:
		s.candidates(ev)
	case Demand:
		s.demand(ev)
	case Limit:
		s.upload, s.capped = ev.Upload, 0
		s.due = s.now
	case Standing:
		if p := s.peers[ev.Peer]; p != nil {
			p.standing = ev.Percent
		}
	case Moved:
		s.cfg.Addresses = ev.Addresses
	case Described:
		s.described(ev)
	case Go:
		s.leave(Closed{}, leaveNotice)
	}
}

// receive takes in a message of a peer. Whatever a peer says of itself it says of the peer that it is.
func (s *Swarm) receive(p *peer, m Message) {
	switch m := m.(type) {
	case Ack:
		s.acked(p, &m)
	case Heartbeat:
		s.heartbeat(p, &m)
	case Find:
		m.Self.ID = p.id
		s.findAsked(p, &m)
	case Members:
		m.Self.ID = p.id
		s.membersTold(p, &m)
	case Attach:
		m.Self.ID = p.id
		s.askedBy(p, &m)
	case Attached:
		s.attached(p, &m)
	case Refused:
		s.refusedBy(p, &m)
	case Detach:
		s.detached(p, &m)
	case Leave:
		s.left(p, &m)
	case Want:
		s.wanted(p, &m)
	case Lack:
		s.lacked(p, &m)
	case Report:
		m.Self.ID = p.id
		s.reported(p, &m)
	case Plan:
		s.planned(p, &m)
	}
}

// tick does what is due by time and finds out when that is next.
func (s *Swarm) tick() {
	s.due = s.now.Add(longestSleep)
	s.lifetime()
	if s.closed {
		return
	}
	if !s.now.Before(s.linksAt) {
		s.links()
	}
	s.at(s.linksAt)
	s.parents()
	s.children()
	s.repair()
	s.catching()
	s.play()
	s.acks()
	s.heartbeats()
	s.trim()
	s.limits()
	s.report()
	s.enroll()
	s.settleHome()
	s.survey(false)
	if !s.due.After(s.now) { // a step has changed what an earlier one looked at
		s.due = s.now.Add(time.Millisecond)
	}
}

// at asks for a tick at a time.
func (s *Swarm) at(t time.Time) {
	if t.Before(s.due) {
		s.due = t
	}
}

func (s *Swarm) do(a Action) { *s.out = append(*s.out, a) }

func (s *Swarm) send(p *peer, m Message) { s.do(Send{p.id, m}) }

func (s *Swarm) owner() bool { return s.cfg.Self == s.cfg.Owner }

// all returns the mask of all stripes.
func (s *Swarm) all() uint64 { return 1<<s.k - 1 }

// bitRate returns the bits a second of the channel.
func (s *Swarm) bitRate() int {
	switch {
	case s.rate.perSecond > 0:
		return s.rate.perSecond * 8
	case s.cfg.Rate > 0:
		return s.cfg.Rate
	}
	return defaultRate
}

// self describes this member to others.
func (s *Swarm) self(p *peer) Member {
	m := Member{ID: s.cfg.Self, Addresses: s.cfg.Addresses, Slots: s.slots(), Spare: s.spare(), Home: s.homes(), Depth: -1}
	m.Stripes, m.Leaves = s.open(p)
	if s.owner() {
		m.Depth = 0
		return m
	}
	for i := range s.stripes {
		if s.rooted(i) {
			m.Depth = max(m.Depth, s.depth(i))
		}
	}
	return m
}

// Stats returns the present state and the counts since New.
func (s *Swarm) Stats() Stats {
	st := s.stats
	st.Epoch, st.State, st.Why = s.epoch, s.state, s.why
	st.Peers, st.Held, st.HeldBytes, st.Next, st.Delay = len(s.order), s.win.held, s.win.bytes, s.next, s.delay()
	st.Clock, st.Error, st.Rate, st.Slots, st.Used = s.clock.ahead, s.clock.error, s.bitRate(), s.slots(), s.total()
	if s.hist.n > 0 && s.clock.error >= 0 {
		st.Lag = s.hist.quantile(0.5) + s.clock.ahead
	}
	st.Depth = -1
	if s.owner() {
		st.Depth = 0
	}
	for i := range s.stripes {
		ss := StripeStats{Depth: s.depth(i)}
		if s.owner() {
			ss.Depth = 0
		}
		if p := s.stripes[i].parent; p != nil {
			ss.Parent = p.id
			if !slices.Contains(st.Parents, p.id) {
				st.Parents = append(st.Parents, p.id)
			}
			if ss.Depth > st.Depth {
				st.Depth, st.Path = ss.Depth, s.path(i).Hops
			}
			ss.Backups = s.backups(i)
		}
		for _, p := range s.kids {
			if p.down&(1<<i) != 0 {
				ss.Children = append(ss.Children, p.id)
			}
		}
		st.Stripes = append(st.Stripes, ss)
	}
	for _, p := range s.kids {
		st.Children = append(st.Children, p.id)
	}
	for _, p := range s.linked {
		st.Links = append(st.Links, PeerStats{
			ID: p.id, RTT: p.rtt.mean, Queue: p.queue(s.now), Local: p.local, Parent: p.up, Child: p.down,
			Received: p.received, Sent: p.sent,
		})
	}
	return st
}
