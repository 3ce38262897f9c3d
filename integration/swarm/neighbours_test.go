//go:build integration

package swarm

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"peergate/integration/lab"
	"peergate/integration/netlab"
)

// TestNeighbours has two gateways of one LAN find each other: neither lists the other, and the link names no address. A third,
// which has the link too, is elsewhere and finds nobody.
func TestNeighbours(t *testing.T) {
	l := link(20, 20, natDelay, 0)
	s := &stage{t: t, plan: plan{rate: rate, congestion: "bbr", owner: l, member: l}, net: netlab.New(t)}
	home := s.net.Box("home", l, netlab.Symmetric)
	s.add(0, home)
	s.add(1, home)
	s.add(2, nil)
	a, b, c := s.sites[0], s.sites[1], s.sites[2]
	for _, g := range s.sites {
		g.inLAN()
	}
	a.Overlay = append(a.Overlay, "channels: [{name: '**', access: open}]")
	a.More = "streams: {demo: {source: \"demo:\", on_demand: false}}\n"
	key := a.ID
	for _, g := range []*site{b, c} {
		g.Overlay = append(g.Overlay, fmt.Sprintf("links: [{link: 'peergate://%s/demo', petname: studio}]", key))
	}
	s.each(func(a *site) { a.Start() })
	s.on(b, func(b *site) {
		began := time.Now()
		b.WaitStream("studio/demo")
		t.Logf("found %v after the start", time.Since(began).Round(time.Millisecond))
		p := lab.Play(t, fmt.Sprintf("rtsp://127.0.0.1:%d/studio/demo", b.Port), lab.TCP)
		p.Plays(2 * time.Second)
	})
	s.on(c, func(c *site) {
		conn := lab.Dial(t, fmt.Sprintf("127.0.0.1:%d", c.Port))
		defer conn.Close()
		r, err := conn.Do("DESCRIBE", fmt.Sprintf("rtsp://127.0.0.1:%d/studio/demo", c.Port), nil, "")
		if err != nil || r.Status == 200 {
			t.Errorf("DESCRIBE elsewhere = %d, %v, want no stream", r.Status, err)
		}
	})
}

// inLAN has a gateway look for others in its LAN, as gateways do that are not told otherwise.
func (a *site) inLAN() {
	a.Host = "0.0.0.0"
	a.Overlay = append(slices.DeleteFunc(a.Overlay, func(l string) bool { return l == "mdns: false" }), "mdns: true")
}
