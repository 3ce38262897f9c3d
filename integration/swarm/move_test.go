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

// TestMove takes a laptop from one network to another while its player plays: the gateway notices, and the player goes on. Over TCP
// it must connect anew from its new address; a QUIC connection may also move along (RFC 9000, section 9).
func TestMove(t *testing.T) {
	for i, over := range []string{"tcp", "quic"} {
		t.Run(over, func(t *testing.T) { move(t, i) })
	}
}

// move has the laptop know one of the owner's addresses.
func move(t *testing.T, address int) {
	l := link(20, 20, natDelay, 0)
	s := &stage{t: t, plan: plan{rate: rate, congestion: "bbr", owner: l, member: l}, net: netlab.New(t)}
	home, office := s.net.Box("home", l, netlab.Preserving), s.net.Box("office", l, netlab.Symmetric)
	s.add(0, nil)
	s.add(1, home)
	a, b := s.sites[0], s.sites[1]
	b.Host = "0.0.0.0"
	a.KnowsAt(b.Gateway)
	b.KnowsAt(a.Gateway, a.Addresses()[address])
	s.each(func(a *site) { a.Start() })
	s.on(a, func(a *site) {
		s.camera = newCamera(t, fmt.Sprintf("rtsp://127.0.0.1:%d/cam", a.Port), rate)
		a.WaitStream("cam")
	})
	s.on(b, func(b *site) {
		b.reader = newReader(t, b.Name, fmt.Sprintf("rtsp://127.0.0.1:%d/%s/cam", b.Port, owner))
	})
	s.wait(settle)
	b.reader.longestPause()
	b.host.Move(office)
	began, next := time.Now(), s.camera.next()
	lab.Eventually(t, lab.Patience, "what is sent after the move comes to the office", func() bool {
		return slices.ContainsFunc(b.reader.when(next, s.camera.next()), func(at time.Time) bool { return !at.IsZero() })
	})
	healed := time.Since(began)
	s.wait(settle)
	pause := b.reader.longestPause()
	t.Logf("packets come to the office after %v, the player's longest pause is %v", healed.Round(time.Millisecond), pause.Round(time.Millisecond))
	target(t, "time until packets come to a gateway in another network", healed, 2*time.Second)
	target(t, "a player's longest pause", pause, 2*time.Second)
	atMost(t, "a player's longest pause", pause, longest)
	s.sound()
}
