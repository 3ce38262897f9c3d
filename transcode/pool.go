// Package transcode makes renditions: streams derived from others, named "base~profile", such as "lobby~pcma".
//
// The profiles l16, pcma and pcmu give a stream's uncompressed and G.711 audio tracks another of these three encodings,
// with the same rate and channels; all other tracks pass untouched. Such a rendition keeps the timestamps and the clock
// of its base. The profile quicktime and those of the configuration are made by ffmpeg, a process for each rendition,
// which plays from this gateway's RTSP server and publishes to it:
//
//	base ─► rtsp ─► ffmpeg ─► rtsp ─► rendition
//
// A rendition is made while somebody subscribes to it, or always if its profile says so, and ends with its base.
package transcode

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"peergate/conf"
	"peergate/media"

	"golang.org/x/sync/errgroup"
)

// Server is the gateway's own RTSP server. Each URL is good for one connection, until it is revoked.
type Server interface {
	// ReadPass returns a URL to play a stream from.
	ReadPass(ctx context.Context, name media.Name) (url string, revoke func(), err error)
	// PublishPass returns a URL to publish a stream to; the announced tracks are given to publish.
	PublishPass(ctx context.Context, name media.Name, publish func([]media.Track) (*media.Publisher, error)) (url string, revoke func(), err error)
}

// alwaysEvery is how often a rendition that is to be made always is tried while its stream is not there.
const alwaysEvery = 5 * time.Second

// Pool makes renditions. It is the hub's opener for their names.
type Pool struct {
	cfg    conf.Transcode
	server Server
	hub    *media.Hub
	log    *slog.Logger
	always map[media.Name]bool
	jobs   chan func(context.Context) // from Open to Run

	mu      sync.Mutex // guards the fields below
	tool    *Tool      // nil until ffmpeg has been found to be good
	renders map[*render]struct{}
}

// New returns a pool that makes renditions of the hub's streams.
func New(cfg conf.Transcode, server Server, hub *media.Hub, log *slog.Logger) *Pool {
	p := &Pool{
		cfg: cfg, server: server, hub: hub, log: log.With("part", "transcode"), always: make(map[media.Name]bool),
		jobs: make(chan func(context.Context)), renders: make(map[*render]struct{}),
	}
	for profile, c := range cfg.Profiles {
		for _, base := range c.Always {
			p.always[media.Name(base+"~"+profile)] = true
		}
	}
	return p
}

// Run works on the renditions until ctx ends; then they end.
func (p *Pool) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for name := range p.always {
		g.Go(func() error {
			p.keep(ctx, name)
			return nil
		})
	}
	for {
		select {
		case work := <-p.jobs:
			g.Go(func() error {
				work(ctx)
				return nil // a lost rendition is not the pool's failure
			})
		case <-ctx.Done():
			return g.Wait()
		}
	}
}

// keep has a rendition made whenever its base is there.
func (p *Pool) keep(ctx context.Context, name media.Name) {
	t := time.NewTimer(0)
	defer t.Stop()
	last := ""
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		st, err := p.openFor(ctx, name)
		if err != nil {
			if text := err.Error(); text != last && ctx.Err() == nil {
				last = text
				p.log.Info("rendition waits", "stream", name, "err", err)
			}
			t.Reset(alwaysEvery)
			continue
		}
		last = ""
		select {
		case <-st.Done():
		case <-ctx.Done():
			return
		}
		t.Reset(alwaysEvery)
	}
}

// openFor opens a name within a time in which ffmpeg must have begun.
func (p *Pool) openFor(ctx context.Context, name media.Name) (*media.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.SilentAfter)
	defer cancel()
	return p.hub.Open(ctx, name)
}

// Open begins a rendition. The error says when there is no such profile, nothing in the base to convert, or no ffmpeg.
func (p *Pool) Open(ctx context.Context, name media.Name) (*media.Stream, error) {
	base, profile, ok := name.Rendition()
	if !ok {
		return nil, media.ErrNotFound
	}
	to, own := parseProfile(profile)
	recipe, known := p.profile(profile)
	if !own && !known {
		return nil, fmt.Errorf("%s: there is no profile %q, the profiles are %s: %w", name, profile, p.names(), media.ErrNotFound)
	}
	if _, _, ok := base.Rendition(); ok {
		return nil, fmt.Errorf("%s: is a rendition of a rendition: %w", name, media.ErrNotFound)
	}
	st, err := p.hub.Open(ctx, base)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if own {
		st, err = p.openOwn(ctx, name, st, to)
	} else {
		st, err = p.openRender(ctx, name, st, recipe)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return st, nil
}

// openOwn begins a rendition that needs no ffmpeg.
func (p *Pool) openOwn(ctx context.Context, name media.Name, base *media.Stream, to codec) (*media.Stream, error) {
	j, err := p.begin(name, base, to)
	if err != nil {
		return nil, err
	}
	select {
	case p.jobs <- func(ctx context.Context) { p.work(ctx, j) }:
		return j.pub.Stream(), nil
	case <-ctx.Done():
		j.close()
		return nil, ctx.Err()
	}
}

// openRender begins a rendition that ffmpeg makes, and waits until it does.
func (p *Pool) openRender(ctx context.Context, name media.Name, base *media.Stream, profile conf.Profile) (*media.Stream, error) {
	hold := base.Subscribe(media.SubscribeOptions{Queue: 1}) // one that is idle would end before ffmpeg plays it
	defer hold.Close()
	tool, err := p.ffmpeg(ctx)
	if err != nil {
		return nil, err
	}
	rec, err := newRecipe(tool, p.cfg, profile, base.Tracks())
	if err != nil {
		return nil, err
	}
	r := &render{
		pool: p, name: name, base: base, recipe: rec, since: time.Now(), progress: new(progress),
		began: make(chan struct{}), failed: make(chan error, 1),
	}
	if err := p.enter(r); err != nil {
		return nil, err
	}
	if rec.video && profile.Video.Codec != conf.Copy {
		rec.rate = frameRate(ctx, base)
	}
	select {
	case p.jobs <- func(run context.Context) { r.work(run, ctx) }:
	case <-ctx.Done():
		p.leave(r)
		return nil, ctx.Err()
	}
	select {
	case <-r.began:
		return r.stream(), nil
	case err := <-r.failed:
		return nil, err
	case <-ctx.Done():
		return nil, fmt.Errorf("ffmpeg has made nothing of the stream yet: %w", ctx.Err())
	}
}

// ffmpeg returns the program, which is looked at once; one that is not good may be by the next time.
func (p *Pool) ffmpeg(ctx context.Context) (*Tool, error) {
	p.mu.Lock()
	t := p.tool
	p.mu.Unlock()
	if t != nil {
		return t, nil
	}
	t, err := Probe(ctx, p.cfg)
	if err != nil {
		return nil, err
	}
	p.log.Info("ffmpeg found", "file", t.Path)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tool = t
	return t, nil
}

// enter takes a rendition in if another one may be made.
func (p *Pool) enter(r *render) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.renders) >= p.cfg.MaxJobs {
		return fmt.Errorf("this gateway makes %d renditions already, as many as transcode.max_jobs allows", len(p.renders))
	}
	p.renders[r] = struct{}{}
	return nil
}

func (p *Pool) leave(r *render) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.renders, r)
}
