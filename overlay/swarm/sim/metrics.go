package sim

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"peergate/overlay/swarm"
)

// nodeStats is what is counted of a node in the measured time.
type nodeStats struct {
	sent     int64 // bytes of chunks
	control  int64 // bytes of messages
	one, two int64 // chunks that came within 1 s and 2 s
	skipped  int64
	skips    int64
	done     bool
	recent   []coming // chunks made in the last seconds
}

// coming is a chunk that has come.
type coming struct {
	made, took time.Duration
}

// count counts the chunks made before a time.
func (st *nodeStats) count(before time.Duration) {
	i := 0
	for ; i < len(st.recent) && st.recent[i].made < before; i++ {
		if st.recent[i].took <= time.Second {
			st.one++
		}
		if st.recent[i].took <= 2*time.Second {
			st.two++
		}
	}
	st.recent = append(st.recent[:0], st.recent[i:]...)
}

// Result is what a run measured.
type Result struct {
	Members  int   // present at the end
	Payload  int64 // bytes of RTP
	Sent     int64 // bytes of chunks by all
	Origin   int64 // of them, by the owner
	Control  int64 // bytes of messages by all
	Received uint64
	Dups     uint64
	Expected int64 // chunks due to members
	One, Two int64 // of them, those that came within 1 s and 2 s
	Skips    int64
	Shed     uint64
	Switches uint64
	Bans     int

	Delays   []time.Duration // of chunks, from their making to their coming; a sample
	Releases []time.Duration // to their release to players
	Joins    []time.Duration // from the start to the first release
	Unjoined int             // members that had no release after 10 s
	Refused  int             // of them, those that know why
	Depths   []int
	Orphaned int             // stripes of members that lost their parent in the crash
	Back     []time.Duration // until these had another that lives
	CrashAt  time.Duration   // since the measured time began
}

// sampleEvery is of how many delays one is kept.
const sampleEvery = 7

// kept notes that a chunk has come.
func (n *node) kept(a swarm.Keep) {
	s := n.s
	if n == s.owner || a.Epoch != s.epoch {
		return
	}
	c := &s.chunks[a.Seq]
	if c.at < s.from || c.at >= s.to || n.first == 0 || a.Seq < n.firstSeq {
		return
	}
	d := s.now - c.at
	n.stats.recent = append(n.stats.recent, coming{c.at, d})
	if len(n.stats.recent) >= 1024 {
		slices.SortFunc(n.stats.recent, func(a, b coming) int { return cmp.Compare(a.made, b.made) })
		n.stats.count(s.now - 3*time.Second)
	}
	if s.rng.IntN(sampleEvery) == 0 {
		s.result.Delays = append(s.result.Delays, d)
	}
}

// released notes a release and checks its order.
func (n *node) released(a swarm.Release) {
	s := n.s
	if a.Epoch < n.lastEpoch || a.Epoch == n.lastEpoch && a.Seq < n.last {
		panic("sim: released out of order")
	}
	n.last, n.lastEpoch = a.Seq+1, a.Epoch
	if a.Epoch != s.epoch {
		return
	}
	c := &s.chunks[a.Seq]
	if n.first == 0 {
		n.first, n.firstSeq = s.now, uint64(len(s.chunks))
		s.result.Joins = append(s.result.Joins, s.now-n.joined)
		return
	}
	if c.at >= s.from && c.at < s.to && a.Seq >= n.firstSeq && s.rng.IntN(sampleEvery) == 0 {
		s.result.Releases = append(s.result.Releases, s.now-c.at)
	}
}

// finish counts a node that goes, or that is there at the end.
func (n *node) finish() {
	s := n.s
	if n.stats.done || n == s.owner {
		return
	}
	n.stats.done = true
	r := &s.result
	r.Sent += n.stats.sent
	r.Control += n.stats.control
	st := n.m.Stats()
	r.Received += st.Received
	r.Dups += st.Duplicates
	r.Skips += n.stats.skips
	r.Shed += st.Shed
	r.Switches += st.Switches
	if n.first == 0 {
		if s.now-n.joined > 10*time.Second {
			r.Unjoined++
			if n.why != 0 {
				r.Refused++
			}
		}
		return
	}
	// Chunks made while it was there and at least 2 s before it went.
	end := min(s.now-2*time.Second, s.to)
	for q := n.firstSeq; q < uint64(len(s.chunks)) && s.chunks[q].at < end; q++ {
		if s.chunks[q].at >= s.from {
			r.Expected++
		}
	}
	slices.SortFunc(n.stats.recent, func(a, b coming) int { return cmp.Compare(a.made, b.made) })
	n.stats.count(end)
	r.One += n.stats.one
	r.Two += n.stats.two
}

// Result returns what was measured up to now.
func (s *Sim) Result() Result {
	for _, n := range s.nodes {
		if n.gone {
			continue
		}
		n.finish()
		if n != s.owner {
			s.result.Members++
			s.result.Depths = append(s.result.Depths, n.m.Stats().Depth)
		}
	}
	s.result.Origin = s.owner.stats.sent
	s.result.Sent += s.owner.stats.sent
	s.result.Control += s.owner.stats.control
	return s.result
}

// quantile returns the value that the part q of the values does not exceed.
func quantile[T int | time.Duration](v []T, q float64) T {
	if len(v) == 0 {
		return 0
	}
	sorted := append([]T(nil), v...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
