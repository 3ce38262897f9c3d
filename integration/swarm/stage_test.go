//go:build integration

package swarm

import (
	"cmp"
	"fmt"
	"sync"
	"testing"
	"time"

	"peergate/integration/lab"
	"peergate/integration/netlab"
)

// owner is the petname of the gateway with the camera.
const owner = "owner"

// plan says what a swarm is to be.
type plan struct {
	rate       int // of the camera in bit/s
	owner      netlab.Link
	member     netlab.Link
	upload     func(i int) string // overlay.upload of gateway i, 0 is the owner; nil: the rate of its link
	congestion string             // of TCP: bbr, or reno
	overlay    []string           // more lines for the section of gateway.yml
	debug      bool               // the gateways log all
	size       int                // gateways; 0: as many as the flag says
	every      time.Duration      // between two players that come; 0: joinEvery
	lan        int                // the last so many members are in one LAN, behind NAT
}

// bits writes a multiple of the camera's rate for gateway.yml.
func bits(times float64) string { return fmt.Sprintf("%dkbit", int(times*float64(rate)/netlab.Kbit)) }

// link returns an access link with a delay of so much from site to core and as much back.
func link(up, down float64, delay time.Duration, loss float64) netlab.Link {
	l := netlab.Both(netlab.Way{Delay: delay, Jitter: delay / 10})
	l.Up.Rate, l.Down.Rate, l.Up.Loss = int(up*netlab.Mbit), int(down*netlab.Mbit), loss
	return l
}

// site is a gateway on its host.
type site struct {
	*lab.Gateway
	host   *netlab.Host
	reader *reader
	dead   bool
}

// stage is a swarm at work.
type stage struct {
	t      *testing.T
	plan   plan
	net    *netlab.Lab
	sites  []*site // the first is the owner
	camera *camera
}

// newStage starts the gateways. All list each other by ID, but only the owner's address is known; they are the owner's to find.
func newStage(t *testing.T, p plan) *stage {
	t.Helper()
	s := &stage{t: t, plan: p, net: netlab.New(t)}
	size := cmp.Or(p.size, *gateways)
	var box *netlab.Box
	if p.lan > 0 {
		box = s.net.Box("home", p.member, netlab.Preserving)
	}
	for i := range size {
		if i < size-p.lan {
			s.add(i, nil)
		} else {
			s.add(i, box)
		}
	}
	for i, a := range s.sites {
		for j, b := range s.sites {
			switch {
			case i == j:
			case j == 0:
				a.Knows(b.Gateway)
			default:
				a.KnowsAt(b.Gateway)
			}
		}
	}
	s.each(func(a *site) { a.Start() })
	s.on(s.sites[0], func(a *site) {
		s.camera = newCamera(t, fmt.Sprintf("rtsp://127.0.0.1:%d/cam", a.Port), p.rate)
		a.WaitStream("cam")
	})
	s.wait(settle) // the owner knows the rate of its stream then
	return s
}

// add makes site i and its configuration, on the core or behind a box.
func (s *stage) add(i int, box *netlab.Box) {
	s.t.Helper()
	name, l := fmt.Sprintf("m%02d", i), s.plan.member
	if i == 0 {
		name, l = owner, s.plan.owner
	}
	var h *netlab.Host
	if box != nil {
		h = box.Host(name)
	} else {
		h = s.net.Host(name, l)
	}
	h.Congestion(s.plan.congestion)
	g := lab.NewGateway(s.t, name)
	g.Host = h.Addr.String()
	if !s.plan.debug {
		g.LogLevel = "info"
	}
	g.Listen = fmt.Sprintf(":%d", g.Port) // publishers are on loopback
	upload := fmt.Sprintf("%dkbit", l.Up.Rate/netlab.Kbit)
	if s.plan.upload != nil {
		upload = s.plan.upload(i)
	}
	g.Overlay = append(append(g.Overlay, "upload: "+upload), s.plan.overlay...)
	if s.plan.congestion != "bbr" {
		g.Overlay = append(g.Overlay, "congestion: system")
	}
	s.sites = append(s.sites, &site{Gateway: g, host: h})
}

// on runs f on the host of a site.
func (s *stage) on(a *site, f func(a *site)) {
	s.t.Helper()
	if err := a.host.Do(func() error { f(a); return nil }); err != nil {
		s.t.Fatal(err)
	}
}

// each runs f on the hosts of all sites at once.
func (s *stage) each(f func(a *site)) {
	s.t.Helper()
	s.spread(s.sites, 0, f)
}

// spread runs f on the hosts of the sites side by side, one beginning so much after the other.
func (s *stage) spread(sites []*site, every time.Duration, f func(a *site)) {
	s.t.Helper()
	var wg sync.WaitGroup
	for _, a := range sites {
		wg.Go(func() { _ = a.host.Do(func() error { f(a); return nil }) }) // what f finds wrong fails the test
		s.wait(every)
	}
	wg.Wait()
	if s.t.Failed() {
		s.t.FailNow()
	}
}

// wait lets the swarm go on for a while.
func (s *stage) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.t.Context().Done():
	}
}

// joinEvery is the time between two players that come.
const joinEvery = 150 * time.Millisecond

// audience has a player at each of the sites, the owner too when it is among them.
func (s *stage) audience(sites []*site) {
	s.t.Helper()
	s.spread(sites, cmp.Or(s.plan.every, joinEvery), func(a *site) {
		name := owner + "/cam"
		if a.Name == owner {
			name = "cam"
		}
		a.reader = newReader(s.t, a.Name, a.URL(name))
	})
}

// members are all sites but the owner.
func (s *stage) members() []*site { return s.sites[1:] }

// alive are the sites that have not been killed.
func (s *stage) alive() []*site {
	var all []*site
	for _, a := range s.sites {
		if !a.dead {
			all = append(all, a)
		}
	}
	return all
}

// kill kills gateways at once, as kill -9 does.
func (s *stage) kill(sites []*site) {
	var wg sync.WaitGroup
	for _, a := range sites {
		a.dead = true
		wg.Go(a.Kill)
	}
	wg.Wait()
}

// sound checks all players.
func (s *stage) sound() {
	s.t.Helper()
	for _, a := range s.alive() {
		if a.reader != nil {
			a.reader.sound(s.t, s.camera)
		}
	}
	if load := s.net.Load(); load.Late > load.Packets/1000 {
		s.t.Logf("the lab itself was late: %+v", load)
	}
}
