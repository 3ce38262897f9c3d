package p2p

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Two gateways that a relay connects try to do without it. Both tell over the relayed connection where they are and where
// others see them, and then dial each other at the same moment: the first packets of each open its own NAT for the other.
// It is what libp2p's DCUtR does (https://github.com/libp2p/specs/blob/master/relay/DCUtR.md), but for who begins, which is the
// gateway with the lesser ID rather than the one that was dialled, since here both may have dialled; but for the addresses,
// which are those that this package has asked for; and for trying again.
//
// Only QUIC goes through NAT so: it leaves from the port it listens at. Our TCP leaves from any port.

const (
	// punchProtocol is for agreeing on a time and addresses.
	punchProtocol Protocol = "/peergate/punch/1"
	// punchWithin bounds agreeing and dialling: 20 packets of libp2p's go out in that time.
	punchWithin = 4 * time.Second
	// punchBlind is the same while one of the two does not know yet what it looks like from outside: they can only be neighbours.
	punchBlind = 500 * time.Millisecond
	// maxBlind bounds how often that is tried at once again.
	maxBlind = 8
	// punchLook is the time between looks for peers that only a relay connects.
	punchLook = 200 * time.Millisecond
	// punchFirst is the wait after the first failure; it doubles, up to punchMax.
	punchFirst = time.Second
	punchMax   = 2 * time.Minute
	// relayLinger is how long a relayed connection is kept beside a direct one, until all streams have moved.
	relayLinger = 15 * time.Second
	// maxCandidates bounds the addresses of one list of a peer.
	maxCandidates = 16
	// maxMeeting bounds a message in bytes: two lists of addresses.
	maxMeeting = 4096
)

// errBlind means that an attempt was made before both knew what they look like from outside.
var errBlind = errors.New("not both are known outside yet")

// meeting is what both sides tell of themselves; then the one that began says go.
type meeting struct {
	Own  []string `json:"own,omitempty"`  // addresses of interfaces
	Seen []string `json:"seen,omitempty"` // at which others see it
	Go   bool     `json:"go,omitempty"`
	// Serve tells who is told to go that it is the server of the connection, and not the client.
	Serve bool `json:"serve,omitempty"`
}

// outside tells whether it has an address that others may reach from outside.
func (m meeting) outside() bool { return len(m.Seen) > 0 || m.public() }

// public tells whether one of its interfaces has a public address.
func (m meeting) public() bool {
	return slices.ContainsFunc(m.Own, func(s string) bool {
		a, err := ma.NewMultiaddr(s)
		return err == nil && manet.IsPublicAddr(a)
	})
}

// addrs returns what can be dialled directly.
func (m meeting) addrs() []ma.Multiaddr {
	own, _ := parseAll(m.Own[:min(len(m.Own), maxCandidates)])
	seen, _ := parseAll(m.Seen[:min(len(m.Seen), maxCandidates)])
	return ma.Unique(slices.DeleteFunc(append(own, seen...), isRelayed))
}

// punches are the attempts to reach peers without a relay.
type punches struct {
	mu     sync.Mutex // guards the fields below
	tried  map[peer.ID]attempt
	direct map[peer.ID]time.Time // since when there is a direct connection beside a relayed one
	made   map[peer.ID]string    // address of the connection that a punch has made
}

type attempt struct {
	failures int
	blind    int       // failures when one of the two did not know yet what it looks like from outside
	next     time.Time // zero while one is under way
}

// upgrade keeps looking for peers that only a relay connects and tries to reach them directly, until ctx ends.
func (h *Host) upgrade(ctx context.Context) {
	t := time.NewTicker(punchLook)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		for _, p := range h.inner.Network().Peers() {
			if relayed := h.relayedTo(p); len(relayed) > 0 {
				h.look(ctx, p, relayed)
			}
		}
	}
}

// look sees to one peer that a relay connects.
func (h *Host) look(ctx context.Context, p peer.ID, relayed []network.Conn) {
	now := time.Now()
	h.punches.mu.Lock()
	defer h.punches.mu.Unlock()
	if h.direct(p) != nil {
		since, again := h.punches.direct[p]
		if !again {
			h.punches.direct[p] = now
			delete(h.punches.tried, p)
			if h.o.Better != nil {
				h.serving.Go(func() { h.o.Better(idOf(p)) })
			}
		} else if now.Sub(since) > relayLinger {
			delete(h.punches.direct, p)
			for _, c := range relayed {
				h.serving.Go(func() { _ = c.Close() })
			}
		}
		return
	}
	delete(h.punches.direct, p)
	a, again := h.punches.tried[p]
	if h.inner.ID() > p || again && (a.next.IsZero() || now.Before(a.next)) {
		return // the other one begins, or it is not yet time
	}
	h.punches.tried[p] = attempt{failures: a.failures, blind: a.blind}
	h.serving.Go(func() {
		err := h.beginMeeting(ctx, p, a.failures)
		h.log.Debug("hole punched", "peer", string(idOf(p)), "err", err)
		h.punches.mu.Lock()
		defer h.punches.mu.Unlock()
		if errors.Is(err, errBlind) && a.blind < maxBlind {
			h.punches.tried[p] = attempt{a.failures, a.blind + 1, time.Now()}
			return
		}
		after := min(punchMax, punchFirst<<min(a.failures, 10))
		h.punches.tried[p] = attempt{a.failures + 1, a.blind, time.Now().Add(after)}
	})
}

// relayedTo returns the relayed connections to a peer.
func (h *Host) relayedTo(p peer.ID) []network.Conn {
	var all []network.Conn
	for _, c := range h.inner.Network().ConnsToPeer(p) {
		if isRelayed(c.RemoteMultiaddr()) && !c.IsClosed() {
			all = append(all, c)
		}
	}
	return all
}

// beginMeeting agrees with a peer on a moment, and dials it then. Of two of which one has a public address the other one
// has to be the client: what a symmetric NAT sends from is known to nobody. After a failure they change places.
func (h *Host) beginMeeting(ctx context.Context, p peer.ID, failures int) error {
	ctx, cancel := context.WithTimeout(ctx, punchWithin)
	defer cancel()
	s, err := h.inner.NewStream(network.WithAllowLimitedConn(network.WithNoDial(ctx, "punch"), "punch"), p, protocol.ID(punchProtocol))
	if err != nil {
		return err
	}
	defer func() { _ = s.Reset() }()
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	mine, w, r := h.candidates(), json.NewEncoder(s), json.NewDecoder(&bounded{s, maxMeeting})
	begun := time.Now()
	if err := w.Encode(mine); err != nil {
		return err
	}
	var theirs meeting
	if err := r.Decode(&theirs); err != nil {
		return err
	}
	trip := time.Since(begun)
	client := (theirs.public() && !mine.public()) != (failures%2 == 1)
	if err := w.Encode(meeting{Go: true, Serve: client}); err != nil {
		return err
	}
	timer := time.NewTimer(trip / 2)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return h.meet(ctx, p, mine, theirs, client)
}

// answerMeeting agrees with a peer that has begun.
func (h *Host) answerMeeting(s network.Stream) {
	defer func() { _ = s.Reset() }()
	_ = s.SetDeadline(time.Now().Add(punchWithin))
	ctx, cancel := context.WithTimeout(context.Background(), punchWithin)
	defer cancel()
	mine, w, r := h.candidates(), json.NewEncoder(s), json.NewDecoder(&bounded{s, maxMeeting})
	var theirs, start meeting
	err := r.Decode(&theirs)
	if err == nil {
		err = w.Encode(mine)
	}
	if err == nil {
		err = r.Decode(&start)
	}
	if err == nil && start.Go {
		err = h.meet(ctx, s.Conn().RemotePeer(), mine, theirs, !start.Serve)
	}
	h.log.Debug("hole punched with", "peer", string(idOf(s.Conn().RemotePeer())), "err", err)
}

// candidates are the addresses at which others may reach this gateway.
func (h *Host) candidates() meeting {
	var m meeting
	own, err := h.inner.Network().InterfaceListenAddresses()
	if err != nil {
		own = h.inner.Network().ListenAddresses()
	}
	for _, a := range own {
		if !manet.IsIPLoopback(a) && !manet.IsIP6LinkLocal(a) && !isRelayed(a) && len(m.Own) < maxCandidates {
			m.Own = append(m.Own, a.String())
		}
	}
	seen := texts(append(h.observedAddrs(), h.mappedAddrs()...))
	m.Seen = seen[:min(len(seen), maxCandidates)]
	return m
}

// meet dials a peer that dials us now. One of the two is the client of the connection.
func (h *Host) meet(ctx context.Context, p peer.ID, mine, theirs meeting, client bool) error {
	addrs := theirs.addrs()
	if len(addrs) == 0 {
		return errors.New("the peer knows no address of its own")
	}
	h.inner.Peerstore().AddAddrs(p, addrs, peerstore.TempAddrTTL)
	if sw, ok := h.inner.Network().(*swarm.Swarm); ok {
		sw.Backoff().Clear(p)
	}
	blind := !mine.outside() || !theirs.outside()
	if blind {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, punchBlind)
		defer cancel()
	}
	ctx = network.WithForceDirectDial(network.WithSimultaneousConnect(ctx, client, "punch"), "punch")
	if err := h.inner.Connect(ctx, peer.AddrInfo{ID: p}); err != nil {
		if blind {
			return fmt.Errorf("%w: %w", errBlind, dialError(idOf(p), err))
		}
		return dialError(idOf(p), err)
	}
	c := h.direct(p)
	if c == nil {
		return fmt.Errorf("the connection to %s has ended", idOf(p).Short())
	}
	at := c.RemoteMultiaddr()
	h.punches.mu.Lock()
	defer h.punches.mu.Unlock()
	delete(h.punches.made, p)
	// Without NAT at one of the two ends it was no hole that was punched.
	if isQUIC(at) && len(mine.Seen) > 0 && !slices.Contains(theirs.Own, at.String()) {
		h.punches.made[p] = at.String()
	}
	return nil
}

// punched tells whether a connection to a peer goes through a hole that was punched.
func (h *Host) punched(p peer.ID, remote ma.Multiaddr) bool {
	h.punches.mu.Lock()
	defer h.punches.mu.Unlock()
	return h.punches.made[p] == remote.String()
}

// bounded reads so many bytes and no more.
type bounded struct {
	s    network.Stream
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errors.New("the message is too long")
	}
	n, err := b.s.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
