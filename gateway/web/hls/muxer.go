package hls

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gohlslib/v2"
	"github.com/pion/rtp"

	"peergate/media"
)

const (
	// silentAfter is how long a muxer waits for packets of a stream that is there but sends nothing.
	silentAfter = 30 * time.Second
	// idleEvery is how often a muxer looks whether anybody asks.
	idleEvery = time.Second
	// maxFailures is how many frames in a row may not be muxed: many seconds of a camera's.
	maxFailures = 500
	// maxSegment bounds a segment in bytes, so that a stream without key frames cannot take all memory: 16 s at 16 Mbit/s.
	maxSegment = 32 << 20
)

// The reasons why a muxer ends.
var (
	errIdle   = errors.New("nobody asks for it any more")
	errSilent = errors.New("the stream sends nothing")
	errJump   = errors.New("the timestamps jump")
)

// muxer cuts a stream into segments.
type muxer struct {
	srv    *Server
	name   media.Name // that players ask for
	st     *media.Stream
	tracks []*track // video first
	lib    *gohlslib.Muxer
	since  time.Time
	ready  chan struct{} // closed when there is a segment
	done   chan struct{} // closed when the muxer has ended
	err    error         // why; set before done is closed
	bytes  atomic.Uint64 // given out
	zero   time.Time     // owner's time at which the timelines begin; of work alone
	failed int           // frames in a row that could not be muxed; of work alone
	muxed  uint64        // bytes of frames; of work alone

	fresh    bool // a key frame has come, and with it perhaps other parameters; of work alone
	watchers watchers

	mu    sync.Mutex    // guards the fields below
	asked time.Time     // for the last time
	part  uint64        // the one that is being made
	pulse chan struct{} // closed and replaced when another one is
	waits int           // requests that wait for a part
	form  form
}

func newMuxer(s *Server, name media.Name, st *media.Stream, tracks []*track) *muxer {
	now := time.Now()
	return &muxer{
		srv: s, name: name, st: st, tracks: tracks, since: now, asked: now,
		ready: make(chan struct{}), done: make(chan struct{}), pulse: make(chan struct{}),
	}
}

// open starts the library's muxer, which has no goroutines.
func (m *muxer) open() error {
	c := m.srv.cfg
	lib := &gohlslib.Muxer{
		Variant: gohlslib.MuxerVariantLowLatency, SegmentCount: c.Segments, SegmentMinDuration: c.Segment, PartMinDuration: c.Part,
		SegmentMaxSize: maxSegment,
		OnEncodeError:  func(err error) { m.srv.log.Debug("segments", "stream", m.name, "err", err) },
	}
	for _, t := range m.tracks {
		lib.Tracks = append(lib.Tracks, t.lib)
	}
	if err := lib.Start(); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	m.lib = lib
	return nil
}

// failure says why the muxer has ended. It must be called after done is closed.
func (m *muxer) failure() error {
	if errors.Is(m.err, errIdle) || errors.Is(m.err, media.ErrEnded) {
		return fmt.Errorf("%s: %w", m.name, media.ErrNotFound)
	}
	return fmt.Errorf("%s: %w", m.name, m.err)
}

// work makes segments until the stream ends, nobody asks any more or ctx ends.
func (m *muxer) work(ctx context.Context) {
	log := m.srv.log.With("stream", m.name)
	log.Info("segments begin")
	var probing sync.WaitGroup
	probing.Go(m.probe)
	err := m.read(ctx)
	m.close(err)
	probing.Wait()
	log.Log(ctx, level(err), "segments end", "err", err)
}

// level is that of the end's line in the log.
func level(err error) slog.Level {
	if errors.Is(err, errIdle) || errors.Is(err, media.ErrEnded) || errors.Is(err, context.Canceled) {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// close ends the muxer; requests that wait are answered.
func (m *muxer) close(why error) {
	m.srv.leave(m, why)
	m.lib.Close()
}

// read muxes what comes.
func (m *muxer) read(ctx context.Context) error {
	sub := m.st.Subscribe(media.SubscribeOptions{FromKey: true})
	defer sub.Close()
	tick := time.NewTicker(idleEvery)
	defer tick.Stop()
	came := time.Now()
	for {
		select {
		case <-sub.Ready():
			came = time.Now()
			if err := m.drain(sub); err != nil {
				return err
			}
		case <-tick.C:
			switch {
			case m.idle():
				return errIdle
			case time.Since(came) > silentAfter:
				return errSilent
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drain muxes all that has come. An error ends the muxer.
func (m *muxer) drain(sub *media.Subscription) error {
	for {
		ps, err := sub.Poll()
		switch {
		case err != nil:
			return media.ErrEnded
		case len(ps) == 0:
			m.look()
			return nil
		}
		for i := range ps {
			if err := m.take(&ps[i]); err != nil {
				return err
			}
		}
	}
}

func (m *muxer) idle() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Since(m.asked) > m.srv.cfg.IdleAfter
}

// take muxes a packet. An error ends the muxer.
func (m *muxer) take(p *media.Packet) error {
	for _, t := range m.tracks {
		switch {
		case t.index != p.Track:
		case p.Report:
			m.synchronize()
		default:
			return m.mux(t, p)
		}
	}
	return nil
}

func (m *muxer) mux(t *track, p *media.Packet) error {
	var pkt rtp.Packet
	if pkt.Unmarshal(p.Data) != nil {
		return nil // the stream has checked it; an extension may still be odd
	}
	m.fresh = m.fresh || p.Key
	frames, err := t.decode(&pkt)
	if err != nil || len(frames) == 0 {
		return nil // more packets are needed, or some are lost
	}
	clock, ok := m.st.Clock(t.index)
	if !ok {
		return nil
	}
	pts, ok := m.place(t, clock, p.Timestamp())
	if !ok {
		return errJump
	}
	if err := t.write(m.lib, clock.At(p.Timestamp()), pts, frames); err != nil {
		switch m.failed++; m.failed {
		case 1:
			m.srv.log.Debug("frame left out", "stream", m.name, "track", t.index, "err", err)
		case maxFailures:
			return fmt.Errorf("%d frames could not be muxed: %w", m.failed, err)
		}
		return nil // a lost packet spoils what follows up to the next key frame
	}
	m.failed = 0
	for _, f := range frames {
		m.muxed += uint64(len(f))
	}
	if p.Track == m.tracks[0].index && m.fresh {
		m.describe()
	}
	return nil
}

// place returns the time of a frame; ok is false when it cannot belong to what was before.
func (m *muxer) place(t *track, c media.Clock, ts uint32) (pts int64, ok bool) {
	if !t.line.started {
		if m.zero.IsZero() {
			m.zero = c.At(ts)
		}
		t.line.begin(ts, c.At(ts).Sub(m.zero))
		return t.line.pts, true
	}
	before := t.line.highest
	pts, ok = t.line.next(ts)
	if !t.video() && pts <= before { // sound has no order of its own: the library would count a time below zero
		return before + 1, ok
	}
	return pts, ok
}

// synchronize brings the sound to where the owner's clock has it beside the pictures.
func (m *muxer) synchronize() {
	if len(m.tracks) < 2 {
		return
	}
	video, audio := m.tracks[0], m.tracks[1]
	if !video.line.started || !audio.line.started {
		return
	}
	vc, ok := m.st.Clock(video.index)
	ac, also := m.st.Clock(audio.index)
	if !ok || !also {
		return
	}
	d := audio.line.apart(ac, m.zero) - video.line.apart(vc, m.zero)
	if d > leastShift || d < -leastShift {
		audio.line.shift(d)
		m.srv.log.Debug("sound moved", "stream", m.name, "by", d)
	}
}
