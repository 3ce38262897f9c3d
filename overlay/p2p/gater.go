package p2p

import (
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// gater lets only allowed peers pass: they are refused as soon as the handshake has told who they are.
type gater struct {
	allow  func(ID) bool
	refuse func(id ID, remote string) // told of each inbound peer that is refused
}

func (g *gater) InterceptPeerDial(p peer.ID) bool { return g.allow(idOf(p)) }

func (g *gater) InterceptAddrDial(p peer.ID, _ ma.Multiaddr) bool { return g.allow(idOf(p)) }

func (g *gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

func (g *gater) InterceptSecured(d network.Direction, p peer.ID, a network.ConnMultiaddrs) bool {
	id := idOf(p)
	if g.allow(id) {
		return true
	}
	if d == network.DirInbound {
		g.refuse(id, a.RemoteMultiaddr().String())
	}
	return false
}

func (g *gater) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	return g.allow(idOf(c.RemotePeer())), 0
}
