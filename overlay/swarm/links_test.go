package swarm

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Gateways that were only candidates were named to whoever asked, with their addresses.
func TestOnlyMembersAreNamed(t *testing.T) {
	r := newRig(t, nil)
	address := []string{"/ip4/10.0.2.1/tcp/1"}
	r.on(Candidates{Members: []Member{{ID: "listed", Addresses: address}, {ID: "told", Addresses: address}}, Keep: true})
	r.on(LinkUp{Peer: "listed"})
	r.link("owner", "member")
	r.say("owner", Members{Self: r.member("owner"), Members: []Member{r.member("told")}})
	r.take()
	r.say("newcomer", Find{Self: Member{ID: "newcomer", Depth: -1}, Want: MaxMembers})
	m, ok := sent[Members](r.take())["newcomer"]
	if !ok {
		t.Fatal("Find is not answered")
	}
	var names []ID
	for _, named := range m.Members {
		names = append(names, named.ID)
	}
	slices.Sort(names)
	if want := []ID{"member", "owner", "told"}; !slices.Equal(names, want) {
		t.Errorf("members named: %v, want %v", names, want)
	}
}

// A member whose parent had joined at the same time did not ask for others for 20 s, and lost the channel with the parent.
func TestOwnerIsLookedFor(t *testing.T) {
	r := newRig(t, nil)
	r.link("parent")
	r.serve()
	r.flow(0, 50) // 20 ms apart
	if _, ok := sent[Find](r.take())["parent"]; !ok {
		t.Fatal("a member that does not know where the owner is does not ask")
	}
	r.say("parent", Members{Self: r.member("parent"), Members: []Member{r.member("owner")}})
	r.take()
	r.flow(50, 200)
	if m, ok := sent[Find](r.take())["parent"]; ok {
		t.Errorf("Find = %+v after the owner was named, want none so soon", m)
	}
}

// A member tells a tracker, whom the owner has named, of itself, has a link to it beside those to its neighbours, and asks it
// for others however many it knows.
func TestTracker(t *testing.T) {
	r := newRig(t, nil)
	r.link("owner")
	for i := range neighbours {
		r.link(ID(fmt.Sprint("m", i)))
	}
	r.serve()
	r.on(Candidates{Members: []Member{{ID: "tracker", Addresses: []string{"/ip4/10.0.3.1/tcp/1"}}}, Keep: true, Tracker: true})
	r.pass(100 * time.Millisecond)
	if !slices.ContainsFunc(did[Connect](r.take()), func(c Connect) bool { return c.Peer == "tracker" }) {
		t.Fatal("a member with many links does not dial a tracker")
	}
	r.on(LinkUp{Peer: "tracker"})
	r.pass(2 * reportEvery)
	if m, ok := sent[Report](r.take())["tracker"]; !ok || m.Self.ID != "me" || m.Leaves {
		t.Errorf("Report to the tracker = %+v, %v", m, ok)
	}
	r.on(Go{})
	if m, ok := sent[Report](r.take())["tracker"]; !ok || !m.Leaves {
		t.Errorf("Report to the tracker at the end = %+v, %v", m, ok)
	}
}

// A tracker remembers whoever reports, more than other members know, until that leaves.
func TestTrackerKnowsAll(t *testing.T) {
	const many = maxPeers + 50
	r := newRig(t, nil)
	r.on(Candidates{Members: []Member{{ID: "me"}}, Tracker: true})
	r.link("owner")
	for i := range many {
		r.say(ID(fmt.Sprint("m", i)), Report{Self: Member{Addresses: []string{"/ip4/10.0.4.1/tcp/1"}, Depth: 2}})
	}
	if n := r.s.Stats().Peers; n != many+1 {
		t.Errorf("a tracker knows %d, want %d", n, many+1)
	}
	for i := range many - 1 {
		r.say(ID(fmt.Sprint("m", i)), Report{Leaves: true})
	}
	r.take()
	r.say("newcomer", Find{Self: Member{Depth: -1}, Want: MaxMembers})
	var names []ID
	for _, m := range sent[Members](r.take())["newcomer"].Members {
		names = append(names, m.ID)
	}
	slices.Sort(names)
	if want := []ID{ID(fmt.Sprint("m", many-1)), "owner"}; !slices.Equal(names, want) {
		t.Errorf("a tracker names %v, want %v", names, want)
	}
}
