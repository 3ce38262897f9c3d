package overlay

import (
	"fmt"
	"slices"
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

// TestFewNeighboursAreAskedAtOnce has a local network full of gateways, of which one owns the channel.
func TestFewNeighboursAreAskedAtOnce(t *testing.T) {
	g := newGateway(t, "a").start()
	nowhere := []string{"/ip4/127.0.0.1/tcp/1"}
	var last p2p.ID
	for range maxNeighbours {
		id, err := p2p.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		last = id.ID
		g.node.near.note(last, nowhere)
	}
	met := g.node.contacts(last, "live")
	if len(met) < maxNear || len(met) > maxNear+1 || !slices.ContainsFunc(met, func(p *peer) bool { return p.id == last }) {
		t.Errorf("%d of %d neighbours are dialled, want %d and the owner", len(met), maxNeighbours, maxNear)
	}
}
