package overlay

import (
	"fmt"
	"testing"

	"peergate/overlay/p2p"
)

// TestNeighboursAreBounded has a local network full of gateways.
func TestNeighboursAreBounded(t *testing.T) {
	var ns neighbours
	for i := range 2 * maxNeighbours {
		ns.note(p2p.ID(fmt.Sprint(i)), []string{"first"})
		ns.note("home", []string{"first"})
	}
	all := ns.all()
	if _, ok := all["home"]; !ok || len(all) != maxNeighbours {
		t.Errorf("%d neighbours, want %d, and the one that was heard of again and again among them", len(all), maxNeighbours)
	}
	if ns.note("home", []string{"second"}); ns.all()["home"][0] != "second" {
		t.Error("a neighbour with another address was not noted")
	}
	ns.forget()
	if n := len(ns.all()); n != 0 {
		t.Errorf("%d are left in another network", n)
	}
}
