package p2p

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"
)

// Two gateways that cannot reach each other talk through a third one that relays for them: libp2p's circuit relay v2,
// https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md. The relay sees ciphertext only. Its limits by default,
// 128 KB and 2 minutes, are for setting up something better; these here are for video.

const (
	// relayBuffer is how many bytes of a relayed connection are copied at once. libp2p's 2 KB cost 40 times the calls.
	relayBuffer = 64 << 10
	// maxCircuits bounds the relayed connections of one gateway.
	maxCircuits = 256
	// reserveFor is how long a place at a relay lasts; it is renewed after half of that.
	reserveFor = 30 * time.Minute
	// reserveWithin is how long a relay may take to answer.
	reserveWithin = 5 * time.Second
	// reserveAgain is the time until a relay that has refused is asked again.
	reserveAgain = time.Minute
	// maxBridges bounds the relays remembered that stand in addresses.
	maxBridges = 1000
	// meterPeriod is the time for which Relay.Bytes counts.
	meterPeriod = 24 * time.Hour
)

// errSpent means that a gateway has had what a relay gives it in a day.
var errSpent = errors.New("the relay has passed on as much for this peer as it does in a day")

// Relay says for whom a Host passes connections on, and how much.
type Relay struct {
	For   func(ID) bool // whose
	Rate  int64         // bits a second of all together; 0: no limit
	Bytes int64         // that one gateway may send through this one in a day; 0: no limit
	Peers int           // gateways that can be reached through this one at once
}

// relayHost is libp2p's host for its relay, whose streams are measured.
type relayHost struct {
	host.Host
	m *meter
}

// SetStreamHandler implements host.Host.
func (r relayHost) SetStreamHandler(id protocol.ID, f network.StreamHandler) {
	r.Host.SetStreamHandler(id, func(s network.Stream) { f(r.m.measure(s)) })
}

// NewStream implements host.Host.
func (r relayHost) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	s, err := r.Host.NewStream(ctx, p, ids...)
	if err != nil {
		return nil, err
	}
	return r.m.measure(s), nil
}

// meter counts and bounds what a relay passes on.
type meter struct {
	limit *rate.Limiter // in bytes
	bytes int64         // of one gateway in a period; 0: no limit
	total atomic.Uint64

	mu    sync.Mutex // guards the fields below
	since time.Time
	used  map[peer.ID]int64
}

func newMeter(r *Relay) *meter {
	m := &meter{limit: rate.NewLimiter(rate.Inf, relayBuffer), bytes: r.Bytes, used: make(map[peer.ID]int64)}
	if r.Rate > 0 {
		m.limit.SetLimit(rate.Limit(r.Rate) / 8)
	}
	return m
}

func (m *meter) measure(s network.Stream) network.Stream { return &meteredStream{s, m} }

// take counts bytes that a gateway has sent; the error tells that it may send no more.
func (m *meter) take(p peer.ID, n int, now time.Time) error {
	m.total.Add(uint64(n))
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.since) >= meterPeriod {
		m.since = now
		clear(m.used)
	}
	m.used[p] += int64(n)
	if m.bytes > 0 && m.used[p] > m.bytes {
		return errSpent
	}
	return nil
}

// meteredStream is a stream that a relay passes on.
type meteredStream struct {
	network.Stream
	m *meter
}

// Read implements network.Stream. Beyond the rate it waits, and so does the sender.
func (s *meteredStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b[:min(len(b), relayBuffer)])
	if n > 0 {
		if over := s.m.take(s.Conn().RemotePeer(), n, time.Now()); over != nil {
			return 0, over
		}
		_ = s.m.limit.WaitN(context.Background(), n) // n is within the burst
	}
	return n, err
}

// relayFor starts the relay that the options ask for. What it returns ends it.
func (h *Host) relayFor(inner host.Host) (func() error, error) {
	if h.o.Relay == nil {
		return func() error { return nil }, nil
	}
	h.meter = newMeter(h.o.Relay)
	r, err := relay.New(relayHost{inner, h.meter},
		relay.WithResources(relay.Resources{
			ReservationTTL: reserveFor, MaxReservations: h.o.Relay.Peers, MaxReservationsPerIP: h.o.Relay.Peers,
			MaxReservationsPerASN: h.o.Relay.Peers, MaxCircuits: maxCircuits, BufferSize: relayBuffer,
		}),
		relay.WithACL(relayList(h.o.Relay.For)),
		relay.WithReservationAddressFilter(func(ma.Multiaddr) bool { return true }))
	if err != nil {
		return nil, fmt.Errorf("overlay.relay_for: %w", err)
	}
	return r.Close, nil
}

// relayList lets a relay be used by the peers it is for. Who reaches them through it has been let in by its host.
type relayList func(ID) bool

// AllowReserve implements relay.ACLFilter.
func (l relayList) AllowReserve(p peer.ID, _ ma.Multiaddr) bool { return l(idOf(p)) }

// AllowConnect implements relay.ACLFilter.
func (l relayList) AllowConnect(_ peer.ID, _ ma.Multiaddr, dest peer.ID) bool { return l(idOf(dest)) }

// places are this gateway's at relays.
type places struct {
	mu   sync.Mutex // guards the fields below
	till map[peer.ID]time.Time
	next map[peer.ID]time.Time // when to ask again
}

// keepPlaces has this gateway reachable through each relay that it is connected to, until ctx ends.
func (h *Host) keepPlaces(ctx context.Context) error {
	sub, err := h.inner.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerProtocolsUpdated), new(event.EvtPeerConnectednessChanged),
	})
	if err != nil {
		return fmt.Errorf("watch peers: %w", err)
	}
	defer sub.Close()
	t := time.NewTicker(reserveAgain / 2)
	defer t.Stop()
	for {
		var over event.EvtPeerConnectednessChanged
		select {
		case ev := <-sub.Out():
			over, _ = ev.(event.EvtPeerConnectednessChanged)
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		if over.Peer != "" && over.Connectedness == network.NotConnected {
			h.places.forget(over.Peer)
		}
		for _, p := range h.places.due(h.relays(), time.Now()) {
			h.serving.Go(func() { h.reserve(ctx, p) })
		}
	}
}

// reserve asks a relay for a place.
func (h *Host) reserve(ctx context.Context, p peer.ID) {
	h.changed() // others can be reached through it
	if h.public() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, reserveWithin)
	defer cancel()
	r, err := client.Reserve(ctx, h.inner, peer.AddrInfo{ID: p})
	if err != nil {
		h.log.Debug("no place at a relay", "peer", string(idOf(p)), "err", err)
		return
	}
	h.places.hold(p, r.Expiration)
	h.changed()
}

// due returns the relays to be asked, and notes that they are.
func (l *places) due(relays []peer.ID, now time.Time) []peer.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []peer.ID
	for _, p := range relays {
		if now.Before(l.next[p]) {
			continue
		}
		l.next[p] = now.Add(reserveAgain)
		all = append(all, p)
	}
	return all
}

func (l *places) hold(p peer.ID, till time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.till[p] = till
	l.next[p] = time.Now().Add(time.Until(till) / 2)
}

// forget notes that the connection to a relay is gone, and the place with it.
func (l *places) forget(p peer.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.till, p)
	delete(l.next, p)
}

// held returns the relays at which there is a place.
func (l *places) held() []peer.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.till))
}

// relays returns the gateways that are connected directly and relay.
func (h *Host) relays() []peer.ID {
	var all []peer.ID
	for _, p := range h.inner.Network().Peers() {
		if can, err := h.inner.Peerstore().SupportsProtocols(p, proto.ProtoIDv2Hop); err == nil && len(can) > 0 && h.direct(p) != nil {
			all = append(all, p)
		}
	}
	return all
}

// direct returns a connection to a peer that is not relayed, or nil.
func (h *Host) direct(p peer.ID) network.Conn {
	for _, c := range h.inner.Network().ConnsToPeer(p) {
		if !isRelayed(c.RemoteMultiaddr()) && !c.IsClosed() {
			return c
		}
	}
	return nil
}

// offerCircuits notes for a dial that the peer may be reached through the relays that this gateway is connected to.
func (h *Host) offerCircuits(p peer.ID) {
	for _, r := range h.relays() {
		if r != p {
			h.inner.Peerstore().AddAddr(p, circuit(r), peerstore.TempAddrTTL)
		}
	}
}

// noteBridges lets relays be dialled that stand in the addresses of a peer.
func (h *Host) noteBridges(addrs []ma.Multiaddr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range addrs {
		if !isCircuit(a) {
			continue
		}
		if len(h.bridges) >= maxBridges {
			clear(h.bridges)
		}
		h.bridges[ID(a[len(a)-2].Value())] = true
	}
}

// bridge tells whether a gateway is a relay to a peer.
func (h *Host) bridge(id ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bridges[id]
}

// circuit is the address of whoever is reached through a relay that is connected.
func circuit(relay peer.ID) ma.Multiaddr {
	return ma.StringCast("/p2p/" + relay.String() + "/p2p-circuit")
}

// isRelayed tells whether an address is that of somebody behind a relay.
func isRelayed(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}
