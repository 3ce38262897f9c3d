package overlay

import (
	"fmt"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/p2p"
)

// tip is a link that this gateway was given, with the petname of its owner.
type tip struct {
	ShareLink
	petname string // "" when there is none
}

// parseTips reads the links of the configuration.
func parseTips(links []conf.Link) ([]tip, error) {
	var all []tip
	for i, c := range links {
		l, err := ParseShareLink(c.Link)
		if err != nil {
			return nil, fmt.Errorf("overlay.links[%d].link: %w", i, err)
		}
		all = append(all, tip{l, c.Petname})
	}
	return all, nil
}

// tell replaces the links.
func (b *book) tell(tips []tip) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tips = tips
}

// tipName returns the petname of a gateway by a link, or "". The book's mu is held.
func (b *book) tipName(id p2p.ID) string {
	for i := range b.tips {
		if b.tips[i].Owner == id && b.tips[i].petname != "" {
			return b.tips[i].petname
		}
	}
	return ""
}

// tipped returns whom links name for a channel, with addresses: its owner by any of the owner's links, others by a link
// of this very channel.
func (b *book) tipped(owner p2p.ID, name media.Name) map[p2p.ID][]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := make(map[p2p.ID][]string)
	for i := range b.tips {
		t := &b.tips[i]
		if t.Owner != owner {
			continue
		}
		for _, via := range t.Via {
			id, addrs, err := t.dial(via)
			if err == nil && (id == owner || t.Name == name) {
				found[id] = append(found[id], addrs...)
			}
		}
	}
	return found
}
