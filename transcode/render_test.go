package transcode

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"peergate/conf"
	"peergate/media"
)

// fakeServer publishes, in ffmpeg's place, whenever an ffmpeg is to begin.
type fakeServer struct {
	t *testing.T

	mu      sync.Mutex // guards the fields below
	issued  int        // passes
	out     int        // of them, those not revoked
	pubs    []*media.Publisher
	silent  bool // nothing is published
	refused error
}

func (s *fakeServer) pass() (string, func(), error) {
	s.issued++
	s.out++
	return "rtsp://127.0.0.1/x?pass=SECRET", sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.out--
	}), nil
}

func (s *fakeServer) ReadPass(context.Context, media.Name) (string, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pass()
}

func (s *fakeServer) PublishPass(_ context.Context, _ media.Name, publish func([]media.Track) (*media.Publisher, error)) (string, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.silent {
		pub, err := publish([]media.Track{video})
		if err != nil {
			s.refused = err
		} else {
			s.pubs = append(s.pubs, pub)
		}
	}
	return s.pass()
}

// ends is what becomes of the newest publisher when its ffmpeg has ended.
func (s *fakeServer) ends() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pubs[len(s.pubs)-1].Close()
}

// ffmpegScript answers as an ffmpeg does, and does its work with the given lines.
func ffmpegScript(t *testing.T, work string) string {
	t.Helper()
	return script(t, `case "$3" in
-version) echo ffmpeg version 5.1.9;;
-encoders) printf ' ------\n V....D libx264 x\n A....D aac x\n';;
-decoders) printf ' ------\n V....D h264 x\n A....D pcm_alaw x\n';;
*) `+work+`;;
esac`)
}

// stage is a hub with a base stream and a pool whose ffmpeg is a script.
type stage struct {
	hub    *media.Hub
	pool   *Pool
	server *fakeServer
	base   *media.Publisher
	t      *testing.T
}

func newStage(t *testing.T, work string, change func(*conf.Transcode)) *stage {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s := &stage{hub: media.NewHub(log), server: &fakeServer{t: t}, t: t}
	cfg := conf.Default().Transcode
	cfg.FFmpeg, cfg.IdleAfter = ffmpegScript(t, work), time.Hour
	if change != nil {
		change(&cfg)
	}
	s.pool = New(cfg, s.server, s.hub, log)
	s.hub.Use(s.pool)
	s.base = publish(t, s.hub, "cam", video, alaw)
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.pool.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if n := len(s.pool.Status()); n != 0 || s.server.out != 0 {
			t.Errorf("after Run %d renditions and %d passes are left", n, s.server.out)
		}
		s.eventually("all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
	})
	return s
}

// eventually waits for what another process or goroutine does.
func (s *stage) eventually(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("not in time: %s", what)
		}
	}
}

// status returns that of the one rendition.
func (s *stage) status() Status {
	s.t.Helper()
	all := s.pool.Status()
	if len(all) != 1 {
		s.t.Fatalf("Status = %+v, want one rendition", all)
	}
	return all[0]
}

// TestRenderRestarts has ffmpeg end with a complaint; the rendition stays and another ffmpeg is begun.
func TestRenderRestarts(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	s := newStage(t, `echo frame=7; if test -e `+mark+`; then exec sleep 600; fi; touch `+mark+`; echo rtsp://x/y?pass=SECRET is gone >&2; exit 3`, nil)
	st, err := s.hub.Open(t.Context(), "cam~quicktime")
	if err != nil {
		t.Fatal(err)
	}
	s.eventually("ffmpeg has ended", func() bool { return s.status().Err != "" })
	s.eventually("another begins", func() bool { n := s.status(); return n.Restarts == 1 && n.Process != 0 && n.Frames == 14 })
	if n := s.status(); n.Err != "ffmpeg: rtsp://x/y is gone" || n.Name != "cam~quicktime" || n.Base != "cam" {
		t.Errorf("Status = %+v", n)
	}
	if s.hub.Stream("cam~quicktime") != st {
		t.Error("players have lost their stream")
	}
}

// TestRenderHoldsItsBase has a slow ffmpeg looked at: the base is not idle, or it would end before ffmpeg plays it.
func TestRenderHoldsItsBase(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	s := newStage(t, "exec sleep 600", func(c *conf.Transcode) {
		c.FFmpeg = script(t, `until test -e `+mark+`; do sleep 0.01; done; exec `+c.FFmpeg+` "$@"`)
	})
	opened := make(chan error, 1)
	go func() {
		_, err := s.hub.Open(t.Context(), "cam~quicktime")
		opened <- err
	}()
	base := s.hub.Stream("cam")
	s.eventually("the base is held", func() bool { return base.Subscribers() == 1 })
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	if n := base.Subscribers(); n != 0 {
		t.Errorf("%d hold the base when ffmpeg plays it, want none beside ffmpeg", n)
	}
}

// TestRenderIdle ends a rendition that nobody wants, also while no ffmpeg publishes: the stream does not wait for one.
func TestRenderIdle(t *testing.T) {
	for _, work := range []string{"exec sleep 600", "exit 1"} {
		s := newStage(t, work, func(c *conf.Transcode) { c.IdleAfter = 300 * time.Millisecond })
		st, err := s.hub.Open(t.Context(), "cam~quicktime")
		if err != nil {
			t.Fatal(err)
		}
		if work == "exit 1" {
			s.server.ends()
		}
		s.eventually("the rendition ends: "+work, func() bool { return len(s.pool.Status()) == 0 })
		select {
		case <-st.Done():
		default:
			t.Errorf("%s: the stream goes on", work)
		}
	}
}

// TestRenderEndsWithItsBase ends the rendition, and ffmpeg, when there is nothing to make it from.
func TestRenderEndsWithItsBase(t *testing.T) {
	s := newStage(t, "exec sleep 600", nil)
	st, err := s.hub.Open(t.Context(), "cam~quicktime")
	if err != nil {
		t.Fatal(err)
	}
	s.base.End()
	<-st.Done()
	s.eventually("ffmpeg ends", func() bool { return len(s.pool.Status()) == 0 })
}

// TestRenderHangs kills an ffmpeg that makes nothing while its base sends, with the processes it has started.
func TestRenderHangs(t *testing.T) {
	s := newStage(t, "sleep 600 & sleep 600", func(c *conf.Transcode) { c.SilentAfter = 200 * time.Millisecond })
	if _, err := s.hub.Open(t.Context(), "cam~quicktime"); err != nil {
		t.Fatal(err)
	}
	seq := uint16(0)
	s.eventually("ffmpeg is killed", func() bool {
		seq++
		_ = s.base.WriteRTP(0, rtpPacket(96, seq, uint32(seq)*3000, []byte{0x65}), time.Now())
		return strings.Contains(s.status().Err, "hangs")
	})
}

// TestRenderRefuses tells why a rendition cannot be begun: ffmpeg fails at once, hangs before it publishes, or enough of
// them run. Nothing is left of the attempts.
func TestRenderRefuses(t *testing.T) {
	s := newStage(t, `echo "Error while opening encoder" >&2; exit 1`, nil)
	s.server.silent = true
	_, err := s.hub.Open(t.Context(), "cam~quicktime")
	if err == nil || !strings.Contains(err.Error(), "Error while opening encoder") || errors.Is(err, media.ErrNotFound) {
		t.Errorf("Open = %v", err)
	}

	s = newStage(t, "exec sleep 600", func(c *conf.Transcode) { c.MaxJobs = 1 })
	s.server.silent = true
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opened := make(chan error, 1)
	go func() {
		_, err := s.hub.Open(ctx, "cam~quicktime")
		opened <- err
	}()
	s.eventually("ffmpeg runs", func() bool { all := s.pool.Status(); return len(all) == 1 && all[0].Process != 0 })
	cancel()
	if err := <-opened; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "has made nothing") {
		t.Errorf("Open = %v, want that ffmpeg has made nothing until the player left", err)
	}
	s.eventually("the attempt has ended", func() bool { return len(s.pool.Status()) == 0 })
	s.server.mu.Lock()
	s.server.silent = false
	s.server.mu.Unlock()
	if _, err := s.hub.Open(t.Context(), "cam~quicktime"); err != nil {
		t.Fatal(err)
	}
	publish(t, s.hub, "yard", video)
	if _, err := s.hub.Open(t.Context(), "yard~quicktime"); err == nil || !strings.Contains(err.Error(), "transcode.max_jobs") {
		t.Errorf("Open of one too many = %v", err)
	}
}

// TestRenderYields leaves a name to somebody who publishes it.
func TestRenderYields(t *testing.T) {
	s := newStage(t, "sleep 0.2; exit 1", nil)
	if _, err := s.hub.Open(t.Context(), "cam~quicktime"); err != nil {
		t.Fatal(err)
	}
	other := publish(t, s.hub, "cam~quicktime", video)
	s.eventually("ffmpeg is refused", func() bool {
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		return errors.Is(s.server.refused, errTaken)
	})
	if st := other.Stream().Stats(); !st.Publishing {
		t.Error("the other publisher was driven out")
	}
}
