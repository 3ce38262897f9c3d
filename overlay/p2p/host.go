package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/gologshim"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
)

// At manyConns connections unprotected ones are closed down to fewConns. Peers with a link are protected.
const fewConns, manyConns = 512, 768

// Handler serves a stream that a peer has opened; the stream is closed when it returns. It must return soon after ctx
// is done.
type Handler func(ctx context.Context, s *Stream)

// Options says how a Host is to be.
type Options struct {
	Identity Identity
	Listen   []string             // addresses, see ParseAddrs
	Allow    func(ID) bool        // who may connect and be dialled; called often and concurrently
	Handlers map[Protocol]Handler // what peers may open
	UserTag  string               // name and version of the program, told to peers
	BBR      bool                 // ask for BBR as the congestion control of TCP connections
	// NetworkKey, when it is set, keeps out all who do not know it; see LoadNetworkKey.
	NetworkKey []byte
	Relay      *Relay // nil passes nothing on for others
	// PortMapping asks the router to lead the ports here.
	PortMapping bool
	// Reachability is one of ReachAuto, which "" is too, ReachPublic and ReachPrivate.
	Reachability string
	// Better, when it is set, is told that there is now a direct connection to a peer beside a relayed one.
	Better func(ID)
	// Moved, when it is set, is told that this machine has lost an address, and has perhaps another one.
	Moved func()
	// Changed, when it is set, is told that Addrs or Reach may have changed.
	Changed func()
	// Neighbour, when it is set, is told of gateways that are heard of in the local network, where this one announces itself too.
	Neighbour func(id ID, addresses []string)
	// DHT, when it is set, has this gateway take part in a distributed hash table.
	DHT *DHT
	// UDP, when it is set, makes the sockets for QUIC, and TCP and limits are done without: a simulated network.
	UDP func(*net.UDPAddr) (net.PacketConn, error)
}

// Host is this gateway's place in the overlay: it listens, dials and serves streams. It is safe for concurrent use.
type Host struct {
	o      Options
	log    *slog.Logger
	ready  chan struct{}          // closed when inner is set
	inner  host.Host              // set by Run, as are handle, meter, router and table
	handle func(*Stream, Handler) // serves a stream and closes it
	meter  *meter                 // of what is passed on; nil when nothing is
	router basichost.NATManager   // that leads ports here; nil when none is asked
	table  *dht.IpfsDHT           // nil without Options.DHT
	in     atomic.Uint64          // bytes of all streams, before encryption
	out    atomic.Uint64

	around chan struct{} // has a token when this machine has other addresses

	places   places
	observed observations
	punches  punches

	mu        sync.Mutex // guards the fields below
	closing   bool       // Run is about to return: no more handlers
	serving   sync.WaitGroup
	strangers map[ID]bool // peers that were refused
	bridges   map[ID]bool // relays that stand in addresses of peers; they may be dialled
	lanes     map[laneKey]transport.CapableConn
}

// Stats counts what the host has and did.
type Stats struct {
	Peers   int    // connected now
	In, Out uint64 // bytes on streams, before multiplexing and encryption
}

// New returns a host that is not yet running.
func New(o Options, log *slog.Logger) *Host {
	return &Host{
		o: o, log: log.With("part", "p2p"), ready: make(chan struct{}), around: make(chan struct{}, 1), strangers: make(map[ID]bool),
		bridges: make(map[ID]bool),
		lanes:   make(map[laneKey]transport.CapableConn),
		places:  places{till: make(map[peer.ID]time.Time), next: make(map[peer.ID]time.Time)},
		observed: observations{
			by: make(map[peer.ID]observation), asked: make(map[peer.ID]time.Time), back: make(map[peer.ID]time.Time),
		},
		punches: punches{
			tried: make(map[peer.ID]attempt), direct: make(map[peer.ID]time.Time), made: make(map[peer.ID]string),
		},
	}
}

// ID returns this gateway's ID.
func (h *Host) ID() ID { return h.o.Identity.ID }

// Run listens and serves until ctx ends and then returns nil; an error means it could not listen.
func (h *Host) Run(ctx context.Context) error {
	inner, done, err := h.listen()
	if err != nil {
		return err
	}
	h.handle = func(s *Stream, serve Handler) {
		defer s.Close()
		serve(ctx, s)
	}
	for proto, serve := range h.o.Handlers {
		inner.SetStreamHandler(protocol.ID(proto), func(s network.Stream) { h.serve(s, serve) })
	}
	inner.SetStreamHandler(protocol.ID(observeProtocol), h.answerObserve)
	inner.SetStreamHandler(protocol.ID(punchProtocol), h.answerMeeting)
	h.inner = inner
	endRelay, err := h.relayFor(inner)
	if err != nil {
		return errors.Join(err, inner.Close(), done())
	}
	endDHT, err := h.joinDHT(inner)
	if err != nil {
		return errors.Join(err, endRelay(), inner.Close(), done())
	}
	close(h.ready)
	h.enterDHT(ctx)
	for _, a := range inner.Network().ListenAddresses() {
		if isRelayed(a) {
			continue
		}
		h.log.Info("overlay listens", "remote", a.String())
	}
	h.serving.Go(func() { h.observe(ctx) })
	h.serving.Go(func() { h.upgrade(ctx) })
	if h.o.UDP == nil {
		h.serving.Go(func() { h.watchMoves(ctx) })
		if h.o.Neighbour != nil {
			h.serving.Go(func() { h.lookAround(ctx) })
		}
	}
	err = h.keepPlaces(ctx)
	<-ctx.Done()
	h.mu.Lock()
	h.closing = true
	h.mu.Unlock()
	h.dropLanes("")
	err = errors.Join(err, endDHT(), endRelay(), inner.Close(), done())
	h.serving.Wait()
	return err
}

// listen makes libp2p's host, which dials and accepts from then on, and what is to be closed after it.
func (h *Host) listen() (host.Host, func() error, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(h.o.Identity.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("gateway key: %w", err)
	}
	listen, err := parseAll(h.o.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("overlay.listen: %w", err)
	}
	conns, err := connmgr.NewConnManager(fewConns, manyConns)
	if err != nil {
		return nil, nil, fmt.Errorf("connection manager: %w", err)
	}
	opts, done, err := h.network()
	if err != nil {
		return nil, nil, errors.Join(err, conns.Close())
	}
	gologshim.SetDefaultHandler(slog.DiscardHandler) // what matters of libp2p's own log comes as errors
	inner, err := libp2p.New(append(opts,
		libp2p.Identity(key),
		libp2p.ListenAddrs(listen...),
		libp2p.UserAgent(h.o.UserTag),
		libp2p.Security(tls.ID, tls.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.Transport(h.newQUIC),
		libp2p.ConnectionGater(&gater{h.o.Allow, h.bridge, h.refused}),
		libp2p.ConnectionManager(conns),
		libp2p.SwarmOpts(swarm.WithDialRanker(rank)),
		libp2p.EnableRelay(), // as a client; relayFor makes the service
		libp2p.AddrsFactory(h.announce),
		h.portMapping(),
		libp2p.DisableIdentifyAddressDiscovery(), // observe knows better: our TCP does not come from the listening port
		libp2p.UDPBlackHoleSuccessCounter(nil),   // punches that fail would have libp2p take UDP for dead
		libp2p.IPv6BlackHoleSuccessCounter(nil),
		libp2p.DisableMetrics(),
	)...)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("overlay.listen: %w", err), conns.Close(), done())
	}
	return inner, done, nil
}

// network returns what ties libp2p to this machine or to a simulated network.
func (h *Host) network() (opts []libp2p.Option, done func() error, err error) {
	if h.o.UDP != nil {
		opts, done = h.udpOptions()
		return opts, done, nil
	}
	bounds, err := limits()
	if err != nil {
		return nil, nil, err
	}
	opts = []libp2p.Option{libp2p.Transport(h.newTCP), libp2p.ResourceManager(bounds)}
	return opts, bounds.Close, nil
}

// serve runs a handler in the goroutine that libp2p made for the stream.
func (h *Host) serve(s network.Stream, f Handler) {
	h.mu.Lock()
	if h.closing {
		h.mu.Unlock()
		_ = s.Reset()
		return
	}
	h.serving.Add(1)
	h.mu.Unlock()
	defer h.serving.Done()
	h.handle(newStream(s, h), f)
}

// refused notes that an inbound peer was refused: once, however often it comes.
func (h *Host) refused(id ID, remote string) {
	h.mu.Lock()
	again := h.strangers[id]
	if len(h.strangers) < maxStrangers {
		h.strangers[id] = true
	}
	h.mu.Unlock()
	if !again {
		h.log.Warn("unlisted gateway refused", "peer", string(id), "remote", remote)
	}
}

// Refuse ends all connections of a gateway that is not let in, for what it has said on a stream.
func (h *Host) Refuse(s *Stream) {
	if !s.dialled {
		h.refused(s.peer, s.Remote())
	}
	h.Drop(s.peer)
}

// maxStrangers bounds how many refused peers are remembered, so that each is logged once.
const maxStrangers = 1000

// running waits until the host listens.
func (h *Host) running(ctx context.Context) error {
	select {
	case <-h.ready:
		return nil
	case <-ctx.Done():
		return ErrStopped
	}
}

// Addrs returns the addresses under which this gateway can be dialled, once it listens.
func (h *Host) Addrs(ctx context.Context) ([]string, error) {
	if err := h.running(ctx); err != nil {
		return nil, err
	}
	return texts(h.inner.Addrs()), nil
}

// Known returns the addresses of a peer that this host has heard of, from the peer itself above all, and those through
// the relays that are connected, where it may be.
func (h *Host) Known(id ID) []string {
	if !h.listens() {
		return nil
	}
	h.offerCircuits(id.peer())
	return texts(h.inner.Peerstore().Addrs(id.peer()))
}

// Stats returns the counters.
func (h *Host) Stats() Stats {
	s := Stats{In: h.in.Load(), Out: h.out.Load()}
	if h.listens() {
		s.Peers = len(h.inner.Network().Peers())
	}
	return s
}

// Protect keeps the connections of a peer when there are too many, until Unprotect.
func (h *Host) Protect(id ID) {
	if h.listens() {
		h.inner.ConnManager().Protect(id.peer(), "link")
	}
}

// Unprotect lets a peer's connections be closed when there are too many.
func (h *Host) Unprotect(id ID) {
	if h.listens() {
		h.inner.ConnManager().Unprotect(id.peer(), "link")
	}
}

// Drop closes all connections of a peer and forgets what it said of its addresses.
func (h *Host) Drop(id ID) {
	if h.listens() {
		h.dropLanes(id)
		_ = h.inner.Network().ClosePeer(id.peer())
		h.inner.Peerstore().ClearAddrs(id.peer())
	}
}

// listens tells whether Run has begun to listen.
func (h *Host) listens() bool {
	select {
	case <-h.ready:
		return true
	default:
		return false
	}
}

func texts(addrs []ma.Multiaddr) []string {
	all := make([]string, len(addrs))
	for i, a := range addrs {
		all[i] = a.String()
	}
	return all
}
