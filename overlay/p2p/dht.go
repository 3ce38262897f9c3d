package p2p

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"
)

// dhtPrefix keeps gateways apart from others that use the same kind of table: they speak /peergate/kad/1.0.0.
const dhtPrefix = "/peergate"

// DHT says where a distributed hash table is entered.
type DHT struct {
	Bootstrap []string // addresses that end in /p2p/ID; peers that are connected count too
}

// Place is a gateway and where it can be dialled.
type Place struct {
	ID        ID
	Addresses []string
}

// joinDHT makes this gateway one of the table, whose entries are spread over all.
func (h *Host) joinDHT(inner host.Host) (end func() error, err error) {
	if h.o.DHT == nil {
		return func() error { return nil }, nil
	}
	boot, err := bootstrap(h.o.DHT.Bootstrap)
	if err != nil {
		return nil, err
	}
	table, err := dht.New(inner, dht.Mode(dht.ModeAutoServer), dht.ProtocolPrefix(dhtPrefix), dht.DisableValues(), dht.BootstrapPeers(boot...))
	if err != nil {
		return nil, fmt.Errorf("overlay.dht: %w", err)
	}
	h.table = table
	return table.Close, nil
}

// bootstrap reads the addresses by which a table is entered.
func bootstrap(texts []string) (all []peer.AddrInfo, err error) {
	for i, s := range texts {
		a, err := peer.AddrInfoFromString(s)
		if err != nil {
			return nil, fmt.Errorf("overlay.dht.bootstrap[%d]: %q is no address with the ID of a gateway: %w", i, clip(s), err)
		}
		all = append(all, *a)
	}
	return all, nil
}

// CheckBootstrap tells what is wrong with the addresses by which a table is entered.
func CheckBootstrap(texts []string) error {
	_, err := bootstrap(texts)
	return err
}

// enterDHT fills the table, and goes on with that in the background until the host ends.
func (h *Host) enterDHT(ctx context.Context) {
	if h.table != nil {
		_ = h.table.Bootstrap(ctx) // it never fails
	}
}

// keyOf returns the place in the table of what a text stands for.
func keyOf(what []byte) (cid.Cid, error) {
	sum := sha256.Sum256(what)
	m, err := multihash.Encode(sum[:], multihash.SHA2_256)
	if err != nil {
		return cid.Undef, err
	}
	return cid.NewCidV1(cid.Raw, m), nil
}

// Provide enters this gateway into the table, as one who has something. It is kept there for two days.
func (h *Host) Provide(ctx context.Context, what []byte) error {
	if err := h.running(ctx); err != nil {
		return err
	}
	key, err := keyOf(what)
	if err != nil {
		return err
	}
	return h.table.Provide(ctx, key, true)
}

// Providers returns at most n gateways that the table names for something, those that are found until ctx ends.
func (h *Host) Providers(ctx context.Context, what []byte, n int) []Place {
	key, err := keyOf(what)
	if err != nil || h.running(ctx) != nil {
		return nil
	}
	var all []Place
	for found := range h.table.FindProvidersAsync(ctx, key, n) {
		if p, ok := h.place(found); ok {
			all = append(all, p)
		}
	}
	return all
}

// Find looks in the table for where a gateway is.
func (h *Host) Find(ctx context.Context, id ID) (Place, bool) {
	if h.running(ctx) != nil {
		return Place{}, false
	}
	found, err := h.table.FindPeer(ctx, id.peer())
	if err != nil {
		return Place{}, false
	}
	return h.place(found)
}

// place returns a gateway that was found, with the addresses at which it can be dialled; it reports false when there are none.
func (h *Host) place(found peer.AddrInfo) (Place, bool) {
	id, err := ParseID(found.ID.String())
	if err != nil || id == h.ID() {
		return Place{}, false
	}
	addrs := dialable(append(found.Addrs, h.inner.Peerstore().Addrs(found.ID)...))
	return Place{id, addrs}, len(addrs) > 0
}

// dialable returns, of the addresses that others tell of a gateway, those that have a known form, and not too many.
func dialable(addrs []ma.Multiaddr) []string {
	var good []ma.Multiaddr
	for _, a := range addrs {
		if (isTCP(a) || isQUIC(a) || isCircuit(a)) && len(good) < maxNearby {
			good = append(good, a)
		}
	}
	return texts(good)
}
