//go:build integration

package netlab

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestLineSpacesPackets(t *testing.T) {
	l := newLine(Way{Rate: 8 * Mbit, Delay: 20 * time.Millisecond, Queue: 5 * time.Millisecond}, 1)
	for i := range 6 { // 1000 bytes take 1 ms
		at, ok := l.send(time.Second, 1000)
		if want := time.Second + time.Duration(i+1)*time.Millisecond + 20*time.Millisecond; !ok || at != want {
			t.Errorf("packet %d arrives at %v, %v, want %v", i, at, ok, want)
		}
	}
	if at, ok := l.send(time.Second, 1000); ok {
		t.Errorf("a packet arrives at %v that would have waited for 6 ms of 5", at)
	}
	if at, ok := l.send(2*time.Second, 1000); !ok || at != 2*time.Second+21*time.Millisecond {
		t.Errorf("a packet on the idle line arrives at %v, %v", at, ok)
	}
	if want := (Traffic{Packets: 7, Bytes: 7000, Dropped: 1}); l.traffic != want {
		t.Errorf("traffic = %+v, want %+v", l.traffic, want)
	}
}

func TestLineKeepsOrder(t *testing.T) {
	l := newLine(Way{Delay: 10 * time.Millisecond, Jitter: 30 * time.Millisecond}, 2)
	var last, most time.Duration
	for i := range 1000 {
		now := time.Duration(i) * time.Millisecond
		at, ok := l.send(now, 100)
		if !ok || at < last || at < now+10*time.Millisecond || at > now+40*time.Millisecond {
			t.Fatalf("packet %d arrives at %v after one at %v", i, at, last)
		}
		last, most = at, max(most, at-now)
	}
	if most < 35*time.Millisecond {
		t.Errorf("longest delay is %v, want nearly 40 ms", most)
	}
}

func TestLineLoses(t *testing.T) {
	l := newLine(Way{Loss: 0.05}, 3)
	for range 100000 {
		l.send(0, 100)
	}
	if n := l.traffic.Lost; n < 4700 || n > 5300 { // four standard deviations
		t.Errorf("lost %d of 100000, want about 5000", n)
	}
}

func TestFlightIsInOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var f flight
	for i := range 5000 {
		f.push(packet{at: time.Duration(r.IntN(100)), order: uint64(i)})
		if r.IntN(3) == 0 {
			f.pop()
		}
	}
	last := f.pop()
	for len(f) > 0 {
		p := f.pop()
		if p.before(&last) {
			t.Fatalf("%v/%d comes after %v/%d", p.at, p.order, last.at, last.order)
		}
		last = p
	}
}
