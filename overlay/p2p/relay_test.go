package p2p

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// startRelay runs a host that passes connections on for everybody.
func startRelay(t *testing.T, r *Relay) (*Host, []string) {
	t.Helper()
	r.For = func(ID) bool { return true }
	h := New(Options{
		Identity: newIdentity(t), Listen: loopback[:1], UserTag: "test", Relay: r, Allow: func(ID) bool { return true },
	}, slog.New(slog.DiscardHandler))
	run(t, h)
	addrs, err := h.Addrs(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	return h, addrs
}

// startBehind runs a host that is connected to a relay and says that nobody else can reach it.
func startBehind(t *testing.T, r *Host, addrs []string) *Host {
	t.Helper()
	h := New(Options{
		Identity: newIdentity(t), Listen: loopback[:1], UserTag: "test", Reachability: ReachPrivate, Allow: func(ID) bool { return true },
		Handlers: map[Protocol]Handler{Control: func(_ context.Context, s *Stream) {
			if _, err := io.Copy(s, s); err != nil {
				s.Reset()
			}
		}},
	}, slog.New(slog.DiscardHandler))
	run(t, h)
	if err := h.Connect(deadline(t), r.ID(), addrs); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx := deadline(t); len(h.Reach().Relays) == 0; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("no place at the relay")
		}
	}
	return h
}

func TestRelay(t *testing.T) {
	r, addrs := startRelay(t, &Relay{Peers: 2})
	a, b := startBehind(t, r, addrs), startBehind(t, r, addrs)
	if err := a.Connect(deadline(t), b.ID(), nil); err != nil {
		t.Fatalf("Connect through the relay = %v", err)
	}
	text := strings.Repeat("more than libp2p lets through by itself ", 10_000)
	s, err := a.Open(deadline(t), b.ID(), Control)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(s, text) }()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(s, got); err != nil || string(got) != text {
		t.Errorf("%d bytes came back through the relay, %v", len(got), err)
	}
	if s.Way() != WayRelayed || !s.Relayed() || s.Local() || s.Transport() != "tcp" {
		t.Errorf("way %s, relayed %v, local %v, transport %s", s.Way(), s.Relayed(), s.Local(), s.Transport())
	}
	if got := r.Reach().Relayed; got < uint64(2*len(text)) {
		t.Errorf("the relay counts %d bytes, want at least %d", got, 2*len(text))
	}
}

// TestRelaySpent ends what a relay passes on when a gateway has had its share of the day.
func TestRelaySpent(t *testing.T) {
	r, addrs := startRelay(t, &Relay{Peers: 2, Bytes: 100_000})
	a, b := startBehind(t, r, addrs), startBehind(t, r, addrs)
	if err := a.Connect(deadline(t), b.ID(), nil); err != nil {
		t.Fatal(err)
	}
	s, err := a.Open(deadline(t), b.ID(), Control)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s, strings.Repeat("x", 200_000)); err == nil {
		_, err = io.ReadFull(s, make([]byte, 200_000))
		if err == nil {
			t.Error("the relay passes on more than it is to")
		}
	}
}

func TestMeter(t *testing.T) {
	m, now := newMeter(&Relay{Bytes: 100, Rate: 8000}), time.Now()
	if got := m.limit.Limit(); got != 1000 {
		t.Errorf("limit = %v bytes a second, want 1000", got)
	}
	for i, want := range []error{nil, nil, errSpent} {
		if err := m.take("a", 40, now); !errors.Is(err, want) {
			t.Errorf("take %d = %v, want %v", i, err, want)
		}
	}
	if err := m.take("b", 40, now); err != nil {
		t.Errorf("take of another gateway = %v", err)
	}
	if err := m.take("a", 40, now.Add(meterPeriod)); err != nil {
		t.Errorf("take on the next day = %v", err)
	}
}

func TestPlaces(t *testing.T) {
	now := time.Now()
	l := places{till: make(map[peer.ID]time.Time), next: make(map[peer.ID]time.Time)}
	if got := l.due([]peer.ID{"a"}, now); len(got) != 1 {
		t.Errorf("due = %v, want a", got)
	}
	if got := l.due([]peer.ID{"a"}, now); len(got) != 0 {
		t.Errorf("due = %v at once again", got)
	}
	l.hold("a", now.Add(time.Hour))
	if got := l.due([]peer.ID{"a"}, now.Add(20*time.Minute)); len(got) != 0 {
		t.Errorf("due = %v long before the end", got)
	}
	if got := l.due([]peer.ID{"a"}, now.Add(40*time.Minute)); len(got) != 1 {
		t.Errorf("due = %v, want a to be renewed", got)
	}
	l.forget("a")
	if got := l.held(); len(got) != 0 {
		t.Errorf("held = %v after the connection has gone", got)
	}
}

func TestKindOf(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("192.168.1.2"), netip.MustParseAddr("2001:db8::2")}
	see := func(at ...string) (all []observation) {
		for _, a := range at {
			all = append(all, observation{seen: netip.MustParseAddrPort(a), port: 8555})
		}
		return all
	}
	for _, tt := range []struct {
		seen []observation
		want NAT
	}{
		{nil, NATUnknown},
		{see("203.0.113.1:8555"), NATUnknown},
		{see("192.168.1.2:8555"), NATNone},
		{see("203.0.113.1:8555", "203.0.113.1:8555"), NATPreserving},
		{see("203.0.113.1:1025", "203.0.113.1:1025"), NATCone},
		{see("203.0.113.1:1025", "203.0.113.1:1026"), NATSymmetric},
	} {
		if got := kindOf(tt.seen, own); got != tt.want {
			t.Errorf("kindOf(%v) = %v, want %v", tt.seen, got, tt.want)
		}
	}
}
