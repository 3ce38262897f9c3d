package rtsp

import (
	"net/netip"
	"strings"

	"peergate/conf"
	"peergate/media"
)

// gatewayID is how the IDs of gateways begin: libp2p's name for an Ed25519 key, in base58.
const gatewayID = "12D3KooW"

// names tells which names are of other gateways, and which streams are elsewhere.
type names struct {
	petnames  map[string]bool
	ids       map[string]bool // of the configured peers and the owners of links
	redirects map[media.Name]string
}

func newNames(c conf.Config) *names {
	n := &names{petnames: make(map[string]bool), ids: make(map[string]bool), redirects: make(map[media.Name]string)}
	for petname, p := range c.Peers {
		n.petnames[petname], n.ids[p.ID] = true, true
	}
	for _, l := range c.Overlay.Links {
		n.ids[l.Owner()] = true
		if l.Petname != "" {
			n.petnames[l.Petname] = true
		}
	}
	for name, s := range c.Streams {
		if s.Redirect != "" {
			n.redirects[media.Name(name)] = s.Redirect
		}
	}
	return n
}

// foreign reports whether a stream is another gateway's, so that nobody can publish it here.
func (n *names) foreign(name media.Name) bool {
	first, _ := name.Cut()
	return n.petnames[first] || strings.HasPrefix(first, gatewayID)
}

// admits reports whether a client may ask for a name: one that begins with the ID of a gateway which is not
// configured makes this one dial a stranger, which is for its own people alone.
func (n *names) admits(name media.Name, client netip.Addr, user string) bool {
	first, _ := name.Cut()
	return !strings.HasPrefix(first, gatewayID) || n.ids[first] || client.IsLoopback() || user != ""
}
