package overlay

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"peergate/media"
	"peergate/overlay/p2p"
)

func TestFloods(t *testing.T) {
	f := floods{seen: make(map[uint64]time.Time)}
	now := time.Now()
	for i, tt := range []struct {
		id   uint64
		at   time.Duration
		want bool
	}{
		{1, 0, true},
		{2, 0, true},
		{1, time.Second, false},
		{1, floodLife, true},
		{2, floodLife, true},
	} {
		if got := f.first(tt.id, now.Add(tt.at)); got != tt.want {
			t.Errorf("%d: first(%d) = %v, want %v", i, tt.id, got, tt.want)
		}
	}
	for id := range uint64(3 * maxFloods) {
		f.first(1000+id, now)
	}
	if len(f.seen) > maxFloods {
		t.Errorf("%d questions are remembered, at most %d may be", len(f.seen), maxFloods)
	}
}

func TestQuestions(t *testing.T) {
	q := questions{asked: make(map[uint64]question)}
	to := make(chan answer, 4)
	first, second := q.add("a", to), q.add("b", to)
	q.answer(first, answer{from: "b", missing: &missing{text: "not b's to answer"}})
	q.answer(99, answer{from: "a"})
	if len(to) != 0 {
		t.Fatalf("a wrong answer is taken: %+v", <-to)
	}
	q.answer(first, answer{from: "a", missing: &missing{text: "right"}})
	q.answer(first, answer{from: "a", missing: &missing{text: "again"}})
	q.forgo("a")
	q.forgo("b")
	if a := <-to; a.missing == nil || a.missing.text != "right" {
		t.Errorf("answer = %+v", a)
	}
	if a := <-to; a.from != "b" || a.missing != nil || len(to) != 0 {
		t.Errorf("answer of a peer that is gone = %+v", a)
	}
	q.answer(second, answer{from: "b"})
	if len(q.asked) != 0 {
		t.Errorf("%d questions are left", len(q.asked))
	}
}

func TestGather(t *testing.T) {
	id, err := p2p.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	n, err := New(Options{Identity: id}, nil, discard)
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := n.describe("live", []media.Track{h264}, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	over, _, err := n.describe("live", []media.Track{h264}, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	yes := func(from p2p.ID, member bool, hops uint64) answer {
		return answer{from: from, found: &found{descriptor: d.raw, member: member, hops: hops}}
	}
	no := func(from p2p.ID, c cause) answer {
		return answer{from: from, missing: &missing{cause: c, text: string(from)}}
	}
	type timed struct {
		after time.Duration
		answer
	}
	for _, tt := range []struct {
		name    string
		answers []timed
		best    p2p.ID
		cause   cause
		takes   time.Duration
	}{
		{"nobody is asked", nil, "", causeUnreachable, 0},
		{"a member ends it", []timed{{0, yes("a", false, 1)}, {50, yes("b", true, 0)}, {900, no("c", causeUnknown)}}, "b", 0, 50},
		{"the nearest of others", []timed{{0, yes("a", false, 3)}, {100, yes("b", false, 2)}, {900, yes("c", false, 1)}}, "b", 0, 300},
		{"the owner knows best", []timed{{10, no("owner", causeUnknown)}, {900, no("c", causeAsked)}}, "", causeUnknown, 10},
		{"what tells more", []timed{{0, no("a", causeAsked)}, {10, no("b", causeRefused)}, {20, no("c", causeUnreachable)}}, "", causeRefused, 20},
		{"gone", []timed{{0, answer{from: "a"}}, {10, answer{from: "b"}}}, "", causeUnreachable, 10},
		{"nonsense", []timed{{0, answer{from: "a", found: &found{descriptor: []byte("x"), member: true}}}}, "", causeUnreachable, 0},
		{"over", []timed{{0, answer{from: "a", found: &found{descriptor: over.raw, member: true}}}}, "", causeUnreachable, 0},
		{"silence", []timed{{5000, yes("a", true, 0)}}, "", causeUnreachable, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				answers := make(chan answer, len(tt.answers))
				for _, a := range tt.answers {
					time.AfterFunc(a.after*time.Millisecond, func() { answers <- a.answer })
				}
				began := time.Now()
				r := gather(ctx, answers, len(tt.answers), "owner")
				if d := time.Since(began); d != tt.takes*time.Millisecond {
					t.Errorf("takes %v, want %v", d, tt.takes*time.Millisecond)
				}
				if tt.best == "" && (r.best != nil || r.cause != tt.cause) {
					t.Errorf("gather = %+v, want cause %d", r, tt.cause)
				}
				if tt.best != "" && (r.best == nil || r.best.from != tt.best) {
					t.Errorf("gather = %+v, want %s", r.best, tt.best)
				}
				time.Sleep(10 * time.Second) // the timers of the test
			})
		})
	}
}

// TestNobodyKnowsAWay has gateways in a ring ask each other for the channel of an owner whom none of them reaches.
func TestNobodyKnowsAWay(t *testing.T) {
	t.Parallel()
	owner := newGateway(t, "owner")
	var ring []*gateway
	for _, name := range []string{"a", "b", "c", "d"} {
		g := newGateway(t, name)
		g.knowsAt(owner)
		for _, other := range ring {
			g.knowsAt(other, other.addresses()...)
			other.knowsAt(g)
			other.node.Reconfigure(other.o)
		}
		ring = append(ring, g.start())
	}
	results := make(chan error)
	for _, g := range ring {
		go func() {
			_, err := g.open("owner/live")
			results <- err
		}()
	}
	began := time.Now()
	for range ring {
		if err := <-results; err == nil || errors.Is(err, media.ErrNotFound) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open = %v, want that nobody knows a way", err)
		}
	}
	if d := time.Since(began); d > seekWithin+2*time.Second {
		t.Errorf("answered after %v", d)
	} else {
		t.Logf("answered after %v", d)
	}
}
