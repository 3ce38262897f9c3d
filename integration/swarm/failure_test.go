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

// longest is how long a player may see nothing on any machine while its gateway finds another way.
const longest = 8 * time.Second

// TestThirdKilled kills a third of the members at once. The others' players go on over their connections, ffmpeg among them.
func TestThirdKilled(t *testing.T) {
	t.Parallel()
	l := link(6*ratio, 20, hop, 0)
	s := newStage(t, plan{rate: rate, congestion: "bbr", owner: l, member: l})
	clip := lab.H264(t)
	s.on(s.sites[0], func(a *site) {
		lab.Encode(t, clip, fmt.Sprintf("rtsp://127.0.0.1:%d/film", a.Port))
		a.WaitStream("film")
	})
	s.audience(s.members())
	victims, stay := split(s.members(), 3)
	const frames = 15 * lab.FrameRate
	var watching []*lab.Watching
	for _, a := range stay[:2] {
		watching = append(watching, lab.FFmpeg("tcp").Watch(t, a.URL(owner+"/film"), frames, a.host.Prefix()...))
	}
	s.wait(settle)
	for _, a := range stay {
		a.reader.longestPause()
	}
	f := s.measure(*window, stay, func() { s.kill(victims) })
	var pauses []time.Duration
	for _, a := range stay {
		pauses = append(pauses, a.reader.longestPause())
	}
	p95 := percentile(pauses, 0.95)
	t.Logf("%d of %d members are killed: longest pauses of the others %v", len(victims), len(s.members()), pauses)
	f.watched(t)
	s.sound()
	for _, w := range watching {
		if got := w.Pictures(); len(got) < frames {
			t.Errorf("ffmpeg decoded %d pictures, want %d", len(got), frames)
		}
	}
	target(t, "a player's longest pause, p95", p95, time.Second)
	atMost(t, "a player's longest pause", slices.Max(pauses), longest)
	target(t, "late at 2 s", f.late2, 0.0005)
}

// TestThirdLeaves ends a third of the members as an operator does: they tell their children before, and nobody loses anything.
func TestThirdLeaves(t *testing.T) {
	t.Parallel()
	l := link(4*ratio, 20, hop, 0)
	s := newStage(t, plan{rate: rate, congestion: "bbr", owner: l, member: l})
	s.audience(s.members())
	leave, stay := split(s.members(), 3)
	s.wait(settle)
	for _, a := range stay {
		a.reader.longestPause()
	}
	f := s.measure(*window, stay, func() {
		s.spread(leave, 0, func(a *site) {
			a.dead = true
			a.Stop()
		})
	})
	f.watched(t)
	for _, a := range stay {
		pause := a.reader.longestPause()
		target(t, a.Name+"'s longest pause", pause, 500*time.Millisecond)
		atMost(t, a.Name+"'s longest pause", pause, longest)
	}
	s.sound()
	target(t, "late at 1 s", f.late1, 0)
}

// split takes every n-th site out.
func split(sites []*site, n int) (out, rest []*site) {
	for i, a := range sites {
		if i%n == n-1 {
			out = append(out, a)
		} else {
			rest = append(rest, a)
		}
	}
	return out, rest
}

// apart is how long a partition lasts, and together how long those who were cut off may take to be back.
const apart, together = 5 * time.Second, 4 * time.Second

// TestPartition cuts a third of the members off from the owner and the others, and heals it. Their players wait and go on; the
// others notice nothing.
func TestPartition(t *testing.T) {
	t.Parallel()
	l := link(6*ratio, 20, hop, 0)
	s := newStage(t, plan{rate: rate, congestion: "bbr", owner: l, member: l})
	s.audience(s.members())
	off, stay := split(s.members(), 3)
	var links []*netlab.Access
	for _, a := range off {
		links = append(links, a.host.Access)
	}
	s.wait(settle)
	for _, a := range s.members() {
		a.reader.longestPause()
	}
	f := s.measure(2*apart, stay, func() {
		s.net.Split(links...)
		s.wait(apart)
		s.net.Heal()
	})
	f.watched(t)
	for _, a := range s.members() {
		pause, cut := a.reader.longestPause(), slices.Contains(off, a)
		t.Logf("%s, cut off %v: longest pause %v", a.Name, cut, pause)
		if cut {
			target(t, a.Name+"'s pause", pause, apart+together)
			atMost(t, a.Name+"'s pause", pause, apart+longest)
		} else {
			target(t, a.Name+"'s pause", pause, time.Second)
			atMost(t, a.Name+"'s pause", pause, longest)
		}
	}
	target(t, "late at 2 s of those not cut off", f.late2, 0.0005)
	again := s.measure(apart, s.members(), nil)
	again.watched(t)
	target(t, "late at 1 s after it is healed", again.late1, 0.0001)
	s.sound()
}
