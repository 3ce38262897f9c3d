package p2p

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// TestManyGatewaysAtOneAddress has 50 gateways behind one address connect at once, over QUIC with all their lanes.
func TestManyGatewaysAtOneAddress(t *testing.T) {
	m, err := limits()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	from := ma.StringCast("/ip4/203.0.113.7/udp/4001/quic-v1")
	for gateway := range 50 {
		p := newIdentity(t).ID.peer()
		for conn := range 10 {
			scope, err := m.OpenConnection(network.DirInbound, true, from)
			if err != nil {
				t.Fatalf("connection %d of gateway %d: %v", conn, gateway, err)
			}
			if err := scope.SetPeer(p); err != nil {
				t.Fatalf("connection %d of gateway %d: %v", conn, gateway, err)
			}
			defer scope.Done()
		}
	}
	for range maxAddressConns {
		if _, err = m.OpenConnection(network.DirInbound, true, from); err != nil {
			return
		}
	}
	t.Error("one address may open connections without end")
}
