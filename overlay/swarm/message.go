package swarm

// Channel is the ID of a channel as messages carry it.
type Channel [32]byte

// MaxStripes bounds K: a mask of stripes has 64 bits, bit s standing for stripe s.
const MaxStripes = 64

// Limits of what a message may hold. A message beyond one of them is refused whole: no gateway makes such a one.
const (
	// MaxMembers is how many members an answer may name: enough to find three that serve, small enough for one packet or two.
	MaxMembers = 24
	// MaxHops bounds the path of a member to the owner: at 8 children each, 16 hops reach far more members than there are.
	MaxHops = 16

	maxAddresses   = 16       // of one member; a gateway has about 4 and as many relayed ones
	maxAddress     = 256      // bytes of an address, which is a multiaddr in text
	maxID          = 64       // bytes of an ID; "12D3KooW..." has 52
	maxHave        = 512      // bytes of a have-bitmap: 4096 chunks
	maxWant        = 64       // chunks asked for in one message
	maxDescription = 64 << 10 // bytes of a signed descriptor
)

// Message is what members of a channel say to each other on a control stream: one of the types of this file.
type Message interface{ message() }

// Member describes a member to others. A slot is one child served with one stripe.
type Member struct {
	ID        ID
	Addresses []string // how to dial it: multiaddrs in text; none when it cannot be dialled
	Slots     int      // it serves at most; 0: it contributes nothing
	Spare     int      // slots it would still fill
	Stripes   uint64   // mask of the stripes for which it has room
	Leaves    uint64   // mask of the stripes in which a contributor may take a leaf's place
	Home      uint64   // mask of the stripes that it forwards
	Depth     int      // hops to the owner, the owner itself having 0; -1 while it has no parent
	RTT       int      // round trip from the one who tells, in milliseconds; 0 unknown
}

// Path is the way some stripes come: the parent of the sender first, the owner last.
type Path struct {
	Stripes uint64
	Rooted  bool     // the path ends at the owner; else its last member has no parent now
	Delay   int      // milliseconds that a chunk takes from the owner to the sender, smoothed
	Hops    []uint64 // ID.Hop of each
}

// Have tells which chunks a member holds.
type Have struct {
	Base uint64 // the first sequence number that Bits speaks of
	Full int    // how many before Base are held without a gap
	Bits []byte // bit i%8 of byte i/8: holds Base+i
}

// Find asks for members of the channel. The one who asks introduces itself.
type Find struct {
	Self    Member
	Want    int    // at most so many
	Stripes uint64 // mask of those that a parent is looked for; 0: any member will do
}

// Members answers Find.
type Members struct {
	Self    Member
	Members []Member
	Size    int // of the whole swarm, as far as the sender knows
	Givers  int // of them, those that contribute
}

// Describe asks for the channel's descriptor. The node answers it; the machine does not see it.
type Describe struct {
	Epoch uint64 // of the descriptor that the asking gateway has; 0 none
}

// Description answers Describe with the newest signed descriptor.
type Description struct {
	Descriptor []byte
}

// Attach asks to become a child for some stripes, beside those it has, and for what Have lacks of them.
type Attach struct {
	Epoch   uint64
	Stripes uint64
	Resume  bool   // send what Have lacks from Have.Base on, if all of that is still held; else from the last key chunk
	Tries   int    // how often this was refused before, by anybody: the owner relents in the end
	Number  uint64 // comes back in the answer
	Have    Have
	Self    Member
}

// Attached accepts a child.
type Attached struct {
	Epoch   uint64
	Number  uint64 // of the Attach
	Stripes uint64 // of the Attach, those granted; for others a Refused follows
	Head    uint64 // highest sequence number held plus one: what is pushed below it is there to catch up
	From    uint64 // the first sequence number that is pushed
	Paths   []Path
}

// Reason says why an Attach or a Find was refused.
type Reason int

// The reasons.
const (
	RefusedUnknown    Reason = iota + 1 // the channel is not known here
	RefusedNotAllowed                   // the peer may not have the channel
	RefusedFull                         // no slot is free
	RefusedLoop                         // the one who asks is on the path
	RefusedOrphan                       // no parent was found here either
	RefusedCapacity                     // the whole swarm lacks upload for one more
)

// String returns the reason in words, for a log and for players.
func (r Reason) String() string {
	switch r {
	case RefusedUnknown:
		return "the channel is not known there"
	case RefusedNotAllowed:
		return "the peer does not allow it"
	case RefusedFull:
		return "the peer serves as many as it can"
	case RefusedLoop:
		return "the peer gets the channel through this gateway"
	case RefusedOrphan:
		return "the peer gets the channel from nobody"
	case RefusedCapacity:
		return "the gateways that carry the channel have no upload left for another one"
	}
	return "for an unknown reason"
}

// Refused answers an Attach, a Find or a Describe that cannot be granted.
type Refused struct {
	Reason  Reason
	Number  uint64   // of the Attach
	Stripes uint64   // of the Attach; 0 for a Find or a Describe
	Retry   int      // milliseconds after which to ask again; 0: as one likes
	Members []Member // others to try
}

// Detach ends the relation for some stripes, from either side. A parent that must shed a child goes on serving it for
// After and names others. One that could do without only asks: the child stays unless it finds another parent.
type Detach struct {
	Stripes uint64
	After   int // milliseconds; 0: at once
	Members []Member
	Asks    bool
}

// Leave tells children and neighbours that the sender is about to go, and whom they may turn to.
type Leave struct {
	After   int // milliseconds for which children are still served
	Backups []Member
}

// Heartbeat keeps neighbours informed: what the sender holds, how its stripes come, and what the owner's clock shows.
// A parent sends one unasked to its children when a path changes.
type Heartbeat struct {
	Epoch   uint64
	Ask     bool   // answer with a heartbeat, at once
	Stamp   uint64 // sender's time, opaque; comes back in Echo
	Echo    uint64 // Stamp of the heartbeat that this one answers; 0 none
	Slots   int
	Spare   int
	Stripes uint64 // mask of those for which the sender has room, for the receiver
	Leaves  uint64 // mask of those in which a contributor may take a leaf's place
	Home    uint64 // mask of those the sender forwards
	Paths   []Path // those that changed since the last heartbeat to the same peer
	Have    Have
	Wall    uint64 // owner's clock when this was sent, as estimated by the sender, microseconds since 1970; 0 unknown
	Error   uint64 // bound of the error of Wall, microseconds
}

// Ack goes up a push stream every 100 ms while chunks come.
type Ack struct {
	Epoch uint64
	Seqs  []uint64 // the highest received on the stream, one for each stripe that it carries and that had news
	Last  uint64   // which of Seqs came last
	Stamp uint64   // when that was, by the sender's clock, microseconds: how it varies tells of queues on the way down
}

// Report tells the owner, who keeps the list of members, of the sender.
type Report struct {
	Self   Member
	Used   int    // slots filled
	Lacks  uint64 // mask of stripes without a parent
	Leaves bool   // the sender is going
}

// Plan answers a Report.
type Plan struct {
	Every   int    // milliseconds until the next Report is wanted
	Size    int    // members
	Givers  int    // of them, those that contribute
	Stripes uint64 // home stripes of the one who reported: those it is to serve
	Wait    bool   // the swarm lacks upload for one more: it is not to ask for parents yet
}

// Want asks for single chunks.
type Want struct {
	Epoch uint64
	Seqs  []uint64
}

// Lack answers for those chunks of a Want that the sender does not give.
type Lack struct {
	Epoch  uint64
	Seqs   []uint64 // that it does not hold, or may not give
	Coming []uint64 // that it has pushed, or will: they are on their way
}

func (Find) message()        {}
func (Members) message()     {}
func (Describe) message()    {}
func (Description) message() {}
func (Attach) message()      {}
func (Attached) message()    {}
func (Refused) message()     {}
func (Detach) message()      {}
func (Leave) message()       {}
func (Heartbeat) message()   {}
func (Ack) message()         {}
func (Report) message()      {}
func (Plan) message()        {}
func (Want) message()        {}
func (Lack) message()        {}
