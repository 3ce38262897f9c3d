package rtsp

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"peergate/conf"
	"peergate/media"
)

// runSources runs s until the returned function is called, which waits for its end.
func runSources(t *testing.T, s *Sources) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	}
}

var videoTrack = media.Track{Kind: "video", Lines: []string{"m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000"}}

// script is a source whose dials go as written.
type script struct {
	attempt func(n int, ctx context.Context, begin begin) error

	mu    sync.Mutex // guards the field below
	times []time.Time
}

func (s *script) feed(ctx context.Context, begin begin) error {
	s.mu.Lock()
	s.times = append(s.times, time.Now())
	n := len(s.times)
	s.mu.Unlock()
	return s.attempt(n, ctx, begin)
}

// dials returns when the source was dialled.
func (s *script) dials() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.times
}

// play publishes and sends a packet each 100 ms for d, and fails then.
func play(ctx context.Context, begin begin, d time.Duration) error {
	pub, err := begin([]media.Track{videoTrack})
	if err != nil {
		return err
	}
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	end := time.After(d)
	for seq := uint16(0); ; seq++ {
		b := binary.BigEndian.AppendUint16([]byte{0x80, 96}, seq)
		b = binary.BigEndian.AppendUint64(b, 7)
		_ = pub.WriteRTP(0, append(b, 0x65), time.Now())
		select {
		case <-t.C:
		case <-end:
			return errors.New("camera lost")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// scripted runs a hub with one source.
func scripted(t *testing.T, set conf.Stream, s *script) (hub *media.Hub, stop func()) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	hub = media.NewHub(log)
	in := &input{origin: media.Origin{Kind: "rtsp", Remote: "rtsp://cam", Linger: set.Grace}, feed: s.feed}
	p := newPull("cam", []*input{in}, set, hub, log)
	src := &Sources{pulls: map[media.Name]*pull{"cam": p}}
	hub.Use(src)
	return hub, runSources(t, src)
}

func TestOnDemandSourceStopsWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{attempt: func(_ int, ctx context.Context, b begin) error { return play(ctx, b, time.Hour) }}
		hub, stop := scripted(t, conf.Stream{OnDemand: true, IdleAfter: 10 * time.Second, Grace: time.Minute}, s)
		defer stop()
		time.Sleep(time.Minute)
		if len(s.dials()) != 0 {
			t.Fatal("dialled before anybody asked")
		}
		for n := 1; n <= 2; n++ {
			st, err := hub.Open(t.Context(), "cam")
			if err != nil {
				t.Fatal(err)
			}
			sub := st.Subscribe(media.SubscribeOptions{})
			if _, err := sub.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			sub.Close()
			time.Sleep(9 * time.Second)
			if hub.Stream("cam") == nil {
				t.Error("stopped before its time")
			}
			time.Sleep(2 * time.Second)
			if hub.Stream("cam") != nil {
				t.Error("goes on without subscribers")
			}
			if len(s.dials()) != n {
				t.Errorf("dialled %d times, want %d", len(s.dials()), n)
			}
		}
	})
}

func TestPlayersStayOverARedial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{attempt: func(n int, ctx context.Context, b begin) error {
			if n == 2 || n == 3 {
				return errors.New("no route")
			}
			return play(ctx, b, 5*time.Second)
		}}
		hub, stop := scripted(t, conf.Stream{OnDemand: true, IdleAfter: 10 * time.Second, Grace: time.Minute}, s)
		st, err := hub.Open(t.Context(), "cam")
		if err != nil {
			t.Fatal(err)
		}
		sub := st.Subscribe(media.SubscribeOptions{})
		time.Sleep(12 * time.Second)
		if len(s.dials()) != 4 {
			t.Fatalf("dialled %d times in 12 s, want 4", len(s.dials()))
		}
		if hub.Stream("cam") != st {
			t.Error("the stream is another one")
		}
		stop()
		n := 0
		for {
			pkts, err := sub.Next(t.Context())
			if err == io.EOF {
				break
			}
			for i := range pkts {
				if !pkts[i].Report {
					n++
				}
			}
		}
		if n < 80 {
			t.Errorf("%d packets of two sessions, want 80 or more", n)
		}
	})
}

func TestOnDemandSourceGivesUpWhenNobodyCanWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{attempt: func(n int, ctx context.Context, b begin) error {
			if n > 1 {
				return errors.New("no route")
			}
			return play(ctx, b, time.Second)
		}}
		hub, stop := scripted(t, conf.Stream{OnDemand: true, IdleAfter: time.Hour, Grace: 20 * time.Second}, s)
		defer stop()
		st, err := hub.Open(t.Context(), "cam")
		if err != nil {
			t.Fatal(err)
		}
		sub := st.Subscribe(media.SubscribeOptions{})
		defer sub.Close()
		time.Sleep(30 * time.Second)
		dials := len(s.dials())
		if dials < 4 {
			t.Errorf("dialled %d times in 20 s, want 4 or more", dials)
		}
		time.Sleep(time.Hour)
		if len(s.dials()) != dials {
			t.Errorf("goes on dialling after the players have gone")
		}
		if _, err := hub.Open(t.Context(), "cam"); err == nil || !strings.Contains(err.Error(), "no route") {
			t.Errorf("Open = %v, want the reason", err)
		}
	})
}

func TestFailureIsTheReasonForThePlayer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{attempt: func(int, context.Context, begin) error { return errors.New("answered 404 Not Found") }}
		hub, stop := scripted(t, conf.Stream{OnDemand: true}, s)
		for range 10 {
			_, err := hub.Open(t.Context(), "cam")
			if err == nil || errors.Is(err, media.ErrNotFound) || !strings.Contains(err.Error(), "404 Not Found") {
				t.Fatalf("Open = %v, want the camera's answer", err)
			}
		}
		if len(s.dials()) != 1 {
			t.Errorf("dialled %d times for ten players at once, want 1", len(s.dials()))
		}
		time.Sleep(2 * sameAnswer)
		if _, err := hub.Open(t.Context(), "cam"); err == nil || len(s.dials()) != 2 {
			t.Errorf("Open = %v after %d dials, want an error after 2", err, len(s.dials()))
		}
		if _, err := hub.Open(t.Context(), "other"); !errors.Is(err, media.ErrNotFound) {
			t.Errorf("Open of an unknown name = %v, want ErrNotFound", err)
		}
		stop()
		if _, err := hub.Open(t.Context(), "cam"); err == nil {
			t.Error("Open after the end succeeded")
		}
	})
}

func TestOpenGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{attempt: func(_ int, ctx context.Context, _ begin) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		hub, stop := scripted(t, conf.Stream{OnDemand: true}, s)
		defer stop()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := hub.Open(ctx, "cam"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open = %v, want the deadline", err)
		}
	})
}

func TestAlwaysSourceRedialsEverSlower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{attempt: func(int, context.Context, begin) error { return errors.New("no route") }}
		hub, stop := scripted(t, conf.Stream{}, s)
		defer stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		dials := s.dials()
		for i := 1; i < len(dials); i++ {
			got, most := dials[i].Sub(dials[i-1]), backoff(i-1, 0)
			if got > most || got < most/2 {
				t.Errorf("redial %d came after %v, want %v to %v", i, got, most/2, most)
			}
		}
		if n := len(dials); n < 8 || n > 16 {
			t.Errorf("dialled %d times in a minute, want about 10", n)
		}
		if _, err := hub.Open(t.Context(), "cam"); err == nil || !strings.Contains(err.Error(), "no route") {
			t.Errorf("Open = %v, want the reason of the last failure", err)
		}
	})
}

func TestRefusedPasswordIsNotTriedOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{attempt: func(int, context.Context, begin) error { return errRefused }}
		_, stop := scripted(t, conf.Stream{}, s)
		defer stop()
		time.Sleep(12 * time.Minute)
		synctest.Wait()
		if n := len(s.dials()); n != 3 {
			t.Errorf("dialled %d times in 12 min, want 3", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &script{attempt: func(int, context.Context, begin) error { return errRefused }}
		hub, stop := scripted(t, conf.Stream{OnDemand: true}, s)
		defer stop()
		for range 12 {
			if _, err := hub.Open(t.Context(), "cam"); !errors.Is(err, errRefused) {
				t.Errorf("Open = %v, want that the password was refused", err)
			}
			time.Sleep(time.Minute)
		}
		if n := len(s.dials()); n != 3 {
			t.Errorf("dialled %d times for a player each minute, want 3 in 12 min", n)
		}
	})
}

func TestSourceYieldsToAPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{attempt: func(_ int, ctx context.Context, b begin) error { return play(ctx, b, time.Hour) }}
		hub, stop := scripted(t, conf.Stream{Grace: time.Minute}, s)
		defer stop()
		time.Sleep(time.Second)
		pub, err := hub.Publish("cam", []media.Track{videoTrack}, media.Origin{Kind: "publish", Linger: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if len(s.dials()) != 1 {
			t.Errorf("dialled %d times while somebody else publishes, want 1", len(s.dials()))
		}
		pub.Close()
		time.Sleep(3 * time.Second)
		if len(s.dials()) != 2 || !hub.Stream("cam").Stats().Publishing {
			t.Errorf("dialled %d times after the publisher left, want 2", len(s.dials()))
		}
	})
}

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		failures int
		r        float64
		want     time.Duration
	}{
		{0, 0, 500 * time.Millisecond},
		{0, 1, 250 * time.Millisecond},
		{1, 0, time.Second},
		{2, 0.5, 1500 * time.Millisecond},
		{4, 0, 8 * time.Second},
		{5, 0, 10 * time.Second},
		{1000, 0, 10 * time.Second},
		{1000, 1, 5 * time.Second},
	} {
		if got := backoff(c.failures, c.r); got != c.want {
			t.Errorf("backoff(%d, %v) = %v, want %v", c.failures, c.r, got, c.want)
		}
	}
}

// TestReconfigureSources keeps what did not change, ends what went, and begins what came.
func TestReconfigureSources(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	hub := media.NewHub(log)
	demo := func(onDemand bool) conf.Stream {
		return conf.Stream{Source: conf.Sources{conf.SourceDemo}, OnDemand: onDemand, IdleAfter: time.Minute}
	}
	src := NewSources(map[string]conf.Stream{"a": demo(false), "b": demo(false)}, Means{Listen: ":8554"}, hub, log)
	hub.Use(src)
	stop := runSources(t, src)
	defer stop()
	open := func(name media.Name) *media.Stream {
		t.Helper()
		st, err := hub.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	a, b := open("a"), open("b")
	src.Reconfigure(map[string]conf.Stream{"a": demo(false), "c": demo(true)})
	open("c")
	select {
	case <-b.Done():
	case <-time.After(patience):
		t.Error("the source that went goes on")
	}
	if open("a") != a || isDone(a.Done()) {
		t.Error("the source that stayed began anew")
	}
	if _, err := hub.Open(t.Context(), "b"); !errors.Is(err, media.ErrNotFound) {
		t.Errorf("Open of the source that went = %v", err)
	}
}
