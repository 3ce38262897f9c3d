package overlay

import (
	"maps"
	"slices"
	"sync"

	"peergate/conf"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"
)

// maxNeighbours bounds the gateways of the local network that are remembered.
const maxNeighbours = 64

// neighbours are gateways that were heard of in the local network. They may be anybody, and are treated as strangers unless
// they are listed.
type neighbours struct {
	mu    sync.Mutex // guards the fields below
	at    map[p2p.ID][]string
	order []p2p.ID // those heard of last come last
}

// note remembers where a neighbour is; when there are too many, the one that was heard of longest ago is forgotten.
func (ns *neighbours) note(id p2p.ID, addresses []string) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.at == nil {
		ns.at = make(map[p2p.ID][]string)
	}
	ns.order = append(slices.DeleteFunc(ns.order, func(old p2p.ID) bool { return old == id }), id)
	ns.at[id] = addresses
	if len(ns.order) > maxNeighbours {
		delete(ns.at, ns.order[0])
		ns.order = ns.order[1:]
	}
}

// all returns a copy.
func (ns *neighbours) all() map[p2p.ID][]string {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return maps.Clone(ns.at)
}

// forget forgets all: this machine is in another network.
func (ns *neighbours) forget() {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	clear(ns.at)
	ns.order = nil
}

// neighbourly returns what is told of neighbours, or nil when nobody looks for them.
func (n *Node) neighbourly(c conf.Overlay) func(p2p.ID, []string) {
	if !c.MDNS {
		return nil
	}
	return n.neighbour
}

// neighbour takes in a gateway of the local network: one that is to be dialled is dialled there, and channels look whether it
// has them.
func (n *Node) neighbour(id p2p.ID, addresses []string) {
	if n.book.banLeft(id) > 0 {
		return
	}
	n.near.note(id, addresses)
	n.log.Debug("neighbour", "peer", n.book.name(id), "remote", addresses[0])
	if p := n.book.known(id); p != nil {
		p.learn(addresses)
		if n.link(id) == nil {
			p.poke()
		}
	}
	for _, ch := range n.allChannels() {
		ch.box.put(func() { ch.neighbour(id, addresses) })
	}
}

// neighbour tells the machine of a gateway of the local network, from which the channel costs no upload. Listed peers it knows.
func (ch *channel) neighbour(id p2p.ID, addresses []string) {
	if ch.source == nil {
		ch.step(swarm.Candidates{Members: []swarm.Member{{ID: swarm.ID(id), Addresses: addresses}}, Local: true})
	}
}
