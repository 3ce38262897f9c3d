package p2p

import (
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// gater lets only allowed peers pass: they are refused as soon as the handshake has told who they are. Relays to them may be
// dialled, but may not come by themselves.
type gater struct {
	allow  func(ID) bool
	bridge func(ID) bool
	refuse func(id ID, remote string) // told of each inbound peer that is refused
}

// out tells whether a peer may be dialled.
func (g *gater) out(id ID) bool { return g.allow(id) || g.bridge(id) }

func (g *gater) InterceptPeerDial(p peer.ID) bool { return g.out(idOf(p)) }

func (g *gater) InterceptAddrDial(p peer.ID, _ ma.Multiaddr) bool { return g.out(idOf(p)) }

func (g *gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

func (g *gater) InterceptSecured(d network.Direction, p peer.ID, a network.ConnMultiaddrs) bool {
	id := idOf(p)
	if g.allow(id) || d == network.DirOutbound && g.bridge(id) {
		return true
	}
	if d == network.DirInbound {
		g.refuse(id, a.RemoteMultiaddr().String())
	}
	return false
}

func (g *gater) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	id := idOf(c.RemotePeer())
	return g.allow(id) || c.Stat().Direction == network.DirOutbound && g.bridge(id), 0
}
