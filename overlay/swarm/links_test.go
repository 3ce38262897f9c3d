package swarm

import (
	"slices"
	"testing"
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
