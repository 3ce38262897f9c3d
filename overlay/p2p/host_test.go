package p2p

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"
)

const testTimeout = 10 * time.Second

var loopback = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}

func newIdentity(t *testing.T) Identity {
	t.Helper()
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// start runs a host that lets the given peers in and answers Control by an echo, and returns it and its addresses.
func start(t *testing.T, id Identity, listen []string, peers ...ID) (*Host, []string) {
	t.Helper()
	echo := func(_ context.Context, s *Stream) {
		if _, err := io.Copy(s, s); err != nil {
			s.Reset()
		}
	}
	h := New(Options{
		Identity: id, Listen: listen, UserTag: "test",
		Allow:    func(id ID) bool { return slices.Contains(peers, id) },
		Handlers: map[Protocol]Handler{Control: echo},
	}, slog.New(slog.DiscardHandler))
	run(t, h)
	addrs, err := h.Addrs(deadline(t))
	if err != nil {
		t.Fatalf("Addrs = %v", err)
	}
	return h, addrs
}

// run runs a host until the test ends.
func run(t *testing.T, h *Host) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := h.Run(ctx); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// roundTrip says something over a new stream and returns the stream and what came back.
func roundTrip(t *testing.T, h *Host, id ID, text string) (*Stream, string, error) {
	t.Helper()
	s, err := h.Open(deadline(t), id, Control)
	if err != nil {
		return nil, "", err
	}
	t.Cleanup(s.Reset)
	if err := s.SetReadDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s, text); err != nil {
		return s, "", err
	}
	b := make([]byte, len(text))
	_, err = io.ReadFull(s, b)
	return s, string(b), err
}

func TestStream(t *testing.T) {
	for name, want := range map[string]string{"tcp preferred": "/tcp/", "quic alone": "/quic-v1"} {
		t.Run(name, func(t *testing.T) {
			a, b := newIdentity(t), newIdentity(t)
			_, addrs := start(t, a, loopback, b.ID)
			hb, _ := start(t, b, loopback, a.ID)
			if want == "/quic-v1" {
				addrs = slices.DeleteFunc(addrs, func(s string) bool { return !strings.Contains(s, want) })
			}
			if err := hb.Connect(deadline(t), a.ID, addrs); err != nil {
				t.Fatalf("Connect = %v", err)
			}
			s, got, err := roundTrip(t, hb, a.ID, "hello")
			if err != nil || got != "hello" {
				t.Fatalf("echo = %q, %v", got, err)
			}
			if s.Peer() != a.ID || !s.Dialled() || !strings.Contains(s.Remote(), want) {
				t.Errorf("stream to %v at %s, dialled %v; want %v over %s", s.Peer(), s.Remote(), s.Dialled(), a.ID, want)
			}
			if st := hb.Stats(); st.Peers != 1 || st.In < 5 || st.Out < 5 {
				t.Errorf("Stats = %+v", st)
			}
			if known := hb.Known(a.ID); len(known) < 2 {
				t.Errorf("Known = %q, want all addresses of the peer", known)
			}
		})
	}
}

func TestUnlistedIsRefused(t *testing.T) {
	a, b := newIdentity(t), newIdentity(t)
	ha, aAddrs := start(t, a, loopback) // lists nobody
	hb, bAddrs := start(t, b, loopback, a.ID)
	for _, addr := range aAddrs {
		hb.Drop(a.ID)
		// The client of a TLS 1.3 handshake is through before it hears that it was refused.
		if err := hb.Connect(deadline(t), a.ID, []string{addr}); err != nil {
			continue
		}
		if _, got, err := roundTrip(t, hb, a.ID, "hello"); !errors.Is(err, ErrRefused) {
			t.Errorf("an unlisted gateway over %s = %q, %v, want %v", addr, got, err, ErrRefused)
		}
	}
	if err := ha.Connect(deadline(t), b.ID, bAddrs); !errors.Is(err, ErrNotListed) {
		t.Errorf("Connect to an unlisted peer = %v, want %v", err, ErrNotListed)
	}
}

func TestWrongKey(t *testing.T) {
	a, b, other := newIdentity(t), newIdentity(t), newIdentity(t)
	_, addrs := start(t, a, loopback, b.ID)
	hb, _ := start(t, b, loopback, a.ID, other.ID)
	for _, addr := range addrs {
		hb.Drop(other.ID)
		err := hb.Connect(deadline(t), other.ID, []string{addr})
		var wrong *WrongKeyError
		if !errors.As(err, &wrong) || wrong.Got != a.ID || wrong.Want != other.ID {
			t.Errorf("Connect to %s = %v, want a WrongKeyError that names %s", addr, err, a.ID)
		}
	}
}

func TestConnectAgainAtOnce(t *testing.T) {
	a, b := newIdentity(t), newIdentity(t)
	hb, _ := start(t, b, loopback, a.ID)
	nobody := "/ip4/127.0.0.1/tcp/9" // discard: nobody listens
	for range 2 {
		if err := hb.Connect(deadline(t), a.ID, []string{nobody}); err == nil || strings.Contains(err.Error(), "backoff") {
			t.Fatalf("Connect to nobody = %v, want a refused connection", err)
		}
	}
	_, addrs := start(t, a, loopback, b.ID)
	if err := hb.Connect(deadline(t), a.ID, addrs); err != nil {
		t.Errorf("Connect after failures = %v", err)
	}
}

func TestManyStreams(t *testing.T) {
	a, b := newIdentity(t), newIdentity(t)
	_, addrs := start(t, a, loopback, b.ID)
	hb, _ := start(t, b, loopback, a.ID)
	if err := hb.Connect(deadline(t), a.ID, addrs); err != nil {
		t.Fatal(err)
	}
	for i := range 300 { // libp2p allows 64
		if _, got, err := roundTrip(t, hb, a.ID, "hello"); got != "hello" {
			t.Fatalf("stream %d: %q, %v", i+1, got, err)
		}
	}
}

func TestStopped(t *testing.T) {
	h := New(Options{Identity: newIdentity(t)}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Addrs(ctx); !errors.Is(err, ErrStopped) {
		t.Errorf("Addrs = %v, want %v", err, ErrStopped)
	}
	if got := h.Known(h.ID()); got != nil {
		t.Errorf("Known = %q before Run", got)
	}
}

func TestListenError(t *testing.T) {
	a := newIdentity(t)
	_, addrs := start(t, a, loopback)
	h := New(Options{Identity: a, Listen: addrs, Allow: func(ID) bool { return false }}, slog.New(slog.DiscardHandler))
	if err := h.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "overlay.listen") {
		t.Errorf("Run on used addresses = %v, want an error about overlay.listen", err)
	}
}

func TestLanes(t *testing.T) {
	a, b := newIdentity(t), newIdentity(t)
	ha, addrs := start(t, a, loopback, b.ID)
	hb, _ := start(t, b, loopback, a.ID)
	quic := slices.DeleteFunc(slices.Clone(addrs), func(s string) bool { return !strings.Contains(s, "/quic-v1") })
	if err := hb.Connect(deadline(t), a.ID, quic); err != nil {
		t.Fatal(err)
	}
	echo := func(n int) {
		t.Helper()
		s, err := hb.OpenLane(deadline(t), a.ID, Control, n)
		if err != nil {
			t.Fatalf("OpenLane %d = %v", n, err)
		}
		defer s.Reset()
		if _, err := io.WriteString(s, "hello"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 5)
		if _, err := io.ReadFull(s, b); err != nil || string(b) != "hello" || s.Peer() != a.ID || !s.QUIC() {
			t.Errorf("lane %d: %q, %v from %v", n, b, err, s.Peer())
		}
	}
	for _, n := range []int{0, 1, 2, 1} {
		echo(n)
	}
	if got := len(ha.inner.Network().ConnsToPeer(b.ID.peer())); got != 3 {
		t.Errorf("%d connections, want one and two lanes", got)
	}
	// To the other side lanes are connections like any other: what it opens on one is served, too.
	for i, c := range ha.inner.Network().ConnsToPeer(b.ID.peer()) {
		s, err := c.NewStream(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := multistream.SelectProtoOrFail(protocol.ID(Control), s); err != nil {
			t.Errorf("a stream that comes on connection %d is refused: %v", i, err)
		}
		_ = s.Reset()
	}
	hb.lanes[laneKey{a.ID, 1}].Close()
	echo(1)
	if _, err := hb.OpenLane(deadline(t), newIdentity(t).ID, Control, 1); err == nil {
		t.Error("OpenLane to a stranger = nil error")
	}
	hb.Drop(a.ID)
	if len(hb.lanes) != 0 {
		t.Errorf("%d lanes are left", len(hb.lanes))
	}
}
