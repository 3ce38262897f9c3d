package p2p

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multistream"
)

// addrLife is how long an address that was given for a dial is remembered for others: a reconnection uses it again.
const addrLife = 10 * time.Minute

// A WrongKeyError means that another gateway than the one wanted answers at an address.
type WrongKeyError struct {
	Addr      string
	Want, Got ID
}

func (e *WrongKeyError) Error() string {
	return fmt.Sprintf("the gateway at %s is %s, not %s: the address is out of date, or somebody poses as the peer", e.Addr, e.Got, e.Want)
}

// Connect makes sure that there is a connection to the peer, dialling these addresses and those known already.
// The error is a *WrongKeyError when that is the reason.
func (h *Host) Connect(ctx context.Context, id ID, addrs []string) error {
	if err := h.running(ctx); err != nil {
		return err
	}
	if !h.o.Allow(id) {
		return ErrNotListed
	}
	p := id.peer()
	maddrs, err := parseAll(addrs)
	if err != nil && len(maddrs) == 0 {
		return err
	}
	h.inner.Peerstore().AddAddrs(p, maddrs, addrLife)
	h.noteBridges(maddrs)
	h.offerCircuits(p)
	if len(h.inner.Peerstore().Addrs(p)) == 0 {
		return errors.New("no address of the peer is known")
	}
	// libp2p refuses to dial for 5 s after a failure; when to dial is the caller's to decide.
	if s, ok := h.inner.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p)
	}
	if err := h.inner.Connect(ctx, peer.AddrInfo{ID: p}); err != nil {
		return dialError(id, err)
	}
	return nil
}

// Open opens a stream to a peer that is connected. The error wraps ErrRefused when the peer has hung up instead.
func (h *Host) Open(ctx context.Context, id ID, proto Protocol) (*Stream, error) {
	if err := h.running(ctx); err != nil {
		return nil, err
	}
	c := h.best(id.peer())
	if c == nil {
		return nil, fmt.Errorf("open %s: %w", proto, ErrRefused)
	}
	s, err := c.NewStream(network.WithAllowLimitedConn(ctx, "media are relayed"))
	if err != nil && c.IsClosed() {
		return nil, fmt.Errorf("open %s: %w", proto, ErrRefused)
	}
	if err == nil {
		err = s.SetProtocol(protocol.ID(proto))
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", proto, err)
	}
	st := newStream(s, h)
	st.s = &eagerStream{s, multistream.NewMSSelect(s, protocol.ID(proto))}
	return st, nil
}

// best returns the connection to a peer that streams go on: over TCP, which bears loss better, before QUIC, a relayed one
// last, of several the oldest. libp2p would take the one with the most streams.
func (h *Host) best(p peer.ID) network.Conn {
	var best network.Conn
	for _, c := range h.inner.Network().ConnsToPeer(p) {
		if c.IsClosed() {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(class(c), class(best)), c.Stat().Opened.Compare(best.Stat().Opened)) < 0 {
			best = c
		}
	}
	return best
}

// class ranks a connection, the least is the best.
func class(c network.Conn) int {
	switch a := c.RemoteMultiaddr(); {
	case isTCP(a):
		return 0
	case isRelayed(a):
		return 2
	}
	return 1
}

// eagerStream sends what the stream is for together with the first bytes, and reads the answer with the first bytes back.
type eagerStream struct {
	network.Stream
	rw multistream.LazyConn
}

func (s *eagerStream) Read(b []byte) (int, error)  { return s.rw.Read(b) }
func (s *eagerStream) Write(b []byte) (int, error) { return s.rw.Write(b) }

// dialError makes one short error of what libp2p tells about each address.
func dialError(id ID, err error) error {
	var all *swarm.DialError
	if !errors.As(err, &all) || len(all.DialErrors) == 0 {
		return err
	}
	var list []string
	for i := range all.DialErrors {
		e := &all.DialErrors[i]
		var wrong sec.ErrPeerIDMismatch
		if errors.As(e.Cause, &wrong) {
			return &WrongKeyError{e.Address.String(), id, idOf(wrong.Actual)}
		}
		list = append(list, e.Address.String()+": "+firstLine(e.Cause))
	}
	return errors.New(strings.Join(list, "; "))
}

func firstLine(err error) string {
	l, _, _ := strings.Cut(err.Error(), "\n")
	return l
}
