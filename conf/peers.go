package conf

import (
	"fmt"
	"regexp"
	"strings"
)

// Peer is another gateway, known by a petname under which players find its streams.
type Peer struct {
	ID        string   `yaml:"id"`        // as "gateway id" prints it there
	Addresses []string `yaml:"addresses"` // multiaddresses; empty when other peers know how to reach it
}

// peerID is the form of an Ed25519 peer ID of libp2p, in base58.
var peerID = regexp.MustCompile(`^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$`)

func (p *Peer) check(f faults, key, name string) {
	checkPetname(f, key, name)
	if p.ID == "" {
		f.fault(key+".id", "is missing: \"gateway id\" prints it at the peer")
	} else if !peerID.MatchString(p.ID) {
		f.fault(key+".id", "is %q, must be an ID such as 12D3KooW..., as \"gateway id\" prints it at the peer", p.ID)
	}
	for i, a := range p.Addresses {
		overlayDial(f, fmt.Sprintf("%s.addresses[%d]", key, i), a, p.ID)
	}
}

// checkPetname checks what is to be the first part of a path.
func checkPetname(f faults, key, name string) {
	if strings.Contains(name, "/") {
		f.fault(key, "is a petname with a slash: it must be the first part of a path")
	}
	checkName(f, key, name)
}

// checkPetnames reports petnames that hide streams of this gateway, and IDs that stand twice.
func (c *Config) checkPetnames(f faults) {
	first := make(map[string]string)
	for _, name := range sorted(c.Streams) {
		seg, _, _ := strings.Cut(name, "/")
		if _, ok := first[seg]; !ok {
			first[seg] = name
		}
	}
	ids := make(map[string]string)
	for _, name := range sorted(c.Peers) {
		if s, ok := first[name]; ok {
			f.fault("peers."+name, "is also the first part of the stream %q: rename one", s)
		}
		id := c.Peers[name].ID
		if other, ok := ids[id]; ok && id != "" {
			f.fault("peers."+name+".id", "is the ID of the peer %q too: a gateway has one petname", other)
		}
		ids[id] = name
	}
	c.checkLinks(f, first)
	c.checkTrackers(f)
}

// maxTrackers is how many a descriptor names at most.
const maxTrackers = 8

// checkTrackers reports trackers that are no peers.
func (c *Config) checkTrackers(f faults) {
	for i, name := range c.Overlay.Trackers {
		if _, ok := c.Peers[name]; !ok {
			f.fault(fmt.Sprintf("overlay.trackers[%d]", i), "is %q, must be the petname of one of the peers", name)
		}
	}
	if n := len(c.Overlay.Trackers); n > maxTrackers {
		f.fault("overlay.trackers", "has %d peers, at most %d are named", n, maxTrackers)
	}
}
