package delivery

import "time"

const (
	// maxLag is how far a player may fall behind where it began; it skips to a key packet then.
	maxLag = 2 * time.Second
	// maxLog bounds what is kept for slow players in bytes, beyond the current group of pictures.
	maxLog = 32 << 20
)

// flow is a shard's part of a feed: the batches that its players have not got yet, and from the newest key batch on
// those with which a new player can begin.
type flow struct {
	shard    *shard
	feed     *feed
	attached bool // the feed hands batches over
	closed   bool
	ended    bool // the stream has
	dirty    bool

	log    []*batch
	first  uint64 // number of log[0]
	start  uint64 // number of the newest key batch
	keyed  bool   // there is one
	bytes  int    // of the log
	begun  time.Time
	tracks []track

	players []*Player
}

func newFlow(s *shard, f *feed) *flow {
	return &flow{shard: s, feed: f, begun: s.now, tracks: make([]track, len(f.video))}
}

// head returns the number of the batch that comes next.
func (fl *flow) head() uint64 { return fl.first + uint64(len(fl.log)) }

// at returns a batch of the log.
func (fl *flow) at(n uint64) *batch { return fl.log[n-fl.first] }

// take adds what the feed hands over.
func (fl *flow) take(e event) {
	switch {
	case e.ended:
		fl.ended = true
	case e.batch != nil:
		fl.append(e.batch)
	default:
		fl.attached, fl.first = true, e.first
		for _, p := range fl.players {
			p.next = max(p.next, e.first)
		}
		for _, b := range e.history {
			fl.append(b)
		}
		if len(e.history) > 0 {
			fl.begun = e.history[0].arrived
		}
		for _, p := range fl.players {
			if p.pending != nil {
				p.pending.head = fl.head()
			}
		}
	}
}

func (fl *flow) append(b *batch) {
	if b.key {
		fl.start, fl.keyed = b.number, true
	}
	fl.log = append(fl.log, b)
	fl.bytes += b.bytes
	for i := range b.packets {
		fl.tracks[b.packets[i].Track].packet(&b.packets[i])
	}
	for i := range b.reports {
		fl.tracks[b.reports[i].Track].clock.set(&b.reports[i], fl.feed.rates[b.reports[i].Track])
	}
}

// send lets all players have what is new.
func (fl *flow) send() {
	for i := 0; i < len(fl.players); i++ {
		p := fl.players[i]
		p.send()
		if i < len(fl.players) && fl.players[i] != p { // it ended, and another took its place
			i--
		}
	}
}

// tick looks at the players that wait, ends those that fail, and forgets the batches that nobody needs any more.
func (fl *flow) tick() {
	for i := 0; i < len(fl.players); i++ {
		p := fl.players[i]
		p.tick()
		if i < len(fl.players) && fl.players[i] != p {
			i--
		}
	}
	if !fl.closed {
		fl.trim()
	}
}

// trim forgets the batches that neither a player nor a beginner needs.
func (fl *flow) trim() {
	fl.shard.flush() // what is queued refers to batches
	keep := fl.head()
	if fl.keyed && fl.start >= fl.first && fl.shard.now.Sub(fl.at(fl.start).arrived) < maxGroupAge {
		keep = fl.start
	}
	if fl.bytes <= maxLog+maxGroup {
		for _, p := range fl.players {
			if p.state == playing || p.state == answering {
				keep = min(keep, p.next)
			}
		}
	}
	n := int(keep - fl.first)
	if n <= 0 {
		return
	}
	for _, p := range fl.players {
		switch {
		case p.next >= keep:
		case p.state == playing || p.state == answering:
			p.skip = true
			p.skipTo(keep)
		default:
			p.next, p.pkt = keep, 0
		}
	}
	for _, b := range fl.log[:n] {
		fl.bytes -= b.bytes
		b.release()
	}
	m := copy(fl.log, fl.log[n:])
	clear(fl.log[m:])
	fl.log, fl.first = fl.log[:m], keep
}

// close lets the batches go when the last player has.
func (fl *flow) close() {
	fl.closed = true
	for _, b := range fl.log {
		b.release()
	}
	fl.log = nil
	delete(fl.shard.flows, fl.feed)
	fl.feed.change(change{flow: fl})
}
