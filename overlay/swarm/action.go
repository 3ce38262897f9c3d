package swarm

import "time"

// Actions collects what is to be done, in order. The node empties and reuses it.
type Actions []Action

// Action is one thing the node is to do: one of the types of this file. None is answered but by later events.
type Action interface{ action() }

// Connect asks for a control stream to a peer; LinkUp or LinkDown follows, also when there is one already.
type Connect struct {
	Peer      ID
	Addresses []string
}

// Disconnect ends what Connect began: the channel needs the link no more. The node closes it when no channel does.
// A peer that connected by itself is never the subject of a Disconnect unless it was of a Connect, too.
type Disconnect struct {
	Peer ID
}

// Send sends a message about the channel over the control stream to a peer, but for an Ack, which goes up the push
// stream to the parent. Want and Lack may take the repair stream. Messages to a peer arrive in order.
type Send struct {
	To      ID
	Message Message
}

// Open asks for the push stream of the channel to a parent, on which it pushes chunks. Comes before the first Attach.
type Open struct {
	Parent ID
}

// Shut closes the push stream of the channel between this gateway and the peer: a parent given up (Parent) or a child
// that has left.
type Shut struct {
	Peer   ID
	Parent bool
}

// Keep stores the bytes of the chunk that was the event, until a Forget covers it. Without Keep they may be dropped.
type Keep struct {
	Epoch, Seq uint64
}

// Forget drops the kept chunks of the epoch below a sequence number, and all of earlier epochs.
type Forget struct {
	Epoch, Below uint64
}

// Push sends a kept chunk to a child on its push stream. The node drops it, whole, when it cannot begin to write it by
// Until; a Wrote tells what became of it.
type Push struct {
	To         ID
	Epoch, Seq uint64
	Until      time.Time
}

// Give answers a Want with a kept chunk, on the repair stream; a Wrote tells what became of it.
type Give struct {
	To         ID
	Epoch, Seq uint64
	Until      time.Time
}

// Release hands a kept chunk to the player side, now. In each epoch the sequence numbers grow, and epochs grow.
type Release struct {
	Epoch, Seq uint64
}

// Skip tells that the chunks from First up to but without Next were given up and that Next comes next, which begins
// with a key packet where that was to be had.
type Skip struct {
	Epoch, First, Next uint64
}

// Fetch asks a peer for the descriptor, because it speaks of a newer epoch; Described follows when there is one.
type Fetch struct {
	From  ID
	Epoch uint64
}

// Admission tells how the attempt to join stands, each time that this changes. Players who wait for the first packet
// are told the reason.
type Admission struct {
	State State
	Why   Reason // of Waiting; 0 when nobody refused yet
}

// State is how far a member has joined.
type State int

// The states of a member. It begins as Joining and may go back from Joined when it has lost all its parents.
const (
	Joining State = iota // looking for members and parents
	Waiting              // all that could be asked have refused; the member goes on asking
	Joined               // every stripe has a parent, or this is the owner
)

// String returns the state in one word, for a log.
func (s State) String() string {
	switch s {
	case Joining:
		return "joining"
	case Waiting:
		return "waiting"
	case Joined:
		return "joined"
	}
	return "unknown"
}

// Closed is the last action: the member has left. Later events have no effect.
type Closed struct {
	Idle  bool // nobody wanted the channel any more
	Ended bool // its owner has ended it; else it was told to Go
}

func (Connect) action()    {}
func (Disconnect) action() {}
func (Send) action()       {}
func (Open) action()       {}
func (Shut) action()       {}
func (Keep) action()       {}
func (Forget) action()     {}
func (Push) action()       {}
func (Give) action()       {}
func (Release) action()    {}
func (Skip) action()       {}
func (Fetch) action()      {}
func (Admission) action()  {}
func (Closed) action()     {}
