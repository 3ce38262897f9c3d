//go:build integration

package swarm

import (
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"peergate/integration/lab"
	"peergate/integration/netlab"
)

var neighbours = flag.Int("neighbours", 6, "how many gateways are behind one address")

// small returns a stage without gateways yet, whose links are wide.
func small(t *testing.T) *stage {
	t.Helper()
	l := link(20, 20, natDelay, 0)
	return &stage{t: t, plan: plan{rate: rate, congestion: "bbr", owner: l, member: l}, net: netlab.New(t)}
}

// film starts the owner with its camera.
func (s *stage) film() {
	s.t.Helper()
	s.on(s.sites[0], func(a *site) {
		a.Start()
		s.camera = newCamera(s.t, fmt.Sprintf("rtsp://127.0.0.1:%d/cam", a.Port), s.plan.rate)
		a.WaitStream("cam")
	})
}

// watches starts a site and has a player watch the owner's stream there.
func (s *stage) watches(a *site) {
	s.t.Helper()
	s.on(a, func(a *site) {
		began := time.Now()
		a.Start()
		a.WaitStream(owner + "/cam")
		a.reader = newReader(s.t, a.Name, a.URL(owner+"/cam"))
		s.t.Logf("%s: first packet %v after its gateway was started", a.Name, time.Since(began).Round(time.Millisecond))
	})
}

// without takes the addresses of one version of IP from a host.
func (s *stage) without(a *site, version string) {
	s.t.Helper()
	if out, err := a.host.Command("ip", version, "addr", "flush", "dev", "wan0").CombinedOutput(); err != nil {
		s.t.Fatalf("ip: %v: %s", err, out)
	}
}

// TestIPVersions has an owner with both versions of IP, and a viewer with either alone.
func TestIPVersions(t *testing.T) {
	t.Parallel()
	s := small(t)
	for i := range 3 {
		s.add(i, nil)
	}
	a, four, six := s.sites[0], s.sites[1], s.sites[2]
	a.OverlayHosts = []string{a.host.Addr.String(), a.host.Addr6.String()}
	six.Host = six.host.Addr6.String()
	s.without(four, "-6")
	s.without(six, "-4")
	for _, b := range []*site{four, six} {
		a.KnowsAt(b.Gateway)
		b.Knows(a.Gateway)
	}
	s.film()
	s.watches(four)
	s.watches(six)
	s.wait(settle)
	f := s.measure(*window, s.members(), nil)
	f.watched(t)
	s.sound()
	for _, b := range s.members() {
		if w := s.waitWay(b, "direct"); w.Transport == "" {
			t.Errorf("%s: %+v", b.Name, w)
		}
	}
}

// TestStrictNetwork has a viewer in a network that lets out nothing but TCP to port 443, where the owner listens too.
func TestStrictNetwork(t *testing.T) {
	t.Parallel()
	s := small(t)
	s.add(0, nil)
	s.add(1, nil)
	a, b := s.sites[0], s.sites[1]
	a.OverlayPort = 443
	a.KnowsAt(b.Gateway)
	b.KnowsAt(a.Gateway, fmt.Sprintf("/ip4/%v/tcp/443", a.host.Addr))
	b.host.Filter(`table inet strict {
	chain output {
		type filter hook output priority 0; policy drop;
		oifname "lo" accept
		tcp dport 443 accept
	}
}
`)
	s.film()
	s.watches(b)
	s.wait(settle)
	f := s.measure(*window, s.members(), nil)
	f.watched(t)
	s.sound()
	if w := s.waitWay(b, "direct"); w.Transport != "tcp" {
		t.Errorf("the transport is %s, want tcp", w.Transport)
	}
}

// TestHairpin has an owner with an open port of its router, and a viewer in the same LAN that knows only the router's outer address.
func TestHairpin(t *testing.T) {
	t.Parallel()
	s := small(t)
	box := s.net.Box("home", s.plan.member, netlab.Preserving)
	s.add(0, box)
	s.add(1, box)
	a, b := s.sites[0], s.sites[1]
	box.Forward(a.host, a.OverlayPort, true)
	a.KnowsAt(b.Gateway)
	b.KnowsAt(a.Gateway, fmt.Sprintf("/ip4/%v/tcp/%d", box.Addr, a.OverlayPort))
	s.film()
	s.watches(b)
	s.wait(settle)
	f := s.measure(*window, s.members(), nil)
	f.watched(t)
	s.sound()
	s.waitWay(b, "direct")
}

// TestRelayDies kills the relay over which a player's gateway has its stream, which another one can take over.
func TestRelayDies(t *testing.T) {
	t.Parallel()
	s := small(t)
	s.add(0, s.net.Box("box0", s.plan.member, netlab.Symmetric))
	s.add(1, s.net.Box("box1", s.plan.member, netlab.Symmetric))
	s.add(2, nil)
	s.add(3, nil)
	a, b, relays := s.sites[0], s.sites[1], s.sites[2:]
	for _, r := range relays {
		r.Overlay = append(r.Overlay, "relay_for: [any]")
		r.KnowsAt(a.Gateway)
		r.KnowsAt(b.Gateway)
		a.Knows(r.Gateway)
		b.Knows(r.Gateway)
	}
	a.KnowsAt(b.Gateway)
	b.KnowsAt(a.Gateway)
	for _, r := range relays {
		s.on(r, func(r *site) { r.Start() })
	}
	s.film()
	lab.Eventually(t, lab.Patience, "the owner has found both relays", func() bool { return len(s.overlayOf(a).Reach.Relays) == 2 })
	s.watches(b)
	s.waitWay(b, "relayed")
	s.wait(settle)
	used := relays[0]
	if relays[1].host.Access.Sent().Bytes > used.host.Access.Sent().Bytes {
		used = relays[1]
	}
	b.reader.longestPause()
	f := s.measure(*window+longest, []*site{b}, func() { s.kill([]*site{used}) })
	t.Log(&f)
	pause := b.reader.longestPause()
	t.Logf("%s, which relayed, is killed: the player's longest pause is %v", used.Name, pause.Round(time.Millisecond))
	atMost(t, "the player's longest pause", pause, longest)
	target(t, "the player's longest pause", pause, 2*time.Second)
	s.sound()
	s.waitWay(b, "relayed")
}

// TestOneAddress has many gateways behind one address of a NAT that have been told of the owner alone: all connect to it and watch.
// In the first case they are in one LAN and find each other there; in the second they cannot reach each other, as behind the NAT of a
// provider.
func TestOneAddress(t *testing.T) {
	t.Run("lan", func(t *testing.T) { oneAddress(t, min(*neighbours, 24), true) }) // what multicast DNS leaves of two processors
	t.Run("provider", func(t *testing.T) { oneAddress(t, *neighbours, false) })
}

func oneAddress(t *testing.T, n int, lan bool) {
	t.Parallel()
	s := small(t)
	s.plan.owner.Up.Rate = 200 * netlab.Mbit // each may get its own copy until neighbours have found each other
	if n > 12 {
		s.plan.rate, s.plan.every = rate/5, 500*time.Millisecond // so many gateways, players and the lab share this machine
	}
	s.add(0, nil)
	box := s.net.Box("home", netlab.Both(netlab.Way{Delay: natDelay}), netlab.Preserving)
	for i := range n {
		s.add(i+1, box)
	}
	for _, b := range s.members() {
		s.sites[0].KnowsAt(b.Gateway)
		b.Knows(s.sites[0].Gateway)
		if lan {
			b.inLAN()
		}
	}
	if lan { // strangers may have it from each other
		s.sites[0].Overlay = append(s.sites[0].Overlay, "channels: [{name: '**', access: open}]")
	}
	s.film()
	s.spread(s.members(), s.plan.every, func(b *site) { b.Start() })
	lab.Eventually(t, lab.Patience, "all are connected to the owner", func() bool {
		connected := 0
		for _, p := range s.overlayOf(s.sites[0]).Peers {
			if p.Connected {
				connected++
			}
		}
		return connected == n
	})
	s.audience(s.members())
	s.wait(settle)
	f := s.measure(*window, s.members(), nil)
	f.watched(t)
	if !f.busy {
		atMost(t, "share of packets that were late at 1 s", f.late1, unseen)
	}
	s.sound()
}

// idleFor is how long gateways are left alone at least for their traffic to be told, calmAfter after the time in which they see how
// each can be reached, and QUIC how large packets may be.
const idleFor, calmAfter = 15 * time.Second, 25 * time.Second

// TestIdle leaves gateways that know each other alone: what they say then is little.
func TestIdle(t *testing.T) {
	t.Parallel()
	s := small(t)
	for i := range 4 {
		s.add(i, nil)
	}
	for _, b := range s.members() {
		s.sites[0].KnowsAt(b.Gateway)
		b.Knows(s.sites[0].Gateway)
	}
	s.each(func(b *site) { b.Start() })
	for _, b := range s.members() {
		s.waitWay(b, "direct")
	}
	s.wait(calmAfter)
	type bytes struct{ out, in int64 }
	told := func() (all []bytes) {
		for _, b := range s.sites {
			all = append(all, bytes{b.host.Access.Sent().Bytes, b.host.Access.Received().Bytes})
		}
		return all
	}
	before, began := told(), time.Now()
	s.wait(max(*window, idleFor))
	took := time.Since(began).Seconds()
	var most []float64
	for i, now := range told() {
		out, in := 8*float64(now.out-before[i].out)/took, 8*float64(now.in-before[i].in)/took
		t.Logf("%s with %d peers: %.0f bit/s out, %.0f bit/s in", s.sites[i].Name, max(1, (len(s.sites)-1)*(1-min(i, 1))), out, in)
		if i > 0 {
			most = append(most, out, in)
		}
	}
	target(t, "idle bit/s of a gateway with one peer, each way", slices.Max(most), 2000)
	atMost(t, "idle bit/s of a gateway with one peer, each way", slices.Max(most), 10_000)
}

// TestUploadMeasured has the doctor measure a line that is known.
func TestUploadMeasured(t *testing.T) {
	t.Parallel()
	const up = 8.0 // Mbit/s
	s := small(t)
	s.plan.member = link(up, 20, natDelay, 0)
	s.add(0, nil)
	s.add(1, nil)
	a, b := s.sites[0], s.sites[1]
	a.KnowsAt(b.Gateway)
	b.Knows(a.Gateway)
	s.each(func(b *site) { b.Start() })
	s.waitWay(b, "direct")
	var rate float64
	s.on(b, func(b *site) {
		p := lab.Spawn(t, lab.Binary(t), "doctor", "--json", b.File())
		_ = p.Wait(lab.Patience) // it fails when something else is not well on this machine
		var found []struct{ Point, Text string }
		if err := json.Unmarshal(p.Out.Bytes(), &found); err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if f.Point != "upload" {
				continue
			}
			if _, err := fmt.Sscanf(f.Text, "%f Mbit/s to "+owner, &rate); err != nil {
				t.Errorf("the doctor says %q: %v", f.Text, err)
			}
		}
	})
	t.Logf("the line has %.1f Mbit/s, the doctor says %.1f", up, rate)
	atMost(t, "the measured upload in Mbit/s", rate, up)
	atMost(t, "what was not found of it", up-rate, up/3)
	target(t, "what was not found of it", up-rate, up/10)
}

// TestRouterOpensPort has an owner behind a router that opens ports by UPnP and NAT-PMP, and a viewer behind a NAT through which no
// hole can be punched: with the link that the owner prints it connects directly, although nobody relays.
func TestRouterOpensPort(t *testing.T) {
	t.Parallel()
	s := small(t)
	home := s.net.Box("home", s.plan.member, netlab.Symmetric)
	opened := home.MapPorts()
	s.add(0, home)
	s.add(1, s.net.Box("away", s.plan.member, netlab.Symmetric))
	a, b := s.sites[0], s.sites[1]
	a.Overlay = append(a.Overlay, "channels: [{name: '**', access: open}]")
	s.film()
	outside := fmt.Sprintf("via=/ip4/%v/tcp/", home.Addr)
	var link string
	lab.Eventually(t, lab.Patience, "the link has an address of the router", func() bool {
		s.on(a, func(a *site) {
			link = strings.TrimSpace(string(lab.Run(t, lab.Patience, lab.Binary(t), "share", "cam", a.File())))
		})
		return strings.Contains(link, outside)
	})
	t.Logf("the link is %s; the router: %s", link, opened())
	b.Overlay = append(b.Overlay, fmt.Sprintf("links: [{link: '%s', petname: %s}]", link, owner))
	s.watches(b)
	s.wait(settle)
	f := s.measure(*window, s.members(), nil)
	f.watched(t)
	s.sound()
}
