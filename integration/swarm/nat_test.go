//go:build integration

package swarm

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"peergate/integration/lab"
	"peergate/integration/netlab"
)

var matrix = flag.Bool("matrix", false, "connect gateways behind each kind of NAT with those behind each other kind")

// behind is what a gateway is behind.
type behind string

const (
	nothing   behind = "nothing"
	openBox   behind = "open"
	keepsPort behind = "port-preserving"
	symmetric behind = "symmetric"
	twoBoxes  behind = "two levels" // both port-preserving
	sameBox   behind = "the same box"
)

// pair is a gateway with a camera and one with a player, which list each other by ID and know but a third gateway's address.
type pair struct {
	owner, viewer behind
}

// way is how they must be connected in the end.
func (p pair) way() string {
	hard := 0
	for _, b := range []behind{p.owner, p.viewer} {
		switch b {
		case nothing, openBox, sameBox:
			return "direct"
		case symmetric:
			hard++
		}
	}
	if hard > 0 {
		return "relayed"
	}
	return "punched"
}

// pairs are those of every run, or each kind with each.
func pairs() []pair {
	if !*matrix {
		return []pair{{keepsPort, keepsPort}, {keepsPort, symmetric}, {symmetric, openBox}, {twoBoxes, keepsPort}}
	}
	kinds := []behind{nothing, openBox, keepsPort, symmetric, twoBoxes}
	all := []pair{{sameBox, sameBox}}
	for _, a := range kinds {
		for _, b := range kinds {
			all = append(all, pair{a, b})
		}
	}
	return all
}

// natDelay is the delay of each access link, each way.
const natDelay = 10 * time.Millisecond

// TestNAT connects pairs of gateways behind NAT with the help of a third one that relays: directly where it can be, through
// the relay where it cannot, and the player has its picture before that is settled and loses nothing when it is.
func TestNAT(t *testing.T) {
	var joined []time.Duration
	for _, p := range pairs() {
		t.Run(fmt.Sprintf("%s to %s", p.owner, p.viewer), func(t *testing.T) {
			s := newPair(t, p)
			began := time.Now()
			s.on(s.sites[1], func(a *site) {
				a.Start()
				a.reader = newReader(t, a.Name, a.URL(owner+"/cam"))
				a.reader.join = a.reader.began().Sub(began)
			})
			joined = append(joined, s.sites[1].reader.join)
			w := s.waitWay(s.sites[1], p.way())
			t.Logf("first packet after %v, %s over %s after %v", s.sites[1].reader.join.Round(time.Millisecond), w.Way, w.Transport,
				time.Since(began).Round(time.Millisecond))
			f := s.measure(*window, s.sites[1:2], nil)
			f.watched(t)
			s.sound()
			if got := s.peer(s.sites[1]).Way; got != p.way() {
				t.Errorf("in the end it is %s, want %s", got, p.way())
			}
		})
	}
	t.Logf("first packet: p50 %v, p95 %v", percentile(joined, 0.5), percentile(joined, 0.95))
	target(t, "time to the first packet, p95", percentile(joined, 0.95), 3*time.Second)
}

// newPair starts a pair of gateways and the one that relays. Sites are the owner, the viewer and the relay.
func newPair(t *testing.T, p pair) *stage {
	t.Helper()
	l := link(20, 20, natDelay, 0)
	s := &stage{t: t, plan: plan{rate: rate, congestion: "bbr", owner: l, member: l}, net: netlab.New(t)}
	var box *netlab.Box
	for i, b := range []behind{p.owner, p.viewer, nothing} {
		switch {
		case b == sameBox && box == nil:
			box = s.net.Box("box", l, netlab.Preserving)
			s.add(i, box)
		case b == sameBox:
			s.add(i, box)
		case b == nothing:
			s.add(i, nil)
		case b == twoBoxes:
			s.add(i, s.net.Box(fmt.Sprintf("outer%d", i), l, netlab.Preserving).Box(fmt.Sprintf("inner%d", i), netlab.Preserving))
		default:
			s.add(i, s.net.Box(fmt.Sprintf("box%d", i), l, netlab.NAT(b)))
		}
	}
	a, b, relay := s.sites[0], s.sites[1], s.sites[2]
	relay.Overlay = append(relay.Overlay, "relay_for: [any]")
	a.Knows(relay.Gateway)
	b.Knows(relay.Gateway)
	for _, from := range s.sites {
		for _, to := range s.sites[:2] {
			if from != to {
				from.KnowsAt(to.Gateway)
			}
		}
	}
	s.on(relay, func(a *site) { a.Start() })
	s.on(a, func(a *site) {
		a.Start()
		s.camera = newCamera(t, fmt.Sprintf("rtsp://127.0.0.1:%d/cam", a.Port), rate)
		a.WaitStream("cam")
	})
	lab.Eventually(t, lab.Patience, "the owner has found the relay", func() bool {
		st := s.overlayOf(a)
		return slices.ContainsFunc(st.Peers, func(p peerStatus) bool { return p.Connected }) && (p.reached() || len(st.Reach.Relays) > 0)
	})
	return s
}

// reached tells whether others can connect to the owner, so that it needs no relay.
func (p pair) reached() bool { return p.owner == nothing || p.owner == openBox }

// peerStatus is what a gateway tells of the owner.
type peerStatus struct {
	Name      string `json:"name"`
	Connected bool   `json:"connected"`
	Way       string `json:"way"`
	Transport string `json:"transport"`
	Err       string `json:"err"`
}

// overlayStatus is what a gateway tells of its overlay.
type overlayStatus struct {
	Peers []peerStatus `json:"peers"`
	Reach struct {
		NAT    string   `json:"nat"`
		Relays []string `json:"relays"`
	} `json:"reach"`
}

// peer returns what a gateway tells of its connection with the owner.
func (s *stage) peer(a *site) peerStatus {
	s.t.Helper()
	status := s.overlayOf(a)
	i := slices.IndexFunc(status.Peers, func(p peerStatus) bool { return p.Name == owner })
	if i < 0 {
		s.t.Fatalf("%s does not tell of the owner: %+v", a.Name, status)
	}
	return status.Peers[i]
}

// overlayOf asks a gateway for its status.
func (s *stage) overlayOf(a *site) overlayStatus {
	s.t.Helper()
	var status struct{ Overlay overlayStatus }
	socket := filepath.Join(a.Dir, "data", "gateway.sock")
	c := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	var r *http.Response
	lab.Eventually(s.t, lab.Patience, a.Name+" answers on its socket", func() bool { // it plays before it listens there
		var err error
		r, err = c.Get("http://gateway/api/v1/status")
		return err == nil
	})
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&status); err != nil {
		s.t.Fatalf("status of %s: %v", a.Name, err)
	}
	return status.Overlay
}

// waitWay waits until a gateway's connection with the owner is as it must be.
func (s *stage) waitWay(a *site, want string) peerStatus {
	s.t.Helper()
	var got peerStatus
	lab.Eventually(s.t, lab.Patience, a.Name+" is "+want, func() bool {
		got = s.peer(a)
		return got.Connected && got.Way == want
	})
	return got
}
