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
type Swarm struct{ cfg Config }

// New returns a member that has not begun: the first Handle does that.
func New(cfg Config) *Swarm { return &Swarm{cfg: cfg} }

// Handle takes an event in at the time now, which never goes back, appends to out what is to be done, and returns when
// it wants to be called again at the latest.
func (s *Swarm) Handle(ev Event, now time.Time, out *Actions) (wake time.Time) {
	return now.Add(time.Second)
}

// Stats returns the present state and the counts since New.
func (s *Swarm) Stats() Stats { return Stats{} }
