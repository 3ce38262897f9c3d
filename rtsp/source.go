package rtsp

import (
	"context"
	"log/slog"
	"maps"
	"net/url"
	"reflect"
	"strings"
	"sync"

	"peergate/conf"
	"peergate/media"
	"peergate/rtsp/ingest"

	"golang.org/x/sync/errgroup"
)

// Sources brings in the streams that this gateway fetches by itself: cameras pulled over RTSP, what
// package ingest reads, programs, other streams under another name, and the embedded clip. It is the hub's opener for their
// names. Streams whose source is an encoder that publishes are none of its business.
type Sources struct {
	means   Means
	hub     *media.Hub
	log     *slog.Logger
	changed chan struct{} // has a token when pulls was changed

	mu    sync.Mutex // guards the field below
	pulls map[media.Name]*pull
}

// Means are what sources are brought in with.
type Means struct {
	Listen string  // where the gateway serves RTSP, which tells a source that is the gateway itself
	FFmpeg string  // a path, or a name to look for
	Server *Server // where programs publish to
}

// NewSources returns the sources of the configured streams.
func NewSources(streams map[string]conf.Stream, means Means, hub *media.Hub, log *slog.Logger) *Sources {
	s := &Sources{means: means, hub: hub, log: log.With("part", "source"), changed: make(chan struct{}, 1)}
	s.Reconfigure(streams)
	return s
}

// Reconfigure replaces the configured streams. A source whose settings stay the same goes on undisturbed.
func (s *Sources) Reconfigure(streams map[string]conf.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pulls := make(map[media.Name]*pull)
	for name, c := range streams {
		n := media.Name(name)
		if p := s.pulls[n]; p != nil && reflect.DeepEqual(p.set, c) {
			pulls[n] = p
		} else if p := s.source(n, c); p != nil {
			pulls[n] = p
		}
	}
	s.pulls = pulls
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// source returns what brings in a stream, or nil when an encoder publishes it.
func (s *Sources) source(n media.Name, c conf.Stream) *pull {
	if c.Published() {
		return nil
	}
	var inputs []*input
	for i, from := range c.Source {
		in := s.input(n, from, c)
		in.origin.Linger, in.origin.Spare = c.Grace, i > 0
		inputs = append(inputs, in)
	}
	if c.Fallback != "" {
		in := s.input(n, c.Fallback, c)
		in.origin.Linger, in.origin.Spare, in.slate = c.Grace, true, true
		inputs = append(inputs, in)
	}
	return newPull(n, inputs, c, s.hub, s.log)
}

// input returns one of the places that a stream comes from.
func (s *Sources) input(n media.Name, from string, c conf.Stream) *input {
	log := s.log.With("stream", n)
	if from == conf.SourceDemo {
		return &input{origin: media.Origin{Kind: "demo", Remote: from}, feed: playClip}
	}
	if of, ok := strings.CutPrefix(from, conf.SourceStream); ok {
		return &input{origin: media.Origin{Kind: "stream", Remote: from}, feed: copier{s.hub, media.Name(of), c.SilentAfter}.feed}
	}
	if line, ok := strings.CutPrefix(from, conf.SourceExec); ok {
		e := newProgram(n, line, c, s.means.Server)
		return &input{origin: media.Origin{Kind: "exec", Remote: e.remote()}, feed: e.feed}
	}
	if u, err := url.Parse(from); err == nil && ingest.Takes(u) {
		return s.ingested(u, c, log)
	}
	cam := newCamera(from, c, s.means.Listen, log)
	return &input{origin: media.Origin{Kind: "rtsp", Remote: cam.remote}, feed: cam.feed}
}

// ingested returns a source that is no RTSP.
func (s *Sources) ingested(u *url.URL, c conf.Stream, log *slog.Logger) *input {
	f, err := ingest.New(u, ingest.Options{SilentAfter: c.SilentAfter, Alone: len(c.Source) == 1 && c.Fallback == "", FFmpeg: s.means.FFmpeg, Log: log})
	if err != nil {
		f = func(context.Context, begin) error { return err }
	}
	shown := *u
	if strings.HasPrefix(u.Scheme, "rtmp") {
		shown.Path = "/..." // which has the key
	}
	return &input{origin: media.Origin{Kind: u.Scheme, Remote: redact(&shown)}, feed: f}
}

// Run fetches the sources that are always wanted, and the others while somebody watches, until ctx ends.
func (s *Sources) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	running := make(map[*pull]context.CancelFunc)
	for {
		pulls := s.current()
		for p, cancel := range running {
			if pulls[p.name] != p {
				cancel()
				delete(running, p)
			}
		}
		for _, p := range pulls {
			if _, ok := running[p]; ok {
				continue
			}
			pctx, cancel := context.WithCancel(ctx)
			running[p] = cancel
			g.Go(func() error {
				defer cancel()
				p.run(pctx)
				return nil // a lost source is not the gateway's failure
			})
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return g.Wait()
		}
	}
}

func (s *Sources) current() map[media.Name]*pull {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.pulls)
}

// Open returns a stream once its source has told its tracks. The error says why the source cannot be had.
func (s *Sources) Open(ctx context.Context, name media.Name) (*media.Stream, error) {
	s.mu.Lock()
	p := s.pulls[name]
	s.mu.Unlock()
	if p == nil {
		return nil, media.ErrNotFound
	}
	return p.open(ctx)
}
