package p2p

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"
)

// A gateway behind NAT learns from others how it looks from outside. It asks some of its peers over QUIC, which leaves from
// the port it listens at, and each answers with the address that it sees, and whether it could connect to it anew. That is
// what AutoNATv2 of libp2p does, which cannot be used: it connects back with a key of its own, and gateways let in only
// those whom they know. On a stream there are, as JSON, a question and two answers: what is seen, and the
// same with what came of the connections back.

const (
	// observeProtocol is for the question what a gateway looks like from there.
	observeProtocol Protocol = "/peergate/observe/1"
	// observeLane is the lane on which it is asked. It stays, and keeps the NAT's mapping alive.
	observeLane = -1
	// maxObservers is how many peers are asked: two tell the kind of a NAT, the others are for when those go. The first one
	// suffices when it sees the gateway's own address and can connect to it.
	maxObservers = 4
	// observeEvery is the time between questions to one peer: mappings change when a router starts anew.
	observeEvery = time.Minute
	// backEvery is the time between connections back that succeed; they cost both ends some KB. Others are tried with each question.
	backEvery = 10 * time.Minute
	// observeLook is the time between looks for peers that are to be asked.
	observeLook = 250 * time.Millisecond
	// observeAgain is the time until a peer that could not be asked is asked again.
	observeAgain = 5 * time.Second
	// observeWithin bounds a question with its connections back.
	observeWithin = 8 * time.Second
	// backWithin bounds one connection back.
	backWithin = 2 * time.Second
	// backSoonest is the least time between connections back to one peer.
	backSoonest = 5 * time.Second
	// maxQuestion bounds a question or an answer in bytes.
	maxQuestion = 1024
)

// NAT tells what is between a gateway and the others.
type NAT string

// The kinds of NAT.
const (
	NATUnknown    NAT = "unknown"         // fewer than two peers have told
	NATNone       NAT = "none"            // others see the gateway's own address
	NATPreserving NAT = "port-preserving" // others see the port that it listens at
	NATCone       NAT = "endpoint-independent"
	NATSymmetric  NAT = "symmetric" // each sees another port: nobody can connect by what another has seen
)

// observeQuestion asks what the asker looks like, and to connect to these ports of it. 0 is none.
type observeQuestion struct {
	TCP int `json:"tcp,omitempty"`
	UDP int `json:"udp,omitempty"`
}

// observeAnswer tells it. What could not be connected to has a reason.
type observeAnswer struct {
	Seen string `json:"seen"`          // host:port of the QUIC connection
	TCP  string `json:"tcp,omitempty"` // "ok", or why not; "" when not tried
	UDP  string `json:"udp,omitempty"`
}

// backOK is the answer when a connection back was made.
const backOK = "ok"

// observation is what one peer has told.
type observation struct {
	at       time.Time
	seen     netip.AddrPort
	port     int // of this gateway, UDP
	tcp, udp string
	back     time.Time // when connections back were last asked for
}

// reached tells whether all connections back that were asked for were made.
func (o *observation) reached(q observeQuestion) bool {
	return (q.TCP == 0 || o.tcp == backOK) && (q.UDP == 0 || o.udp == backOK)
}

// observations are what peers have told.
type observations struct {
	mu    sync.Mutex // guards the fields below
	by    map[peer.ID]observation
	asked map[peer.ID]time.Time // when each was asked last
	back  map[peer.ID]time.Time // when this gateway last connected back to each
}

// plain tells whether a peer sees an address of this machine and could connect to it, so that others need not be asked. The lock is
// held.
func (os *observations) plain(own []netip.Addr, q observeQuestion) bool {
	for _, o := range os.by {
		if slices.Contains(own, o.seen.Addr()) && o.reached(q) {
			return true
		}
	}
	return false
}

// Reach tells how this gateway can be reached.
type Reach struct {
	NAT      NAT
	Seen     []string // where peers see it over UDP, as host:port
	TCP, UDP string   // "ok" when a peer could connect anew, else why not; "" unknown
	Mapped   []string // addresses that the router leads here, by UPnP or NAT-PMP
	Relays   []ID     // through which it can be reached
	Relayed  uint64   // bytes passed on for others
}

// Reach returns how this gateway can be reached, as far as it is known.
func (h *Host) Reach() Reach {
	var r Reach
	if !h.listens() {
		return Reach{NAT: NATUnknown}
	}
	h.observed.mu.Lock()
	var all []observation
	for _, o := range h.observed.by {
		all = append(all, o)
	}
	h.observed.mu.Unlock()
	r.NAT = kindOf(all, h.ownAddresses())
	for _, o := range all {
		if s := o.seen.String(); !slices.Contains(r.Seen, s) {
			r.Seen = append(r.Seen, s)
		}
		r.TCP, r.UDP = better(r.TCP, o.tcp), better(r.UDP, o.udp)
	}
	slices.Sort(r.Seen)
	r.Mapped = h.mapped()
	for _, p := range h.places.held() {
		r.Relays = append(r.Relays, idOf(p))
	}
	if h.meter != nil {
		r.Relayed = h.meter.total.Load()
	}
	return r
}

// better returns the more telling of two answers.
func better(a, b string) string {
	if a == backOK || b == "" {
		return a
	}
	return b
}

// kindOf tells the kind of NAT by what peers have seen.
func kindOf(all []observation, own []netip.Addr) NAT {
	if len(all) == 0 {
		return NATUnknown
	}
	first := all[0]
	if slices.Contains(own, first.seen.Addr()) {
		return NATNone
	}
	if len(all) < 2 {
		return NATUnknown
	}
	for _, o := range all[1:] {
		if o.seen != first.seen {
			return NATSymmetric
		}
	}
	if int(first.seen.Port()) == first.port {
		return NATPreserving
	}
	return NATCone
}

// public tells whether others can connect to this gateway: as configured, else as a peer has found out.
func (h *Host) public() bool {
	switch h.o.Reachability {
	case ReachPublic:
		return true
	case ReachPrivate:
		return false
	}
	h.observed.mu.Lock()
	defer h.observed.mu.Unlock()
	for _, o := range h.observed.by {
		if o.tcp == backOK || o.udp == backOK {
			return true
		}
	}
	return false
}

// observedAddrs returns the addresses at which peers see this gateway and that are not its own.
func (h *Host) observedAddrs() []ma.Multiaddr {
	own := h.ownAddresses()
	h.observed.mu.Lock()
	defer h.observed.mu.Unlock()
	var all []ma.Multiaddr
	for _, o := range h.observed.by {
		if !slices.Contains(own, o.seen.Addr()) {
			all = append(all, quicAt(o.seen))
			if _, tcp := h.ports(); o.tcp == backOK && tcp != 0 {
				all = append(all, tcpAt(netip.AddrPortFrom(o.seen.Addr(), uint16(tcp))))
			}
		}
	}
	return ma.Unique(all)
}

func quicAt(a netip.AddrPort) ma.Multiaddr {
	return ma.StringCast(ipOf(a) + fmt.Sprintf("/udp/%d/quic-v1", a.Port()))
}

func tcpAt(a netip.AddrPort) ma.Multiaddr {
	return ma.StringCast(ipOf(a) + fmt.Sprintf("/tcp/%d", a.Port()))
}

func ipOf(a netip.AddrPort) string {
	if a.Addr().Is4() {
		return "/ip4/" + a.Addr().String()
	}
	return "/ip6/" + a.Addr().String()
}

// ports returns the ports that this gateway listens at, 0 for none: of several the first.
func (h *Host) ports() (udp, tcp int) {
	for _, a := range h.inner.Network().ListenAddresses() {
		if v, err := a.ValueForProtocol(ma.P_UDP); err == nil && udp == 0 {
			udp, _ = strconv.Atoi(v)
		}
		if v, err := a.ValueForProtocol(ma.P_TCP); err == nil && tcp == 0 && !isRelayed(a) {
			tcp, _ = strconv.Atoi(v)
		}
	}
	return udp, tcp
}

// ownAddresses returns the addresses of this machine's interfaces.
func (h *Host) ownAddresses() []netip.Addr {
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var all []netip.Addr
	for _, n := range nets {
		if p, err := netip.ParsePrefix(n.String()); err == nil {
			all = append(all, p.Addr())
		}
	}
	return all
}

// observe keeps asking peers what this gateway looks like, until ctx ends.
func (h *Host) observe(ctx context.Context) {
	t := time.NewTicker(observeLook)
	defer t.Stop()
	for {
		for _, p := range h.observers(time.Now()) {
			h.serving.Go(func() { h.askObserver(ctx, p) })
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// observers returns the peers that are to be asked now, and notes that they are. Those at the own site see nothing of NAT.
func (h *Host) observers(now time.Time) []peer.ID {
	udp, tcp := h.ports()
	if udp == 0 || h.o.UDP != nil {
		return nil
	}
	own := h.ownAddresses()
	h.observed.mu.Lock()
	defer h.observed.mu.Unlock()
	connected := h.inner.Network().Peers()
	for p, o := range h.observed.by {
		if !slices.Contains(connected, p) && now.Sub(o.at) > 2*observeEvery {
			delete(h.observed.by, p)
		}
	}
	maps.DeleteFunc(h.observed.asked, func(p peer.ID, at time.Time) bool {
		return now.Sub(at) > observeEvery && !slices.Contains(connected, p)
	})
	want := maxObservers
	if len(h.observed.by) == 0 || h.observed.plain(own, observeQuestion{TCP: tcp, UDP: udp}) {
		want = 1
	}
	var all []peer.ID
	for _, p := range connected {
		if len(h.observed.by)+len(all) >= want && h.observed.by[p].at.IsZero() || now.Sub(h.observed.asked[p]) < observeEvery {
			continue
		}
		c := h.direct(p)
		if c == nil {
			continue
		}
		if isLocal(c.RemoteMultiaddr()) {
			h.observed.asked[p] = now.Add(observeAgain - observeEvery)
			continue
		}
		h.observed.asked[p] = now
		all = append(all, p)
	}
	return all
}

// askObserver asks one peer.
func (h *Host) askObserver(ctx context.Context, p peer.ID) {
	ctx, cancel := context.WithTimeout(ctx, observeWithin)
	defer cancel()
	udp, tcp := h.ports()
	q, now := observeQuestion{TCP: tcp, UDP: udp}, time.Now()
	h.observed.mu.Lock()
	old := h.observed.by[p]
	h.observed.mu.Unlock()
	if old.reached(q) && now.Sub(old.back) < backEvery {
		q = observeQuestion{}
	} else {
		old.back = now
	}
	err := h.inquire(ctx, p, q, func(a observeAnswer, seen netip.AddrPort) { h.learn(p, a, seen, udp, old.back) })
	if err != nil {
		h.observed.mu.Lock()
		h.observed.asked[p] = time.Now().Add(observeAgain - observeEvery)
		h.observed.mu.Unlock()
		h.log.Debug("a peer does not tell what this gateway looks like", "peer", string(idOf(p)), "err", err)
	}
}

// inquire puts a question on a QUIC connection of its own and hands on both answers.
func (h *Host) inquire(ctx context.Context, p peer.ID, q observeQuestion, take func(observeAnswer, netip.AddrPort)) error {
	c, err := h.lane(ctx, laneKey{idOf(p), observeLane})
	if err != nil {
		return err
	}
	s, err := c.OpenStream(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = s.Reset() }()
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	if err := multistream.SelectProtoOrFail(protocol.ID(observeProtocol), s); err != nil {
		return err
	}
	if err := json.NewEncoder(s).Encode(q); err != nil {
		return err
	}
	r := json.NewDecoder(io.LimitReader(s, 2*maxQuestion))
	for range 2 {
		a, seen, err := readAnswer(r)
		if err != nil {
			return err
		}
		take(a, seen)
	}
	return nil
}

// readAnswer reads an answer, and the address in it.
func readAnswer(d *json.Decoder) (a observeAnswer, seen netip.AddrPort, err error) {
	if err = d.Decode(&a); err == nil {
		seen, err = netip.ParseAddrPort(a.Seen)
	}
	a.TCP, a.UDP = clip(a.TCP), clip(a.UDP)
	return a, seen, err
}

// readQuestion reads a question of at most maxQuestion bytes.
func readQuestion(r io.Reader) (q observeQuestion, err error) {
	err = json.NewDecoder(io.LimitReader(r, maxQuestion)).Decode(&q)
	return q, err
}

// learn notes an answer to a question from a port. Connections back were last asked for at a time.
func (h *Host) learn(p peer.ID, a observeAnswer, seen netip.AddrPort, udp int, back time.Time) {
	o := observation{at: time.Now(), seen: seen, port: udp, tcp: a.TCP, udp: a.UDP, back: back}
	h.observed.mu.Lock()
	old := h.observed.by[p]
	if old.seen == o.seen {
		o.tcp, o.udp = cmp.Or(o.tcp, old.tcp), cmp.Or(o.udp, old.udp)
	} else if !old.at.IsZero() {
		delete(h.observed.asked, p) // what could connect back there must be asked anew
	}
	h.observed.by[p] = o
	h.observed.mu.Unlock()
	if old.seen != o.seen || old.tcp != o.tcp || old.udp != o.udp {
		h.log.Info("seen from outside", "peer", string(idOf(p)), "remote", seen)
		h.changed()
	}
}

// addrPort returns the IP address and port that an address begins with.
func addrPort(a ma.Multiaddr) (netip.AddrPort, error) {
	_, addr, err := manet.DialArgs(a)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ap, err := netip.ParseAddrPort(addr)
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), err
}
