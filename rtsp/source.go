package rtsp

import (
	"context"
	"log/slog"

	"peergate/conf"
	"peergate/media"

	"golang.org/x/sync/errgroup"
)

// Sources brings in the streams that this gateway fetches by itself: cameras pulled over RTSP and the embedded clip.
// It is the hub's opener for their names. Streams whose source is an encoder that publishes are none of its business.
type Sources struct {
	pulls map[media.Name]*pull
}

// NewSources returns the sources of the configured streams. The address on which the gateway serves RTSP tells a
// source that is the gateway itself.
func NewSources(streams map[string]conf.Stream, listen string, hub *media.Hub, log *slog.Logger) *Sources {
	s := &Sources{pulls: make(map[media.Name]*pull)}
	log = log.With("part", "source")
	for name, c := range streams {
		n := media.Name(name)
		switch c.Source {
		case conf.SourcePublish:
		case conf.SourceDemo:
			s.pulls[n] = newPull(n, media.Origin{Kind: "demo", Remote: c.Source}, c, playClip, hub, log)
		default:
			cam := newCamera(c, listen, log.With("stream", n))
			s.pulls[n] = newPull(n, media.Origin{Kind: "rtsp", Remote: cam.remote, Linger: c.Grace}, c, cam.feed, hub, log)
		}
	}
	return s
}

// Run fetches the sources that are always wanted, and the others while somebody watches, until ctx ends.
func (s *Sources) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range s.pulls {
		g.Go(func() error {
			p.run(ctx)
			return nil // a lost source is not the gateway's failure
		})
	}
	<-ctx.Done()
	return g.Wait()
}

// Open returns a stream once its source has told its tracks. The error says why the source cannot be had.
func (s *Sources) Open(ctx context.Context, name media.Name) (*media.Stream, error) {
	p := s.pulls[name]
	if p == nil {
		return nil, media.ErrNotFound
	}
	return p.open(ctx)
}
