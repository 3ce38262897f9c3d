package rtsp

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"peergate/conf"
	"peergate/media"
	"peergate/rtsp/delivery"
	"peergate/rtsp/wire"
)

// sending is what a session plays with: a player of its own, or its share of a group's.
type sending interface {
	Play(ctx context.Context, l *delivery.Link, answer func([]delivery.Start) []byte) error
	Pause()
	Close(bye bool)
	Stats() delivery.Stats
}

// groups are the multicast groups in use (RFC 2326 §12.39): one for each stream, so that its packets are sent once.
type groups struct {
	set    conf.Multicast
	sender *delivery.Sender
	pair   *pair // nil: no multicast
	ears   *ears // nil likewise

	mu  sync.Mutex // guards the field below
	all map[*media.Stream]*group
}

// group is a stream's group. Its player goes on as long as a session plays.
type group struct {
	of     *groups
	stream *media.Stream
	addr   netip.Addr
	turn   chan struct{} // holds a token while a PLAY begins

	mu      sync.Mutex // guards the fields below
	players map[*share]struct{}
	player  *delivery.Player
}

// share is what one session has of a group.
type share struct {
	g      *group
	client netip.Addr
	ended  func(error)
	touch  func() // when a sign of life has come
}

// openGroups opens the sockets to send from; without a configured network there are none.
func openGroups(set conf.Multicast, sender *delivery.Sender, log *slog.Logger) (*groups, error) {
	gs := &groups{set: set, sender: sender, all: make(map[*media.Stream]*group)}
	if !set.Groups.IsValid() {
		return gs, nil
	}
	host := netip.IPv4Unspecified()
	if set.Groups.Addr().Is6() {
		host = netip.IPv6Unspecified()
	}
	p, err := openPair(host, 0)
	if err != nil {
		return nil, fmt.Errorf("rtsp.multicast: %w", err)
	}
	for _, c := range []*net.UDPConn{p.rtp, p.rtcp} {
		if err := aim(c, set); err != nil {
			p.close()
			return nil, fmt.Errorf("rtsp.multicast: %w", err)
		}
	}
	gs.pair = p
	if gs.ears, err = openEars(set); err != nil { // there may be no network yet
		log.Warn("reports of multicast players are not heard", "err", err)
	}
	return gs, nil
}

// aim sets how far and through which interface a socket sends to groups.
func aim(c *net.UDPConn, set conf.Multicast) error {
	var itf *net.Interface
	if set.Interface != "" {
		var err error
		if itf, err = net.InterfaceByName(set.Interface); err != nil {
			return fmt.Errorf("interface %s: %w", set.Interface, err)
		}
	}
	if set.Groups.Addr().Is6() {
		pc := ipv6.NewPacketConn(c)
		if err := pc.SetMulticastHopLimit(set.TTL); err != nil {
			return err
		}
		if itf != nil {
			return pc.SetMulticastInterface(itf)
		}
		return nil
	}
	pc := ipv4.NewPacketConn(c)
	if err := pc.SetMulticastTTL(set.TTL); err != nil {
		return err
	}
	if itf != nil {
		return pc.SetMulticastInterface(itf)
	}
	return nil
}

func (gs *groups) close() {
	if gs.pair != nil {
		gs.pair.close()
		gs.ears.close()
	}
}

// of returns the group of a stream, or nil when there is none to be had. The address follows from the name, so that it
// is the same again after a restart, unless another stream has it.
func (gs *groups) of(st *media.Stream) *group {
	if gs.pair == nil {
		return nil
	}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	taken := make(map[netip.Addr]bool)
	for s, g := range gs.all {
		if isDone(s.Done()) {
			delete(gs.all, s)
			gs.ears.leave(g.addr)
			continue
		}
		taken[g.addr] = true
	}
	if g := gs.all[st]; g != nil {
		return g
	}
	h := fnv.New32a()
	_, _ = io.WriteString(h, string(st.Name()))
	n := h.Sum32()
	for range len(taken) + 1 {
		if a := addrOf(gs.set.Groups.Prefix, n); !taken[a] {
			g := &group{of: gs, stream: st, addr: a, turn: make(chan struct{}, 1), players: make(map[*share]struct{})}
			gs.all[st] = g
			gs.ears.join(a)
			return g
		}
		n++
	}
	return nil
}

// addrOf returns an address of a network; the number is taken modulo its size.
func addrOf(p netip.Prefix, n uint32) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	free := min(len(b)*8-p.Bits(), 32)
	if free < 32 {
		n &= 1<<free - 1
	}
	for i := len(b) - 1; n > 0; i-- {
		b[i] |= byte(n)
		n >>= 8
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// routeMulticast sends a track to the stream's group. Where that is, the server says.
func (q *request) routeMulticast(ses *session, l *leg, t *wire.Transport) bool {
	if ses.stream == nil || q.conn.tunnelled || q.conn.secure || t.TCP {
		return false
	}
	if l.group = q.conn.srv.groupsNow().of(ses.stream); l.group == nil {
		return false
	}
	set := l.group.of.set
	t.Destination, t.TTL = l.group.addr.String(), set.TTL
	t.Port = &wire.Pair{First: set.Port + 2*l.track, Second: set.Port + 2*l.track + 1}
	t.Client, t.Server, t.Interleaved, t.Source = nil, nil, nil, ""
	return true
}

func (s *Server) groupsNow() *groups {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.groups
}

// outlets are the ways of all tracks: who receives some receives all.
func (g *group) outlets() []delivery.Outlet {
	p := g.of.pair
	outs := make([]delivery.Outlet, len(g.stream.Tracks()))
	for i := range outs {
		port := uint16(g.of.set.Port + 2*i)
		outs[i] = delivery.Outlet{
			Track: i, RTP: p.rtp, RTCP: p.rtcp,
			RTPAddr: netip.AddrPortFrom(g.addr, port), RTCPAddr: netip.AddrPortFrom(g.addr, port+1),
		}
	}
	return outs
}

// Play begins the group's player, or joins it: then the packets are under way already, and the answer can only say
// which timestamps belong to now.
func (sh *share) Play(ctx context.Context, l *delivery.Link, answer func([]delivery.Start) []byte) error {
	g := sh.g
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if g.join(sh) {
		return l.Send(answer(g.now()))
	}
	player := g.of.sender.Player(delivery.PlayerOptions{
		Stream: g.stream, Outlets: g.outlets(), CNAME: "group@peergate", Ended: g.ended,
	})
	g.found(sh, player)
	err := player.Play(ctx, l, answer)
	if err != nil {
		sh.Close(false)
	}
	return err
}

// join adds a share if the group plays.
func (g *group) join(sh *share) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.player == nil {
		return false
	}
	g.players[sh] = struct{}{}
	return true
}

// found adds the first share.
func (g *group) found(sh *share, p *delivery.Player) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.player = p
	g.players[sh] = struct{}{}
}

// leave takes a session's share out; it returns the player when nobody is left.
func (g *group) leave(sh *share) *delivery.Player {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.players, sh)
	if len(g.players) > 0 {
		return nil
	}
	p := g.player
	g.player = nil
	return p
}

// now tells the timestamps of this instant.
func (g *group) now() []delivery.Start {
	t := time.Now()
	var starts []delivery.Start
	for i := range g.stream.Tracks() {
		c, ok := g.stream.Clock(i)
		starts = append(starts, delivery.Start{Track: i, HasTime: ok, Timestamp: c.Timestamp(t)})
	}
	return starts
}

// ended passes the end of the player on to the sessions.
func (g *group) ended(err error) {
	g.mu.Lock()
	g.player = nil
	players := g.players
	g.players = make(map[*share]struct{})
	g.mu.Unlock()
	for sh := range players {
		sh.ended(err)
	}
}

// Pause leaves the group, which goes on for others.
func (sh *share) Pause() { sh.Close(false) }

// Close leaves the group; the last one ends it.
func (sh *share) Close(bye bool) {
	if p := sh.g.leave(sh); p != nil {
		p.Close(bye)
	}
}

// Stats returns the group's counters: what each of its members gets.
func (sh *share) Stats() delivery.Stats {
	sh.g.mu.Lock()
	player := sh.g.player
	sh.g.mu.Unlock()
	if player == nil {
		return delivery.Stats{}
	}
	return player.Stats()
}
