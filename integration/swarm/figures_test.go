//go:build integration

package swarm

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"peergate/integration/netlab"
)

// settle is how long packets of a window may still come in when it is over.
const settle = 2500 * time.Millisecond

// tcpHeader are the bytes of a packet's headers: 20 of IPv4, 32 of TCP with timestamps.
const tcpHeader = 52

// figures are what a swarm is measured by, over the packets sent in a window of time.
type figures struct {
	readers  int
	packets  int     // that readers should have got
	payload  float64 // bit/s of RTP, headers included
	egress   float64 // owner's bytes over the payload, without the headers of IP and TCP, which the simulator has not either
	wire     float64 // the same with them
	intake   float64 // a member's mean bytes from the wire, over the payload: headers, control and duplicates
	p50, p99 time.Duration
	late1    float64 // share of packets that came more than 1 s after they were sent, or never
	late2    float64 // the same for 2 s
	lost     float64 // never
	dropped  int     // packets for which a site's queue towards the core was full
	busiest  string  // site that sent most, and how much over the payload
	busy     bool    // the machine could not even run the camera: they tell more of it than of the swarm
	cpu      float64 // of all gateways, in ms a Mbit that members got
}

// String is one line for the log of a test.
func (f *figures) String() string {
	return fmt.Sprintf("%d players, %.2f Mbit/s: egress %.2f (wire %.2f), intake %.3f of the payload; delay p50 %v p99 %v; "+
		"late at 1 s %.3f %%, at 2 s %.3f %%, never %.3f %% of %d; queues dropped %d; busiest %s; CPU %.1f ms/Mbit",
		f.readers, f.payload/1e6, f.egress, f.wire, f.intake, f.p50.Round(time.Millisecond), f.p99.Round(time.Millisecond),
		100*f.late1, 100*f.late2, 100*f.lost, f.packets, f.dropped, f.busiest, f.cpu)
}

// mark is a moment of a stage, between which and another one figures are taken.
type mark struct {
	at             time.Time
	packet         int
	owner, members int64 // bytes sent, bytes received
	headers        int64 // bytes of the headers in those of the owner
	sent           []netlab.Traffic
	cpu            time.Duration
}

func (s *stage) mark() mark {
	s.t.Helper()
	m := mark{at: time.Now(), packet: s.camera.next()}
	sent := s.sites[0].host.Access.Sent()
	m.owner, m.headers = sent.Bytes, sent.Packets*tcpHeader
	for _, a := range s.sites {
		m.sent = append(m.sent, a.host.Access.Sent())
	}
	for i, a := range s.members() {
		if a.host.Access != s.sites[i].host.Access { // else it has been counted: they are neighbours in one LAN
			m.members += a.host.Access.Received().Bytes
		}
	}
	for _, a := range s.alive() {
		m.cpu += a.Process().CPUTime(s.t)
	}
	return m
}

// calm is the longest time that the camera may pause for want of a processor in a window whose figures count.
const calm = 150 * time.Millisecond

// standstill is how long a camera's pause at any time before tells that the machine stood still: gateways give others up then,
// and are at it for a while.
const standstill = 2 * time.Second

// measure lets the swarm go on for a while and returns the figures of that time for the players at these sites. What happens
// meanwhile may be done by f; otherwise the time begins anew, twice at most, when the machine could not even run the camera.
func (s *stage) measure(d time.Duration, sites []*site, f func()) figures {
	s.t.Helper()
	for again := 2; ; again-- {
		from := s.mark()
		if f != nil {
			f()
		}
		s.wait(d - time.Since(from.at))
		to := s.mark()
		slip := s.camera.slip(from.packet)
		if slip > calm {
			s.t.Logf("the machine is too busy: its camera paused for %v", slip)
		}
		if slip <= calm || f != nil || again == 0 {
			s.wait(settle)
			f := s.figures(from, to, sites)
			f.busy = slip > calm || s.camera.slip(0) > standstill
			return f
		}
	}
}

func (s *stage) figures(from, to mark, sites []*site) figures {
	s.t.Helper()
	n := to.packet - from.packet
	bytes := float64(s.bytes(from.packet, to.packet))
	took := to.at.Sub(from.at).Seconds()
	f := figures{
		readers: len(sites), packets: n * len(sites), payload: 8 * bytes / took,
		egress: float64(to.owner-from.owner-(to.headers-from.headers)) / bytes,
		wire:   float64(to.owner-from.owner) / bytes,
		intake: float64(to.members-from.members) / float64(len(s.members())) / bytes,
		cpu:    (to.cpu - from.cpu).Seconds() * 1000 / (8 * bytes / 1e6 * float64(len(s.members()))),
	}
	var most float64
	for i, a := range s.sites {
		f.dropped += int(to.sent[i].Dropped - from.sent[i].Dropped)
		if given := float64(to.sent[i].Bytes-from.sent[i].Bytes) / bytes; given > most {
			most, f.busiest = given, fmt.Sprintf("%s %.2f", a.Name, given)
		}
	}
	var all tally
	for _, a := range sites {
		one := s.tally(a, from.packet, to.packet)
		if one.late1 > 0 {
			s.t.Logf("%s: %d packets late at 1 s, %d at 2 s, %d never, sent between %.1f and %.1f s of the window", a.Name,
				one.late1, one.late2, one.lost, one.first.Sub(from.at).Seconds(), one.last.Sub(from.at).Seconds())
		}
		all.late1, all.late2, all.lost = all.late1+one.late1, all.late2+one.late2, all.lost+one.lost
		all.delays = append(all.delays, one.delays...)
	}
	f.late1, f.late2, f.lost = share(all.late1, f.packets), share(all.late2, f.packets), share(all.lost, f.packets)
	f.p50, f.p99 = percentile(all.delays, 0.5), percentile(all.delays, 0.99)
	return f
}

// tally counts what players got of the packets of a window.
type tally struct {
	delays             []time.Duration
	late1, late2, lost int
	first, last        time.Time // when the first and the last of the late ones were sent
}

func (s *stage) tally(a *site, from, to int) tally {
	var t tally
	for i, at := range a.reader.when(from, to) {
		sent := s.camera.at(from + i)
		d := at.Sub(sent)
		switch {
		case at.IsZero():
			t.lost++
			t.late1, t.late2 = t.late1+1, t.late2+1
		case d > 2*time.Second:
			t.late1, t.late2 = t.late1+1, t.late2+1
		case d > time.Second:
			t.late1++
		}
		if !at.IsZero() {
			t.delays = append(t.delays, d)
		}
		if at.IsZero() || d > time.Second {
			if t.last = sent; t.first.IsZero() {
				t.first = sent
			}
		}
	}
	return t
}

// bytes returns the RTP bytes of packets from one number up to another, which the owner's side of the camera knows.
func (s *stage) bytes(from, to int) int {
	return s.camera.bytes(to) - s.camera.bytes(from)
}

func share(part, whole int) float64 { return float64(part) / float64(max(whole, 1)) }

// percentile sorts the durations and returns the one below which a share p of them is.
func percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[int(p*float64(len(all)-1))]
}

// joins returns the median and the 95th percentile of what players waited for their first packet.
func joins(sites []*site) (p50, p95 time.Duration) {
	var all []time.Duration
	for _, a := range sites {
		all = append(all, a.reader.join)
	}
	return percentile(all, 0.5), percentile(all, 0.95)
}

// target tells of a figure that is above its target, and fails the test when the targets are asked for.
func target[T float64 | time.Duration](t *testing.T, what string, got, most T) {
	t.Helper()
	if got > most && *targets {
		t.Errorf("%s is %v, the target is %v", what, got, most)
	} else if got > most {
		t.Logf("%s is %v, the target is %v", what, got, most)
	}
}

// unseen is the share of packets that may never come to players on a machine that could run the camera in time: beyond it a
// swarm does not work.
const unseen = 0.05

// watched tells the figures and fails the test when players saw too little to speak of watching.
func (f *figures) watched(t *testing.T) {
	t.Helper()
	t.Log(f)
	if !f.busy {
		atMost(t, "share of packets that never came", f.lost, unseen)
	}
}

// atMost fails the test when a figure is above what holds on any machine.
func atMost[T float64 | time.Duration](t *testing.T, what string, got, most T) {
	t.Helper()
	if got > most {
		t.Errorf("%s is %v, want at most %v", what, got, most)
	}
}
