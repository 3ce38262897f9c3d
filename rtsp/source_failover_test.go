package rtsp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"peergate/conf"
	"peergate/media"
)

// stand is a hub with a stream of several inputs, each of which can be switched off.
type stand struct {
	hub *media.Hub

	mu     sync.Mutex
	off    map[string]chan struct{} // closed when it is off
	tracks map[string][]media.Track // videoTrack unless set
	tried  map[string]int
}

func newStand(t *testing.T, set conf.Stream, slate bool, names ...string) (*stand, func()) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s := &stand{hub: media.NewHub(log), off: make(map[string]chan struct{}), tracks: make(map[string][]media.Track), tried: make(map[string]int)}
	var inputs []*input
	for i, name := range names {
		s.off[name] = make(chan struct{})
		in := &input{origin: media.Origin{Kind: "rtsp", Remote: name, Linger: set.Grace, Spare: i > 0}}
		in.feed = func(ctx context.Context, b begin) error { return s.feed(ctx, name, b) }
		in.slate = slate && i == len(names)-1
		inputs = append(inputs, in)
	}
	src := &Sources{pulls: map[media.Name]*pull{"cam": newPull("cam", inputs, set, s.hub, log)}}
	s.hub.Use(src)
	return s, runSources(t, src)
}

// feed plays pictures, each one a key frame, and silence on all other tracks.
func (s *stand) feed(ctx context.Context, name string, b begin) error {
	s.mu.Lock()
	off, tracks := s.off[name], s.tracks[name]
	s.tried[name]++
	s.mu.Unlock()
	if tracks == nil {
		tracks = []media.Track{videoTrack}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	select {
	case <-off:
		return errors.New("is off")
	default:
	}
	go func() {
		select {
		case <-off:
			cancel(errors.New("lost"))
		case <-ctx.Done():
		}
	}()
	err := play(ctx, func(t []media.Track) (*media.Publisher, error) { return b(tracks) }, 24*time.Hour)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (s *stand) turnOff(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.off[name])
}

func (s *stand) turnOn(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off[name] = make(chan struct{})
}

// have gives an input other tracks.
func (s *stand) have(name string, tracks ...media.Track) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tracks[name] = tracks
}

// plays tells what the stream comes from now, after some time.
func (s *stand) plays(after time.Duration) string {
	time.Sleep(after)
	synctest.Wait()
	st := s.hub.Stream("cam")
	if st == nil || !st.Stats().Publishing {
		return ""
	}
	return st.Origin().Remote
}

// watch counts the packets of each second; the test fails when numbers or timestamps go back.
func (s *stand) watch(t *testing.T) (st *media.Stream, stop func() (packets int)) {
	t.Helper()
	st, err := s.hub.Open(t.Context(), "cam")
	if err != nil {
		t.Fatal(err)
	}
	sub := st.Subscribe(media.SubscribeOptions{})
	n, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		last, lastTime := -1, uint32(0)
		for {
			pkts, err := sub.Next(context.Background())
			if err != nil {
				return
			}
			for i := range pkts {
				p := &pkts[i]
				if p.Report || p.Track != 0 {
					continue
				}
				n++
				seq, ts := int(p.Sequence()), p.Timestamp()
				if last >= 0 && (uint16(seq-last) == 0 || uint16(seq-last) > 2 || int32(ts-lastTime) < 0) {
					t.Errorf("packet %d with time %d follows %d with %d", seq, ts, last, lastTime)
				}
				last, lastTime = seq, ts
			}
		}
	}()
	return st, func() int {
		sub.Close()
		<-done
		return n
	}
}

// TestNextSourceTakesOver switches three sources off and on: the stream goes on with the next one at once, and returns to
// the first when it is back. Players stay.
func TestNextSourceTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := newStand(t, conf.Stream{OnDemand: true, IdleAfter: 10 * time.Second, Grace: time.Minute, ReturnAfter: 30 * time.Second}, false, "a", "b", "c")
		defer stop()
		st, stopWatching := s.watch(t)
		var got []string
		got = append(got, s.plays(10*time.Second)) // a
		s.turnOff("a")
		got = append(got, s.plays(time.Second)) // b
		s.turnOff("b")
		got = append(got, s.plays(10*time.Second)) // c, since a and b are off
		s.turnOn("b")
		got = append(got, s.plays(40*time.Second)) // b
		s.turnOn("a")
		got = append(got, s.plays(10*time.Second)) // b, for a is tried later
		got = append(got, s.plays(40*time.Second)) // a
		if want := []string{"a", "b", "c", "b", "b", "a"}; !slices.Equal(got, want) {
			t.Errorf("plays %v, want %v", got, want)
		}
		if s.hub.Stream("cam") != st {
			t.Error("the stream is another one")
		}
		if n := stopWatching(); n < 1050 { // ten in each of 111 s
			t.Errorf("the player has had %d packets, want 1050", n)
		}
		if p := s.plays(20 * time.Second); p != "" {
			t.Errorf("%s plays on though nobody watches", p)
		}
	})
}

// TestAllSourcesAreDialledAgain switches all off: players wait, and go on when any is back.
func TestAllSourcesAreDialledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := newStand(t, conf.Stream{Grace: time.Minute, ReturnAfter: 30 * time.Second}, false, "a", "b")
		defer stop()
		st, stopWatching := s.watch(t)
		s.plays(5 * time.Second)
		s.turnOff("a")
		s.turnOff("b")
		if p := s.plays(30 * time.Second); p != "" {
			t.Errorf("%s plays, want nothing", p)
		}
		if _, err := s.hub.Open(t.Context(), "cam"); err != nil {
			t.Errorf("Open while players wait = %v", err)
		}
		s.turnOn("b")
		if p := s.plays(10 * time.Second); p != "b" || s.hub.Stream("cam") != st {
			t.Errorf("%q plays, want b in the same stream", p)
		}
		stopWatching()
	})
}

// TestSlate shows the fallback while all sources are gone, from the beginning too, and returns to a source soon.
func TestSlate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := newStand(t, conf.Stream{Grace: time.Minute, ReturnAfter: 30 * time.Second}, true, "a", "b", "slate")
		defer stop()
		s.turnOff("a")
		s.turnOff("b")
		var got []string
		got = append(got, s.plays(time.Second)) // slate
		st, stopWatching := s.watch(t)
		s.turnOn("b")
		got = append(got, s.plays(15*time.Second)) // b
		s.turnOn("a")
		got = append(got, s.plays(40*time.Second)) // a
		s.turnOff("b")
		s.turnOff("a")
		got = append(got, s.plays(time.Second)) // slate
		if want := []string{"slate", "b", "a", "slate"}; !slices.Equal(got, want) {
			t.Errorf("plays %v, want %v", got, want)
		}
		if s.hub.Stream("cam") != st {
			t.Error("the stream is another one")
		}
		stopWatching()
	})
}

// TestPlayersAreNotDroppedForTheFirstSource has a first source whose tracks differ: while somebody watches the second one,
// the stream stays with it. A slate that differs is not shown.
func TestPlayersAreNotDroppedForTheFirstSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := newStand(t, conf.Stream{Grace: time.Minute, ReturnAfter: 30 * time.Second}, true, "a", "b", "slate")
		defer stop()
		sound := media.Track{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 0"}}
		s.turnOff("a")
		s.have("a", videoTrack, sound)
		s.have("slate", sound)
		if p := s.plays(time.Second); p != "b" {
			t.Fatalf("%q plays, want b", p)
		}
		st, stopWatching := s.watch(t)
		s.turnOn("a")
		if p := s.plays(2 * time.Minute); p != "b" {
			t.Errorf("%q plays, want b as long as somebody watches", p)
		}
		s.turnOff("a")
		s.turnOff("b")
		if p := s.plays(10 * time.Second); p != "" || s.hub.Stream("cam") != st {
			t.Errorf("%q plays, want nothing", p)
		}
		s.turnOn("b")
		if p := s.plays(10 * time.Second); p != "b" {
			t.Errorf("%q plays, want b", p)
		}
		stopWatching()
		s.turnOn("a")
		if p := s.plays(40 * time.Second); p != "a" {
			t.Errorf("%q plays, want a once nobody watches", p)
		}
	})
}

// TestReasonsOfAllSources tells a player why none of the sources is had.
func TestReasonsOfAllSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := newStand(t, conf.Stream{OnDemand: true, Grace: time.Minute}, false, "a", "b")
		defer stop()
		s.turnOff("a")
		s.turnOff("b")
		_, err := s.hub.Open(t.Context(), "cam")
		if want := "cam: a: is off; b: is off"; err == nil || err.Error() != want {
			t.Errorf("Open = %v, want %s", err, want)
		}
	})
}

// TestCopiedStream has a stream of another one, which is fetched for it and ends with it.
func TestCopiedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		hub := media.NewHub(log)
		set := func(from string) conf.Stream {
			return conf.Stream{Source: conf.Sources{from}, OnDemand: true, IdleAfter: time.Second, SilentAfter: 5 * time.Second, Grace: time.Minute}
		}
		src := NewSources(map[string]conf.Stream{"a": set("stream:b"), "b": set("demo:"), "x": set("stream:y"), "y": set("stream:x")}, Means{Listen: ":8554"}, hub, log)
		hub.Use(src)
		defer runSources(t, src)()
		st, err := hub.Open(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		sub := st.Subscribe(media.SubscribeOptions{FromKey: true})
		time.Sleep(5 * time.Second)
		pkts, err := sub.Next(t.Context())
		if err != nil || len(pkts) < 150 || !pkts[0].Key && !pkts[0].Report {
			t.Errorf("%d packets, %v, want those of 5 s from a key frame", len(pkts), err)
		}
		sub.Close()
		time.Sleep(5 * time.Second)
		if n := len(hub.Streams()); n != 0 {
			t.Errorf("%d streams though nobody watches", n)
		}
		if _, err := hub.Open(t.Context(), "x"); err == nil {
			t.Error("a circle of streams has brought one")
		}
	})
}

// TestOrder tells which inputs are tried in which order.
func TestOrder(t *testing.T) {
	for _, c := range []struct {
		inputs string // s is a slate
		failed int
		want   string
	}{
		{"a", -1, "[0]"},
		{"a", 0, "[0]"},
		{"ab", -1, "[0 1]"},
		{"ab", 0, "[1]"},
		{"abc", 1, "[2 0]"},
		{"as", 0, "[1]"},
		{"as", 1, "[0 1]"},
		{"abs", 1, "[0 2]"},
		{"abs", 2, "[0 1 2]"},
	} {
		p := new(pull)
		for _, l := range c.inputs {
			p.inputs = append(p.inputs, &input{slate: l == 's'})
		}
		if got := fmt.Sprint(p.order(c.failed)); got != c.want {
			t.Errorf("order of %s after %d = %s, want %s", strings.ToUpper(c.inputs), c.failed, got, c.want)
		}
	}
}
