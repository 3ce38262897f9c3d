package overlay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marcopolo/simnet"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/p2p"
)

// simulation is a number of gateways in simulated time on a simulated network of QUIC alone.
type simulation struct {
	t     *testing.T
	net   *simnet.Simnet
	mu    sync.Mutex // guards the making of endpoints, which simnet does not
	nodes []*simulated
}

type simulated struct {
	o    Options
	hub  *media.Hub
	node *Node
	addr string
}

// line returns the settings of an access line of that many bits a second both ways.
func line(up, down int) simnet.NodeBiDiLinkSettings {
	return simnet.NodeBiDiLinkSettings{
		Uplink: simnet.LinkSettings{BitsPerSecond: up}, Downlink: simnet.LinkSettings{BitsPerSecond: down},
	}
}

// newSimulation makes gateways that may give so many bits a second and have lines of 20 Mbit/s at least, 20 ms from
// each other. The first lists all and is listed by all; besides, each lists eight others and is listed by as many.
func newSimulation(t *testing.T, uplinks []int) *simulation {
	s := &simulation{t: t, net: &simnet.Simnet{
		LatencyFunc: simnet.StaticLatency(20 * time.Millisecond), Logger: slog.New(slog.DiscardHandler),
	}}
	s.net.Start()
	for i, up := range uplinks {
		id, err := p2p.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		n := &simulated{addr: fmt.Sprintf("/ip4/%s/udp/8555/quic-v1", simnet.IntToPublicIPv4(i))}
		c := conf.Default().Overlay
		c.Listen, c.Upload = []string{n.addr}, conf.Rate(up)
		n.o = Options{
			Conf: c, Peers: make(map[string]conf.Peer), Identity: id,
			udp: func(a *net.UDPAddr) (net.PacketConn, error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.net.NewEndpoint(a, line(max(up, 20_000_000), 100_000_000)), nil
			},
		}
		s.nodes = append(s.nodes, n)
	}
	list := func(i, j int) {
		p := s.nodes[j]
		s.nodes[i].o.Peers[fmt.Sprint("n", j)] = conf.Peer{ID: string(p.o.Identity.ID), Addresses: []string{p.addr}}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range s.nodes {
		others := random.Perm(len(s.nodes))
		for _, j := range append(others[:min(len(others), 8)], 0) {
			if i != j {
				list(i, j)
				list(j, i)
			}
		}
	}
	return s
}

// run runs all gateways until the test is over.
func (s *simulation) run(ctx context.Context, wg *sync.WaitGroup) {
	for _, n := range s.nodes {
		n.hub = media.NewHub(slog.New(slog.DiscardHandler))
		node, err := New(n.o, n.hub, slog.New(slog.DiscardHandler))
		if err != nil {
			s.t.Fatal(err)
		}
		n.node = node
		n.hub.Use(node)
		wg.Go(func() {
			if err := node.Run(ctx); err != nil {
				s.t.Errorf("Run = %v", err)
			}
		})
	}
}

// TestSimulatedSwarm has 50 gateways (10 under the race detector) which may give one to six times the rate, and an owner that may give three times the rate, watch a
// stream of 1 Mbit/s over real libp2p and QUIC, in simulated time.
func TestSimulatedSwarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, fps = 1_000_000, 25
		uplinks := []int{3 * rate}
		for i := range members {
			uplinks = append(uplinks, rate*(1+i%6))
		}
		s := newSimulation(t, uplinks)
		ctx, cancel := context.WithCancel(t.Context())
		var nodes, work sync.WaitGroup
		s.run(ctx, &nodes)
		pub, err := s.nodes[0].hub.Publish("live", []media.Track{h264}, media.Origin{Kind: "publish"})
		if err != nil {
			t.Fatal(err)
		}
		work.Go(func() { pictures(ctx, pub, fps, rate/8/fps/1000) })
		time.Sleep(3 * time.Second)
		reports := make([]report, members)
		for i := range reports {
			work.Go(func() {
				time.Sleep(time.Duration(i) * 200 * time.Millisecond)
				reports[i] = s.nodes[i+1].watch(ctx, t, "n0/live", 30*time.Second)
			})
		}
		time.Sleep(30 * time.Second)
		before := s.nodes[0].node.Status()
		time.Sleep(5 * time.Second)
		after := s.nodes[0].node.Status()
		payload := float64(rate) / 8 * 5
		t.Logf("the owner gives %.2f times the rate", float64(after.Out-before.Out)/payload)
		cancel()
		work.Wait()
		nodes.Wait()
		s.net.Close()
		var delays, joins []time.Duration
		missing, got, early, refused := 0, 0, 0, 0
		for i, r := range reports {
			if r.got == 0 {
				t.Errorf("gateway %d: nothing came: %v", i+1, r.err)
				continue
			}
			delays, joins = append(delays, r.delays...), append(joins, r.join)
			missing, got, early, refused = missing+r.missing, got+r.got, early+r.early, refused+r.refused
		}
		slices.Sort(delays)
		slices.Sort(joins)
		at := func(d []time.Duration, p int) time.Duration { return d[(len(d)-1)*p/100] }
		t.Logf("%d packets, %d missing while the gateways came, %d later; delay then p50 %v, p99 %v; join p50 %v, p95 %v, refused %d times",
			got, early, missing, at(delays, 50), at(delays, 99), at(joins, 50), at(joins, 95), refused)
		if missing*4 > got { // the figures are to be read, this is to notice when the swarm does not work at all
			t.Errorf("%d of %d packets are missing", missing, got+missing)
		}
	})
}

// pictures publishes pictures of packets of 1000 bytes; each packet holds the time at which it was sent.
func pictures(ctx context.Context, pub *media.Publisher, fps, packets int) {
	defer pub.End()
	tick := time.NewTicker(time.Second / time.Duration(fps))
	defer tick.Stop()
	for n, seq := 0, uint16(0); ; n++ {
		for i := range packets {
			b := make([]byte, 1000)
			b[0], b[1], b[12] = 0x80, 96, 0x41
			if n%(2*fps) == 0 && i == 0 {
				b[12] = 0x65
			}
			if i == packets-1 {
				b[1] |= 0x80
			}
			binary.BigEndian.PutUint16(b[2:], seq)
			binary.BigEndian.PutUint32(b[4:], uint32(n*90000/fps))
			binary.BigEndian.PutUint32(b[8:], 7)
			binary.BigEndian.PutUint64(b[16:], uint64(time.Now().UnixNano()))
			_ = pub.WriteRTP(0, b, time.Now())
			seq++
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// report is what a viewer saw.
type report struct {
	join         time.Duration // from opening to the first packet
	delays       []time.Duration
	got, missing int // once all have come
	early        int // missing before
	refused      int // times
	err          error
}

// watch views a stream for a while. What comes in the first of its two halves tells how joining goes, the rest how the
// swarm works.
func (n *simulated) watch(ctx context.Context, t *testing.T, name media.Name, d time.Duration) (r report) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	began := time.Now()
	st, err := n.hub.Open(ctx, name)
	for errors.Is(err, media.ErrNotEnoughBandwidth) && ctx.Err() == nil { // a player tries again
		r.refused++
		time.Sleep(time.Second)
		st, err = n.hub.Open(ctx, name)
	}
	if err != nil {
		r.err = err
		return r
	}
	v := &viewer{t: t, st: st, sub: st.Subscribe(media.SubscribeOptions{FromKey: true}), seq: make(map[int]uint16)}
	defer v.sub.Close()
	for {
		pkts, err := v.sub.Next(ctx)
		if err != nil {
			r.missing, r.err = v.gap-r.early, err
			return r
		}
		if r.join == 0 {
			r.join = time.Since(began)
		}
		for i := range pkts {
			p := &pkts[i]
			if p.Report {
				continue
			}
			v.take(p)
			sent := time.Unix(0, int64(binary.BigEndian.Uint64(p.Data[16:])))
			if sent.Before(began.Add(d / 2)) {
				r.early = v.gap
				continue
			}
			r.got++
			r.delays = append(r.delays, time.Since(sent))
		}
	}
}

// TestPreferContributors has an owner that may give the stream once serve a gateway that has carried nothing. One that has
// carried for others before takes its place where the owner wants that, one that has not does not.
func TestPreferContributors(t *testing.T) {
	for _, c := range []struct {
		prefer string
		plays  bool
	}{{conf.PreferFirst, false}, {conf.PreferContributors, true}} {
		t.Run(c.prefer, func(t *testing.T) {
			data := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				const rate, fps = 1_000_000, 25
				s := newSimulation(t, []int{1.5 * rate, 4 * rate, 0, 0})
				owner, carrier, viewer, idler := s.nodes[0], s.nodes[1], s.nodes[2], s.nodes[3]
				owner.o.Data, owner.o.Conf.Prefer = data, c.prefer
				ctx, cancel := context.WithCancel(t.Context())
				var nodes, work sync.WaitGroup
				s.run(ctx, &nodes)
				pub, err := owner.hub.Publish("live", []media.Track{h264}, media.Origin{Kind: "publish"})
				if err != nil {
					t.Fatal(err)
				}
				work.Go(func() { pictures(ctx, pub, fps, rate/8/fps/1000) })
				time.Sleep(3 * time.Second)
				watch := func(n *simulated, d time.Duration) *report {
					r := new(report)
					work.Go(func() { *r = n.watch(ctx, t, "n0/live", d) })
					time.Sleep(2 * time.Second)
					return r
				}
				watch(carrier, time.Minute)
				watch(viewer, time.Minute)
				time.Sleep(2 * time.Minute) // both have left
				if got := owner.node.accounts.standing(carrier.o.Identity.ID); got < 60 || got > 120 {
					t.Errorf("standing of who carried all for one other = %d percent", got)
				}
				carrier.o.Conf.Upload = 0
				carrier.node.Reconfigure(carrier.o)
				first := watch(idler, time.Minute)
				second, third := watch(viewer, 20*time.Second), watch(carrier, 20*time.Second)
				time.Sleep(time.Minute)
				cancel()
				work.Wait()
				nodes.Wait()
				s.net.Close()
				if first.join == 0 || second.join != 0 || second.refused < 3 {
					t.Errorf("the first one plays after %v, the second after %v, refused %d times", first.join, second.join, second.refused)
				}
				if plays := third.join != 0; plays != c.plays || plays && third.got < 10*fps*rate/8/fps/1000*8/10 {
					t.Errorf("who has carried plays after %v, refused %d times, with %d packets, want it to play: %v", third.join, third.refused, third.got, c.plays)
				}
			})
		})
	}
}
