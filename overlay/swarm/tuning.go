package swarm

import "time"

// Defaults of a Config.
const (
	defaultBytes  = 16 << 20 // of kept chunks: 6 s at 20 Mbit/s
	defaultRate   = 2_000_000
	steadyDelay   = time.Second
	minDelay      = 200 * time.Millisecond
	maxDelay      = 3 * time.Second
	firstDelay    = time.Second            // while the lag has not been measured
	delayMargin   = 100 * time.Millisecond // added to the 99.9th percentile of the lag
	measureChunks = 100                    // after so many chunks the lag counts as measured
)

// What is kept, for children that begin and neighbours that ask.
const (
	keepFor   = 6 * time.Second  // at least; twice the longest delay
	keepAtAll = 20 * time.Second // at most, when the last key chunk is older
	maxWindow = 8 * maxHave      // chunks
	// maxJump is how far ahead of the head a chunk may be: 4 s at 20 Mbit/s. Beyond it the member begins anew.
	maxJump = 2048
)

// Links and candidates.
const (
	maxPeers     = 256 // known
	maxLinks     = 24  // beyond which the farthest idle link is given up
	neighbours   = 16  // linked peers whom heartbeats tell what is held
	maxDials     = 16  // at once: a round trip joins in parallel
	sampled      = 48  // peers whose round trip is measured, for the nearest ones
	sampleEvery  = 3 * time.Second
	sampleSlow   = 30 * time.Second       // after that
	dialPatience = 5 * time.Second        // for LinkUp or LinkDown after Connect
	dialAgain    = 500 * time.Millisecond // after the first failure; doubled each time
	dialSlowest  = 30 * time.Second
	linksEvery   = 250 * time.Millisecond // at least
	findEvery    = time.Second            // while parents lack
	findIdle     = 20 * time.Second
	findThin     = 5 * time.Second // while there are too few that could take over
	forgetAfter  = 2 * time.Minute // a peer that nobody has named for so long and that has no link
	suspectAfter = 3 * time.Second // a neighbour that has said nothing for so long may be dead
)

// Parents.
const (
	backups = 2
	// silence is how long a stripe may be silent, and silentIntervals in intervals between its chunks.
	silence         = 250 * time.Millisecond
	silentIntervals = 3
	// orphanGrace is added while the parent says that it looks for a parent itself: it will find one first.
	orphanGrace  = 500 * time.Millisecond
	attachAnswer = 150 * time.Millisecond // beyond the round trip; a parent that is joining itself answers later
	attachHold   = 2 * time.Second        // how long a parent that is joining keeps an Attach for an answer
	againAfter   = time.Second            // of silence the only parent is asked anew
	refusedFor   = time.Second            // not asked again for the same stripes, unless it says otherwise
	hopCost      = 5 * time.Millisecond
	// spread is what each stripe that a peer brings already counts in delay, so that several parents share them.
	spread     = 8 * time.Millisecond
	unknownRTT = 100 * time.Millisecond
	// better is by how much, of the present cost, another parent must be cheaper to switch: less would flap.
	better        = 0.2
	leastGain     = 10 * time.Millisecond
	optimizeEvery = 2 * time.Second // spread by a random half
	// catchUpFor bounds for how long a new parent is believed to be sending what was before.
	catchUpFor  = 10 * time.Second
	settleAfter = 5 * time.Second // a parent is judged only then
	mostCalms   = 5               // doublings of it
	// joinPatience is how long a newcomer holds some stripes while others have no parent; then it lets go and waits.
	joinPatience = 5 * time.Second
	waitAgain    = 3 * time.Second
)

// Wire is how many bytes are on the wire for one of a chunk, with the headers of TCP, IP, TLS and the like.
const Wire = 1.07

// Children.
const (
	childrenPerStripe = 8                      // of a contributor, so that trees are wide and shallow
	usable            = 0.9                    // of the upload is for pushes, the rest for repair
	pressed           = 100 * time.Millisecond // queues to children, with which nothing is given beside what is pushed
	slotTolerance     = 0.95                   // an owner that can send the channel this nearly once may try
	smallSwarm        = 4                      // members, with fewer any parent may carry all stripes
	relentAfter       = 3                      // refusals
	swapAfter         = 3                      // refusals of a member that lacks a stripe
	maxQueue          = 200 * time.Millisecond // all the time, beyond which a child is given less
	shedAfter         = 3 * time.Second        // of such queues a stripe is taken away
	shedNotice        = 500 * time.Millisecond
	moveAgain         = 200 * time.Millisecond // when slots are being moved, to ask again
	leaveNotice       = 500 * time.Millisecond
	endNotice         = 2 * time.Second // a channel's end is told to children for so long
	// pushDeadline is how long a chunk may wait here; of those that are not vital, half as long.
	pushDeadline = time.Second
	burst        = 32 << 10 // bytes that catching up may begin with
	burstTime    = 50 * time.Millisecond
)

// Messages by time.
const (
	heartbeatEvery = 500 * time.Millisecond
	neighbourEvery = time.Second     // to those who may become parents
	pathsEvery     = 3 * time.Second // to who is no child
	idleHeartbeat  = 5 * time.Second // on links that are neither parent, child, backup nor neighbour
	pingEvery      = 2 * time.Second // heartbeats that ask for an answer, for round trip and clock
	ackEvery       = 100 * time.Millisecond
	longestSleep   = time.Second
)

// Repair.
const (
	repairSlack = 10 * time.Millisecond // beyond the measured lag of a stripe before a chunk is missing
	minWait     = 50 * time.Millisecond // for the answer to a Want
	// lateRepair of the rate is what a member asks for at most of stripes that flow, though late: to ask for what is
	// in a queue makes the queues longer.
	lateRepair = 0.05
	// askRate of the rate is what a member asks for at most: two stripes of eight.
	askRate       = 0.25
	maxAsked      = 48       // chunks outstanding with one peer
	ownerRepair   = 0.1      // of the rate is what the owner gives to those who ask
	repairBurst   = 64 << 10 // bytes
	maxRepairRate = 1.0      // of the rate is what another member gives
)
