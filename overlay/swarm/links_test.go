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
