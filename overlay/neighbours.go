package overlay

import (
	"maps"
	"sync"

	"peergate/conf"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"
)

// maxNeighbours bounds the gateways of the local network that are remembered: each is asked for every channel.
const maxNeighbours = 32

// neighbours are gateways that were heard of in the local network. They may be anybody, and are treated as strangers unless
// they are listed.
type neighbours struct {
	mu sync.Mutex // guards the field below
	at map[p2p.ID][]string
}

// note remembers where a neighbour is. It reports false when there are too many.
func (ns *neighbours) note(id p2p.ID, addresses []string) bool {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.at == nil {
		ns.at = make(map[p2p.ID][]string)
	}
	if _, ok := ns.at[id]; !ok && len(ns.at) >= maxNeighbours {
		return false
	}
	ns.at[id] = addresses
	return true
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
	if n.book.banLeft(id) > 0 || !n.near.note(id, addresses) {
		return
	}
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
