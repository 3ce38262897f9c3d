package swarm

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Of many who miss a chunk a few ask the owner for it at a time, and each in the end.
func TestFewAskTheOwner(t *testing.T) {
	const members = 10 * ownerAskers
	var turns []time.Duration
	for i := range members {
		s := New(Config{Self: ID(fmt.Sprint("m", i)), Owner: "owner", Epoch: 1, Stripes: 2})
		s.size = members
		turns = append(turns, s.ownerTurn(31))
		if s.size = ownerAskers; s.ownerTurn(31) != ownerAfter {
			t.Errorf("of as many as may ask at once, one waits for %v", s.ownerTurn(31))
		}
	}
	slices.Sort(turns)
	first, _ := slices.BinarySearch(turns, ownerAfter+1)
	if first < ownerAskers/2 || first > 2*ownerAskers {
		t.Errorf("%d of %d ask first, want about %d", first, members, ownerAskers)
	}
	if turns[0] != ownerAfter || turns[members-1] >= ownerAfter+10*ownerAfter/2 {
		t.Errorf("the first asks after %v, the last after %v", turns[0], turns[members-1])
	}
}

// Who has a stripe from a child of the owner asks this soon, however many members there are: it passes the chunk on.
func TestWhoPassesOnAsksTheOwnerFirst(t *testing.T) {
	for _, far := range []bool{false, true} {
		r := newRig(t, nil)
		r.link("a", "b")
		r.serve()
		r.link("owner")
		if far {
			for _, id := range []ID{"a", "b"} {
				r.say(id, Heartbeat{Epoch: 1, Slots: 16, Stripes: 3, Home: 3, Paths: []Path{{Stripes: 3, Rooted: true, Hops: []uint64{7, ID("owner").Hop()}}}})
			}
		}
		r.s.size = maxRoster
		r.flow(10, 30)
		r.flow(30, 34, 31)
		for _, id := range []ID{"a", "b", "a", "b"} {
			r.pass(minWait)
			r.say(id, Lack{Epoch: 1, Seqs: []uint64{31}})
		}
		r.take()
		r.pass(ownerAfter)
		if _, asked := sent[Want](r.take())["owner"]; asked == far {
			t.Errorf("the owner is asked: %v, by a member that is farther from it: %v", asked, far)
		}
	}
}
