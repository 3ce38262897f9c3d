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
		if ok := ns.note(p2p.ID(fmt.Sprint(i)), []string{"first"}); ok != (i < maxNeighbours) {
			t.Errorf("note of number %d = %v", i, ok)
		}
	}
	if !ns.note("0", []string{"second"}) || ns.all()["0"][0] != "second" {
		t.Error("a neighbour with another address was not noted")
	}
	ns.forget()
	if n := len(ns.all()); n != 0 {
		t.Errorf("%d are left in another network", n)
	}
}
