package swarm

import "time"

// Event is something that happened to a member: one of the types of this file. Handle with a nil Event does only what
// is due by time.
type Event interface{ event() }

// Demand tells who wants the channel here. While neither local players nor children do, and Relay is not set, the
// member leaves after Config.IdleAfter.
type Demand struct {
	Players int  // local players
	Relay   bool // carry the channel for others although nobody watches it here
}

// Limit tells how much this gateway may give to others on this channel, from now on: by configuration, schedule and
// the share of other channels.
type Limit struct {
	Upload int // bits a second; 0 none, Unlimited: as much as the network takes
}

// Standing tells how much a peer has carried for what it watched, as a measure by which Config.Prefer compares.
type Standing struct {
	Peer    ID
	Percent int // of the bytes that it got, those that it gave to others
}

// Moved tells where others can dial this gateway from now on.
type Moved struct{ Addresses []string }

// Described tells of a newer descriptor, verified. The chunks of earlier epochs are void.
type Described struct {
	Epoch   uint64
	Stripes int
	Rate    int  // bits a second, a hint
	Ended   bool // the owner has ended the channel: the member tells its children and emits Closed
}

// Candidates tells of gateways that may be members: configured peers, the owner, neighbours found on the network.
type Candidates struct {
	Members []Member
	Keep    bool // configured: never forgotten, however often they fail
	Local   bool // on the same site, so that traffic between them costs nothing
	Tracker bool // the owner has named them as those who know the members; this gateway itself may be among them
}

// LinkUp tells that a control stream to the peer is open. A Message from it implies this.
type LinkUp struct {
	Peer  ID
	RTT   time.Duration // round trip, as measured while connecting; 0 unknown
	Local bool          // the peer is on the same site
}

// LinkDown tells that the connection to a peer was lost or, after Connect, not made.
type LinkDown struct {
	Peer ID
	Ban  time.Duration // do not use the peer again for this long: it lied; 0: it may be tried again soon
}

// Received is a message about the channel from a peer who may be a member of it.
type Received struct {
	From    ID
	Message Message
}

// Arrived is a chunk that came from a peer, with its signature verified.
type Arrived struct {
	From   ID
	Epoch  uint64
	Seq    uint64
	Size   int       // bytes of the whole chunk
	Key    bool      // a player can start with it
	Vital  bool      // part of a key frame, or sound alone: to be dropped last
	Wall   time.Time // owner's clock when the chunk was closed
	Repair bool      // it came on the repair stream, as the answer to a Want
}

// Produced is a chunk that this gateway, the owner, has made.
type Produced struct {
	Epoch uint64
	Seq   uint64
	Size  int
	Key   bool
	Vital bool
	Wall  time.Time
}

// Wrote is the result of a Push or a Give; each has one, in order for a stream.
type Wrote struct {
	To      ID
	Epoch   uint64
	Seq     uint64
	Dropped bool          // not written: too old, the queue was full, the bytes were gone or the stream broke
	Queued  int           // bytes that wait here for the same peer now
	Waited  time.Duration // from the action to the end of the write
}

// Broken tells that the push stream between this gateway and the peer has ended or could not be opened, while the
// link to the peer may live. Parent: the peer was the one that pushed. After a Shut it need not be told.
type Broken struct {
	Peer   ID
	Parent bool
}

// Go asks the member to leave: it tells its children, serves them for another moment, and then emits Closed.
type Go struct{}

func (Demand) event()     {}
func (Limit) event()      {}
func (Standing) event()   {}
func (Moved) event()      {}
func (Described) event()  {}
func (Candidates) event() {}
func (LinkUp) event()     {}
func (LinkDown) event()   {}
func (Received) event()   {}
func (Arrived) event()    {}
func (Produced) event()   {}
func (Wrote) event()      {}
func (Broken) event()     {}
func (Go) event()         {}
