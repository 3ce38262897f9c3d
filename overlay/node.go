// Package overlay carries streams between gateways: it finds the channel that a player wants, joins its swarm and
// publishes it here, and gives the streams of this gateway to its peers.
//
//	Node      the links to all peers, the table of channels; the hub's opener for the names of peers
//	link      a peer that is there: its control stream, and the streams for repair
//	channel   one channel: a loop around the state machine of package swarm, performing its actions
//	inflow    the push stream from a parent; outflow, with its courier, the one to a child
//	uplink    the limited upload on which couriers take turns
//	source    what makes the chunks of a channel that this gateway owns
//	outlets   the names under which a channel is published here
//	giver     the content keys of a channel that this gateway owns, asker those of one that it watches
//	seek      how a channel is found over any number of gateways
//	table     the distributed hash table by which strangers find each other
//	directory what a gateway tells everybody of its channels
//	heirs     how a peer with a new key is known again
//	neighbours are gateways heard of in the local network
//	strangers who may connect though nobody lists them, and what they may ask for
package overlay

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/access"
	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"

	"golang.org/x/sync/errgroup"
)

// leaveWithin is how long a gateway that ends may take to leave its swarms: children are told half a second ahead.
const leaveWithin = 2 * time.Second

// Options says how a Node is to be.
type Options struct {
	Conf     conf.Overlay
	Peers    map[string]conf.Peer   // by petname
	Streams  map[string]conf.Stream // of this gateway, by name
	Identity p2p.Identity
	Ledger   conf.Ledger
	Viewers  func(media.Name) int // tells how many players watch a stream here; nil: nobody counts them
	Data     string               // folder for what must outlive the process; "" keeps nothing
	Version  string               // of the program, told to peers
	// NetworkKey of a private network, whose gateways are let in though they are not listed; nil is none.
	NetworkKey []byte

	tickets []ownTicket                                // of Conf
	udp     func(*net.UDPAddr) (net.PacketConn, error) // of a simulated network, in tests
}

// Node is this gateway's part in the overlay. It is safe for concurrent use.
type Node struct {
	hub       *media.Hub
	log       *slog.Logger
	identity  p2p.Identity
	instance  uint64
	moves     atomic.Uint64 // how often this machine has changed its addresses
	version   string
	book      *book
	host      *p2p.Host
	epochs    epochs
	gauges    gauges
	floods    floods
	uplink    uplink
	questions questions
	passes    passes
	leaves    leaves
	near      neighbours
	tellings  tellings
	register  *access.Register
	accounts  *accounts

	successions *access.Successions
	spoil       func(chunk []byte) []byte // nil but in tests: what is handed on instead of a chunk

	tasks   chan func(context.Context) // from anywhere to Run
	relinks chan struct{}              // has a token when a peer has come
	over    chan struct{}              // closed when Run takes no more tasks
	ending  chan struct{}              // closed when Run's context is done

	mu       sync.Mutex // guards the fields below
	o        Options
	links    map[p2p.ID]*link
	channels map[chunk.ID]*channel
	joining  map[chunk.ID]chan struct{} // closed when the attempt is over
	keepers  map[*peer]*keeper
	addrs    []string
}

// New returns a node that is not yet running.
func New(o Options, hub *media.Hub, log *slog.Logger) (*Node, error) {
	tips, err := parseTips(o.Conf.Links)
	if err != nil {
		return nil, err
	}
	if o.tickets, err = readTickets(o.Conf.Tickets, tips); err != nil {
		return nil, err
	}
	successions, err := access.LoadSuccessions(o.Data)
	if err != nil {
		return nil, err
	}
	n := &Node{
		hub: hub, log: log.With("part", "overlay"), identity: o.Identity, instance: rand.Uint64(), version: o.Version,
		successions: successions, epochs: epochs{folder: o.Data}, floods: floods{seen: make(map[uint64]time.Time)},
		tasks: make(chan func(context.Context)), over: make(chan struct{}), ending: make(chan struct{}), o: o,
		relinks: make(chan struct{}, 1),
		links:   make(map[p2p.ID]*link), channels: make(map[chunk.ID]*channel),
		joining: make(map[chunk.ID]chan struct{}), keepers: make(map[*peer]*keeper),
		register: access.NewRegister(o.Data, successions), questions: questions{asked: make(map[uint64]question)},
	}
	for name, p := range o.Peers {
		if _, err := p2p.ParseID(p.ID); err != nil {
			return nil, fmt.Errorf("peers.%s.id: %w", name, err)
		}
	}
	peers, tips := n.heirs(o.Peers, tips)
	n.book = newBook(peers, tips, o.NetworkKey != nil)
	n.doors()
	n.accounts = newAccounts(n)
	n.await()
	n.host = p2p.New(p2p.Options{
		Identity: o.Identity, Listen: o.Conf.Listen, Allow: n.book.allow, UserTag: "peergate/" + o.Version,
		BBR: o.Conf.Congestion == conf.CongestionBBR, UDP: o.udp, NetworkKey: o.NetworkKey,
		PortMapping: o.Conf.PortMapping && o.udp == nil, Reachability: o.Conf.Reachability, Relay: n.relaying(o.Conf),
		Better: n.better, Moved: n.moved, Changed: n.readdressed, Neighbour: n.neighbourly(o.Conf), DHT: tableOf(o.Conf),
		Handlers: map[p2p.Protocol]p2p.Handler{
			p2p.Control: n.serveControl, p2p.Repair: n.serveRepair, p2p.Push: n.servePush,
			p2p.Directory: n.serveDirectory, p2p.Gauge: n.serveGauge,
		},
	}, log)
	return n, nil
}

// ID returns this gateway's ID.
func (n *Node) ID() p2p.ID { return n.identity.ID }

// Run serves peers until ctx ends, leaves the swarms and then returns nil; an error means that it could not listen.
func (n *Node) Run(ctx context.Context) error {
	// Everything outlives ctx for a moment: children are told before the links go.
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, inner := errgroup.WithContext(inner)
	n.accounts.open(n.options().Data)
	g.Go(func() error { return n.host.Run(inner) })
	g.Go(func() error { return n.accounts.run(inner) })
	g.Go(func() error {
		select {
		case <-ctx.Done():
			close(n.ending)
			n.leaveAll(inner)
			stop()
		case <-inner.Done():
		}
		return nil
	})
	g.Go(func() error {
		addrs, err := n.host.Addrs(inner)
		if err != nil {
			return nil // the host tells why
		}
		n.mu.Lock()
		n.addrs = addrs[:min(len(addrs), maxAddresses)]
		n.mu.Unlock()
		n.watch()
		n.relay(inner)
		return nil
	})
	g.Go(func() error {
		n.attendGuests(inner)
		return nil
	})
	g.Go(func() error {
		n.enterTable(inner)
		return nil
	})
	for {
		select {
		case f := <-n.tasks:
			g.Go(func() error {
				f(inner)
				return nil // a lost peer or channel is not the node's failure
			})
		case <-inner.Done():
			close(n.over)
			return g.Wait()
		}
	}
}

// start has Run run f; it reports false when Run takes no more.
func (n *Node) start(f func(context.Context)) bool {
	select {
	case n.tasks <- f:
		return true
	case <-n.over:
		return false
	}
}

// stopping tells whether Run is about to end.
func (n *Node) stopping() bool {
	select {
	case <-n.ending:
		return true
	default:
		return false
	}
}

// watch sees to it that each listed peer has a keeper, as each stranger whom a channel needs, and nobody else has.
func (n *Node) watch() {
	for _, k := range n.keeping() {
		n.start(func(ctx context.Context) {
			stop := context.AfterFunc(ctx, k.stop)
			defer stop()
			defer k.stop()
			n.keep(k.ctx, k.peer)
			k.peer.settle(errGone)
		})
	}
}

// keeper is what keeps a link to a peer until it is stopped.
type keeper struct {
	peer *peer
	ctx  context.Context // ends with stop: a keeper is stopped before Run takes it over, too
	stop func()
}

// keeping stops the keepers of peers that are not to be dialled any more and returns those that have to start.
func (n *Node) keeping() (fresh []*keeper) {
	all := n.book.dialled()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.addrs == nil {
		return nil // Run comes to it
	}
	for p, k := range n.keepers {
		if !slices.Contains(all, p) {
			k.stop()
			delete(n.keepers, p)
		}
	}
	for _, p := range all {
		if n.keepers[p] == nil {
			k := &keeper{peer: p}
			k.ctx, k.stop = context.WithCancel(context.Background())
			n.keepers[p] = k
			fresh = append(fresh, k)
		}
	}
	return fresh
}

// leaveAll has all channels leave their swarms and waits for that, not for long.
func (n *Node) leaveAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveWithin)
	defer cancel()
	all := n.allChannels()
	for _, ch := range all {
		ch.box.put(func() { ch.giveUp(errStopping) })
	}
	for _, ch := range all {
		select {
		case <-ch.done:
		case <-ctx.Done():
			return
		}
	}
}

// Reconfigure takes over other peers, shares and limits. Players of what has not changed notice nothing.
func (n *Node) Reconfigure(o Options) {
	n.mu.Lock()
	n.o.Conf, n.o.Peers, n.o.Streams = o.Conf, o.Peers, o.Streams
	n.mu.Unlock()
	n.relist()
	for _, ch := range n.allChannels() {
		ch.box.put(ch.reconfigure)
	}
}

// tell takes over other links and tickets.
func (n *Node) tell(tips []tip, tickets []string) {
	_, tips = n.heirs(nil, tips)
	n.book.tell(tips)
	all, err := readTickets(tickets, tips)
	if err != nil {
		n.log.Error("tickets are not taken over", "err", err)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.o.tickets = all
}

// options returns the present configuration.
func (n *Node) options() Options {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.o
}

// addresses returns where others can dial this gateway.
func (n *Node) addresses() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addrs
}

// relinked tells all channels to look at the link to a peer.
func (n *Node) relinked(id p2p.ID) {
	select {
	case n.relinks <- struct{}{}:
	default:
	}
	for _, ch := range n.allChannels() {
		ch.box.put(func() { ch.relinked(id) })
	}
}

// deliver hands a message about a channel to its loop, and answers what the machine does not see.
func (n *Node) deliver(from p2p.ID, id chunk.ID, m swarm.Message) {
	ch, l := n.channel(id), n.link(from)
	if ch != nil && !ch.admits(from) {
		ch = nil // as far as a stranger can tell
	}
	if ch != nil && l != nil {
		l.use()
	}
	switch m := m.(type) {
	case swarm.Describe:
		if ch != nil && l != nil {
			d, _ := ch.description()
			l.send(ch.message(swarm.Description{Descriptor: d.raw}))
			return
		}
	case swarm.Description:
		if ch == nil {
			return
		}
		if err := ch.renew(m.Descriptor); err != nil {
			n.ban(from, err)
		}
		return
	}
	if ch != nil {
		ch.box.offer(func() { ch.received(from, m) })
		return
	}
	if l != nil && wantsAnswer(m) {
		l.send(envelope(fieldSwarm, swarm.Append(nil, swarm.Channel(id), swarm.Refused{Reason: swarm.RefusedUnknown})))
	}
}

// wantsAnswer tells whether who sent a message waits for an answer.
func wantsAnswer(m swarm.Message) bool {
	switch m := m.(type) {
	case swarm.Find, swarm.Attach, swarm.Describe, swarm.Report:
		return true
	case swarm.Heartbeat:
		return m.Ask
	}
	return false
}

// spoiled returns what is handed on of a chunk: itself, but in tests. It reports false when that is nothing.
func (n *Node) spoiled(f frame) (frame, bool) {
	if n.spoil == nil {
		return f, true
	}
	b := n.spoil(append([]byte(nil), f.body()...))
	return newFrame(b), b != nil
}
