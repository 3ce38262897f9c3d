// Package hls gives streams to players over HTTP Live Streaming (RFC 8216 and its second edition, draft-pantos-hls-rfc8216bis):
// fragmented MP4 in segments, and in parts of them for players that know Low-Latency HLS.
//
//	NAME/index.m3u8   the stream and its renditions, of which the player chooses
//	NAME/video.m3u8   segments and parts of the pictures
//	NAME/audio.m3u8   those of the sound
//
// A stream is cut into segments by a muxer, which the first request starts and which ends when nobody asks any more:
//
//	Stream ─► Subscription ─► muxer (gohlslib) ─► requests of players
package hls

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"peergate/conf"
	"peergate/media"
)

const (
	// openTimeout is how long a player waits for a stream that has to be fetched first.
	openTimeout = 10 * time.Second
	// readyTimeout is how long it waits for the first segment, which ends with a group of pictures; some last 10 s.
	readyTimeout = 20 * time.Second
)

// Server makes segments of the hub's streams while they are asked for.
type Server struct {
	cfg      conf.HLS
	profiles map[string]conf.Profile
	hub      *media.Hub
	log      *slog.Logger
	jobs     chan func(context.Context) // from requests to Run

	mu     sync.Mutex            // guards the fields below
	muxers map[media.Name]*muxer // by the name that players ask for
	past   uint64                // bytes given out by muxers that have ended
}

// New returns a server that answers only while Run does. The profiles are those of the renditions that a playlist offers.
func New(c conf.HLS, profiles map[string]conf.Profile, hub *media.Hub, log *slog.Logger) *Server {
	return &Server{
		cfg: c, profiles: profiles, hub: hub, log: log.With("part", "hls"),
		jobs: make(chan func(context.Context)), muxers: make(map[media.Name]*muxer),
	}
}

// Run makes segments until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for {
		select {
		case work := <-s.jobs:
			g.Go(func() error {
				work(ctx)
				return nil // a stream that ends is not the server's failure
			})
		case <-ctx.Done():
			return g.Wait()
		}
	}
}

// Serve answers a request for a file of a stream, for a player that may read it. An error means that nothing was written.
// It wraps media.ErrNotFound when there is no such stream or file, media.ErrUnsupported when HLS cannot carry what it has.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, name media.Name, file string) error {
	m, err := s.muxer(r.Context(), name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	select {
	case <-m.ready:
	case <-m.done:
		return m.failure()
	case <-ctx.Done():
		return fmt.Errorf("%s has sent no whole group of pictures yet: %w", name, ctx.Err())
	}
	return m.serve(w, r, file)
}

// muxer returns that of a name, and starts it when there is none.
func (s *Server) muxer(ctx context.Context, name media.Name) (*muxer, error) {
	if m := s.running(name); m != nil {
		return m, nil
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	st, tracks, err := s.source(ctx, name)
	if err != nil {
		return nil, err
	}
	m, mine := s.enter(name, st, tracks)
	if !mine {
		return m, nil
	}
	if err := m.open(); err != nil {
		s.leave(m, err)
		return nil, err
	}
	select {
	case s.jobs <- m.work:
		return m, nil
	case <-ctx.Done():
		m.close(ctx.Err())
		return nil, ctx.Err()
	}
}

// running returns the muxer of a name, or nil.
func (s *Server) running(name media.Name) *muxer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.muxers[name]
}

// enter makes the muxer of a name, unless another request was faster.
func (s *Server) enter(name media.Name, st *media.Stream, tracks []*track) (m *muxer, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.muxers[name]; m != nil {
		return m, false
	}
	m = newMuxer(s, name, st, tracks)
	s.muxers[name] = m
	return m, true
}

// leave takes a muxer out, and lets those who wait for it know.
func (s *Server) leave(m *muxer, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.muxers[m.name] != m {
		return
	}
	delete(s.muxers, m.name)
	s.past += m.bytes.Load()
	m.err = why
	close(m.done)
}

// The renditions that stand in for streams which HLS cannot carry, the cheapest first: the sound alone is made anew, or all.
var standIns = []string{"aac", "quicktime"}

// source returns the stream to make segments of: the named one, or a rendition where HLS cannot carry what that has.
func (s *Server) source(ctx context.Context, name media.Name) (*media.Stream, []*track, error) {
	st, err := s.hub.Open(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	tracks, odd := plan(st.Tracks())
	if odd == nil {
		return st, tracks, nil
	}
	if _, _, ok := name.Rendition(); ok { // of which no other can be made
		return nil, nil, fmt.Errorf("%s: %w", name, odd)
	}
	for _, profile := range standIns {
		if profile == "aac" && odd.kind == "video" {
			continue
		}
		var st *media.Stream
		if st, err = s.hub.Open(ctx, name+media.Name("~"+profile)); err != nil {
			continue
		}
		tracks, still := plan(st.Tracks())
		if still == nil {
			return st, tracks, nil
		}
		err = still
	}
	if errors.Is(err, media.ErrEnded) || ctx.Err() != nil {
		return nil, nil, err
	}
	return nil, nil, fmt.Errorf("%s: %w; a rendition cannot be made: %v", name, odd, err)
}
