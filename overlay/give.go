package overlay

import (
	"context"
	"fmt"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/p2p"
)

const (
	// shareVia is how many addresses a link has at most: with eight of them its QR code is still read from a screen.
	shareVia = 8
	// shareTrackers is how many trackers it names beside, by an address each.
	shareTrackers = 2
	// shareWithin is how long the addresses are waited for while the gateway begins.
	shareWithin = 5 * time.Second
)

// Share returns the link of a stream of this gateway, and who may have it, in the words of overlay.channels.
func (n *Node) Share(name media.Name) (ShareLink, string, error) {
	c := n.options().Conf
	switch {
	case !n.own(name):
		return ShareLink{}, "", fmt.Errorf("%s is a stream of another gateway: it is shared there", name)
	case !shares(c.Share, name):
		return ShareLink{}, "", fmt.Errorf("%s is not shared: overlay.share has no pattern for it", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), shareWithin)
	defer cancel()
	via, err := n.host.Outward(ctx)
	if err != nil {
		return ShareLink{}, "", err
	}
	l := ShareLink{Owner: n.ID(), Name: name, Via: via[:min(len(via), shareVia)]}
	for _, t := range n.trackers() {
		if id, err := p2p.IDOf(t.Key); err == nil && len(t.Addresses) > 0 && len(l.Via) < shareVia+shareTrackers {
			l.Via = append(l.Via, t.Addresses[0]+"/p2p/"+string(id))
		}
	}
	return l, n.accessName(name), nil
}

// accessName returns who may have a stream, as the configuration says it.
func (n *Node) accessName(name media.Name) string {
	for _, c := range n.options().Conf.Channels {
		if shares([]string{c.Name}, name) && c.Access != "" {
			return c.Access
		}
	}
	return conf.AccessListed
}
