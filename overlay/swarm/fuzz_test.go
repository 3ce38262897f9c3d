package swarm

import (
	"slices"
	"testing"
	"time"
)

// script reads a fuzzer's bytes as choices; when they are used up, all choices are 0.
type script struct{ b []byte }

func (s *script) byte() byte {
	if len(s.b) == 0 {
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return c
}

func (s *script) n(n int) int { return int(s.byte()) % n }

func (s *script) seq(near uint64) uint64 {
	switch s.n(8) {
	case 0:
		return uint64(s.byte()) << s.n(56)
	case 1:
		return near - uint64(s.n(64))
	}
	return near + uint64(s.n(12))
}

func (s *script) id() ID { return ID([]string{"owner", "a", "b", "c", "d", "me", "x"}[s.n(7)]) }

func (s *script) member() Member {
	return Member{ID: s.id(), Addresses: []string{"/ip4/10.1.2.3/tcp/1"}[:s.n(2)], Slots: s.n(20), Spare: s.n(5), Stripes: uint64(s.byte()), Depth: s.n(4) - 1}
}

func (s *script) paths() (ps []Path) {
	for range s.n(3) {
		p := Path{Stripes: uint64(s.byte()), Rooted: s.n(3) > 0, Delay: int(s.byte())}
		for range s.n(4) {
			p.Hops = append(p.Hops, s.id().Hop())
		}
		ps = append(ps, p)
	}
	return ps
}

func (s *script) have(near uint64) Have {
	h := Have{Base: s.seq(near), Bits: make([]byte, s.n(4))}
	h.Full = int(min(uint64(s.byte()), h.Base))
	for i := range h.Bits {
		h.Bits[i] = s.byte()
	}
	return h
}

func (s *script) message(epoch, near uint64) Message {
	if s.n(10) == 0 {
		epoch = uint64(s.n(4))
	}
	mask := uint64(s.byte())
	switch s.n(12) {
	case 0:
		return Find{Self: s.member(), Want: s.n(40), Stripes: mask}
	case 1:
		return Members{Self: s.member(), Members: []Member{s.member(), s.member()}, Size: s.n(100), Givers: s.n(100)}
	case 2:
		return Attach{Epoch: epoch, Stripes: mask, Resume: s.n(2) == 0, Tries: s.n(5), Have: s.have(near), Self: s.member()}
	case 3:
		return Attached{Epoch: epoch, Stripes: mask, Head: s.seq(near), Paths: s.paths()}
	case 4:
		return Refused{Reason: Reason(s.n(8)), Stripes: mask, Retry: s.n(256), Members: []Member{s.member()}}
	case 5:
		return Detach{Stripes: mask, After: s.n(256), Members: []Member{s.member()}}
	case 6:
		return Leave{After: s.n(256)}
	case 7:
		return Want{Epoch: epoch, Seqs: []uint64{s.seq(near), s.seq(near)}}
	case 8:
		return Lack{Epoch: epoch, Seqs: []uint64{s.seq(near)}}
	case 9:
		return Ack{Epoch: epoch, Seqs: []uint64{s.seq(near)}}
	case 10:
		if s.n(2) == 0 {
			return Report{Self: s.member(), Used: s.n(20), Lacks: mask, Leaves: s.n(4) == 0}
		}
		return Plan{Every: s.n(256), Size: s.n(256), Givers: s.n(256), Stripes: mask}
	}
	return Heartbeat{
		Epoch: epoch, Ask: s.n(2) == 0, Stamp: uint64(s.byte()), Echo: uint64(s.byte()), Slots: s.n(20), Spare: s.n(5), Stripes: mask,
		Paths: s.paths(), Have: s.have(near), Wall: uint64(s.byte()) << 40, Error: uint64(s.byte()),
	}
}

func (s *script) event(epoch, near uint64, now time.Time) Event {
	switch s.n(16) {
	case 0:
		return LinkUp{Peer: s.id(), RTT: time.Duration(s.byte()) * time.Millisecond, Local: s.n(4) == 0}
	case 1:
		return LinkDown{Peer: s.id(), Ban: time.Duration(s.n(2)) * time.Minute}
	case 2:
		return Candidates{Members: []Member{s.member()}, Keep: s.n(2) == 0, Local: s.n(4) == 0}
	case 3:
		return Demand{Players: s.n(2), Relay: s.n(2) == 0}
	case 4:
		if s.n(4) == 0 {
			return Standing{Peer: s.id(), Percent: s.n(200)}
		}
		return Limit{Upload: []int{0, 300_000, 2_000_000, Unlimited}[s.n(4)]}
	case 5:
		if s.n(8) == 0 {
			return Described{Epoch: epoch + uint64(s.n(2)), Stripes: s.n(9), Rate: s.n(256) << 12, Ended: s.n(8) == 0}
		}
		return Wrote{To: s.id(), Epoch: epoch, Seq: s.seq(near), Dropped: s.n(2) == 0}
	case 6:
		return Broken{Peer: s.id(), Parent: s.n(2) == 0}
	case 7:
		if s.n(32) == 0 {
			return Go{}
		}
		return nil
	case 8, 9, 10, 11:
		return Arrived{
			From: s.id(), Epoch: epoch, Seq: s.seq(near), Size: 1 + s.n(200)*50, Key: s.n(6) == 0, Vital: s.n(4) == 0,
			Wall: now.Add(-time.Duration(s.byte()) * time.Millisecond), Repair: s.n(3) == 0,
		}
	}
	return Received{s.id(), s.message(epoch, near)}
}

// keeper checks what a member does against what it may do.
type keeper struct {
	t      *testing.T
	s      *Swarm
	epoch  uint64
	kept   map[[2]uint64]bool
	next   uint64 // least sequence number that may be released
	open   map[ID]bool
	closed bool
}

func (k *keeper) check(acts Actions, now, wake time.Time) {
	for _, a := range acts {
		if k.closed {
			k.t.Fatalf("%#v after Closed", a)
		}
		switch a := a.(type) {
		case Keep:
			if k.kept[[2]uint64{a.Epoch, a.Seq}] {
				k.t.Fatalf("%+v is kept twice", a)
			}
			k.kept[[2]uint64{a.Epoch, a.Seq}] = true
		case Forget:
			for c := range k.kept {
				if c[0] < a.Epoch || c[0] == a.Epoch && c[1] < a.Below {
					delete(k.kept, c)
				}
			}
		case Push:
			k.holds("push", a.Epoch, a.Seq)
			k.other(a.To)
		case Give:
			k.holds("give", a.Epoch, a.Seq)
			k.other(a.To)
		case Release:
			k.holds("release", a.Epoch, a.Seq)
			if a.Epoch < k.epoch || a.Epoch == k.epoch && a.Seq < k.next {
				k.t.Fatalf("%+v is out of order: epoch %d, %d is next", a, k.epoch, k.next)
			}
			k.epoch, k.next = a.Epoch, a.Seq+1
		case Skip:
			if a.Next <= a.First || a.Epoch == k.epoch && a.First < k.next {
				k.t.Fatalf("%+v, %d is next", a, k.next)
			}
			k.epoch, k.next = a.Epoch, a.Next
		case Open:
			if k.open[a.Parent] {
				k.t.Fatalf("%+v twice", a)
			}
			k.open[a.Parent] = true
		case Shut:
			if a.Parent {
				if !k.open[a.Peer] {
					k.t.Fatalf("%+v is not open", a)
				}
				delete(k.open, a.Peer)
			}
		case Send:
			k.other(a.To)
			if _, ok := a.Message.(Attach); ok && !k.open[a.To] {
				k.t.Fatalf("Attach to %s without Open", a.To)
			}
			if _, _, err := Decode(Append(nil, Channel{}, a.Message)); err != nil {
				k.t.Fatalf("sends what cannot be read: %+v: %v", a.Message, err)
			}
		case Connect:
			k.other(a.Peer)
		case Closed:
			k.closed = true
		}
	}
	if k.closed {
		if !wake.IsZero() {
			k.t.Fatalf("wakes at %v after Closed", wake)
		}
		return
	}
	if !wake.After(now) || wake.Sub(now) > longestSleep {
		k.t.Fatalf("wakes after %v, want at most %v", wake.Sub(now), longestSleep)
	}
	k.state()
}

func (k *keeper) holds(what string, epoch, seq uint64) {
	if !k.kept[[2]uint64{epoch, seq}] {
		k.t.Fatalf("%s of %d of epoch %d, which is not kept", what, seq, epoch)
	}
}

func (k *keeper) other(id ID) {
	if id == "me" || id == "" {
		k.t.Fatal("it deals with itself")
	}
}

// state checks the machine's own books.
func (k *keeper) state() {
	s := k.s
	if len(s.order) > maxPeers || len(s.peers) != len(s.order) {
		k.t.Fatalf("%d peers, %d in order, at most %d", len(s.peers), len(s.order), maxPeers)
	}
	if s.win.bytes > s.cfg.MaxBytes+2*MaxStripes*10_000 || len(s.win.chunks) > maxWindow+maxJump+lookBack {
		k.t.Fatalf("holds %d bytes in a window of %d", s.win.bytes, len(s.win.chunks))
	}
	held, bytes := 0, 0
	asked := make(map[*peer]int)
	for i := range s.win.chunks {
		c := &s.win.chunks[i]
		if c.held {
			held++
			bytes += c.size
		}
		if c.asked != nil {
			asked[c.asked]++
		}
	}
	if held != s.win.held || bytes != s.win.bytes || held != len(k.kept) {
		k.t.Fatalf("holds %d chunks, counts %d, %d are kept", held, s.win.held, len(k.kept))
	}
	used := make([]int, s.k)
	for _, p := range s.order {
		if p.outstanding != asked[p] {
			k.t.Fatalf("%s: %d outstanding, %d asked", p.id, p.outstanding, asked[p])
		}
		if len(p.flight) > maxFlight {
			k.t.Fatalf("%s: %d in flight", p.id, len(p.flight))
		}
		if p.link != linked && (p.up|p.down|p.asked) != 0 {
			k.t.Fatalf("%s has a role without a link: up %b down %b asked %b", p.id, p.up, p.down, p.asked)
		}
		if len(p.routes) != s.k {
			k.t.Fatalf("%s has %d routes, want %d", p.id, len(p.routes), s.k)
		}
		for i := range s.k {
			if p.down&(1<<i) != 0 {
				used[i]++
			}
			if up := p.up&(1<<i) != 0; up != (s.stripes[i].parent == p) {
				k.t.Fatalf("stripe %d: %s pushes it: %v", i, p.id, up)
			}
		}
	}
	if !slices.Equal(used, s.used) {
		k.t.Fatalf("children by stripe %v, counts %v", used, s.used)
	}
}

func play(t *testing.T, b []byte) {
	sc := &script{b}
	cfg := Config{
		Self: "me", Owner: "owner", Addresses: []string{"/ip4/10.0.0.1/tcp/1"}, Epoch: 1, Stripes: 1 + sc.n(8), Rate: 400_000,
		Upload: []int{0, 500_000, Unlimited}[sc.n(3)], IdleAfter: 10 * time.Second, Steady: sc.n(4) == 0, MaxBytes: 200_000, Seed: 1,
	}
	s := New(cfg)
	k := &keeper{t: t, s: s, kept: make(map[[2]uint64]bool), open: make(map[ID]bool)}
	now := time.Unix(1_700_000_000, 0)
	near := uint64(100)
	var acts Actions
	var wake time.Time
	for len(sc.b) > 0 && !k.closed {
		ev := sc.event(s.epoch, near, now)
		if a, ok := ev.(Arrived); ok && a.Seq == near {
			near++
		}
		if a, ok := ev.(Arrived); ok && a.From == "me" {
			continue
		}
		before := s.total()
		acts = acts[:0]
		wake = s.Handle(ev, now, &acts)
		k.forgetOpen(ev)
		k.check(acts, now, wake)
		if n := s.total(); n > before && n > s.slots() && len(sent[Attached](acts)) > 0 {
			t.Fatalf("%d slots are filled of %d", n, s.slots())
		}
		if sc.n(3) == 0 {
			now = now.Add(time.Duration(sc.byte()) * time.Millisecond)
			for !k.closed && !wake.After(now) {
				at := wake
				acts = acts[:0]
				wake = s.Handle(nil, at, &acts)
				k.check(acts, at, wake)
			}
		}
	}
}

// forgetOpen notes that the world has ended push streams.
func (k *keeper) forgetOpen(ev Event) {
	for id := range k.open {
		if p := k.s.peers[id]; p == nil || !p.open {
			if d, ok := ev.(LinkDown); ok && d.Peer == id {
				delete(k.open, id)
			}
			if b, ok := ev.(Broken); ok && b.Peer == id && b.Parent {
				delete(k.open, id)
			}
		}
	}
}

// Whatever happens to a member, its books stay right: see keeper.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("\x01\x02\x00\x00\x00\x0c\x00\x01\x02\x03"))
	seed := make([]byte, 4000)
	x := uint32(1)
	for n := range 6 {
		for i := range seed {
			x = x*1664525 + 1013904223
			seed[i] = byte(x >> 24)
		}
		f.Add(append([]byte(nil), seed[:500*(n+2)]...))
	}
	f.Fuzz(play)
}
