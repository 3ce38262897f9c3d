// Package transcode makes renditions: streams derived from others, named "base~profile", such as "lobby~pcma".
//
// The profiles l16, pcma and pcmu give a stream's uncompressed and G.711 audio tracks another of these three encodings,
// with the same rate and channels; all other tracks pass untouched. A rendition is made while somebody subscribes to it,
// keeps the timestamps and the clock of its base, and ends with it.
package transcode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"peergate/conf"
	"peergate/media"

	"golang.org/x/sync/errgroup"
)

// Pool makes renditions on demand. It is the hub's opener for their names.
type Pool struct {
	idleAfter time.Duration
	hub       *media.Hub
	log       *slog.Logger
	jobs      chan *job // from Open to Run
}

// New returns a pool that makes renditions of the hub's streams.
func New(cfg conf.Transcode, hub *media.Hub, log *slog.Logger) *Pool {
	return &Pool{idleAfter: cfg.IdleAfter, hub: hub, log: log.With("part", "transcode"), jobs: make(chan *job)}
}

// Run works on the renditions until ctx ends; then they end.
func (p *Pool) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for {
		select {
		case j := <-p.jobs:
			g.Go(func() error {
				p.work(ctx, j)
				return nil // a lost rendition is not the pool's failure
			})
		case <-ctx.Done():
			return g.Wait()
		}
	}
}

// Open begins a rendition. The error says when there is no such profile or nothing in the base to convert.
func (p *Pool) Open(ctx context.Context, name media.Name) (*media.Stream, error) {
	base, profile, ok := name.Rendition()
	if !ok {
		return nil, media.ErrNotFound
	}
	to, ok := parseProfile(profile)
	if !ok {
		return nil, fmt.Errorf("%s: there is no profile %q, the profiles are %s: %w", name, profile, profiles, media.ErrNotFound)
	}
	if _, _, ok := base.Rendition(); ok {
		return nil, fmt.Errorf("%s: is a rendition of a rendition: %w", name, media.ErrNotFound)
	}
	st, err := p.hub.Open(ctx, base)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	j, err := p.begin(name, st, to)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	select {
	case p.jobs <- j:
		return j.pub.Stream(), nil
	case <-ctx.Done():
		j.close()
		return nil, ctx.Err()
	}
}

// job is one rendition.
type job struct {
	base    *media.Stream
	sub     *media.Subscription
	pub     *media.Publisher
	convert []*converter // of each track; nil: it passes untouched
}

// begin publishes the rendition's tracks.
func (p *Pool) begin(name media.Name, base *media.Stream, to codec) (*job, error) {
	tracks, convert, err := plan(base.Tracks(), to)
	if err != nil {
		return nil, err
	}
	o := media.Origin{Kind: "transcode", Remote: string(base.Name()), Verbatim: true}
	pub, err := p.hub.Publish(name, tracks, o)
	if err != nil {
		return nil, err
	}
	j := &job{base: base, pub: pub, convert: convert}
	for i := range tracks {
		if c, ok := base.Clock(i); ok {
			_ = pub.WriteRTCP(i, report(base.SSRC(i), c), time.Now()) // ended already: work finds that out
		}
	}
	j.sub = base.Subscribe(media.SubscribeOptions{FromKey: true})
	return j, nil
}

func (j *job) close() {
	j.sub.Close()
	j.pub.End()
}

// work makes the rendition until nobody wants it, its base ends or ctx does.
func (p *Pool) work(ctx context.Context, j *job) {
	defer j.close()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := j.pub.Stream().Idle(ctx, p.idleAfter); err != nil {
			return err
		}
		return errIdle
	})
	g.Go(func() error { return j.pump(ctx) })
	switch err := g.Wait(); {
	case errors.Is(err, errIdle), errors.Is(err, io.EOF), errors.Is(err, media.ErrEnded), errors.Is(err, context.Canceled):
	default:
		p.log.Warn("rendition lost", "stream", j.pub.Stream().Name(), "err", err)
	}
}

// errIdle ends the work on a rendition that nobody wants.
var errIdle = errors.New("nobody subscribes")

// pump converts what the base publishes.
func (j *job) pump(ctx context.Context) error {
	for {
		pkts, err := j.sub.Next(ctx)
		if err != nil {
			return err
		}
		for i := range pkts {
			if err := j.write(&pkts[i]); err != nil {
				return err
			}
		}
	}
}

// write publishes what becomes of a packet.
func (j *job) write(p *media.Packet) error {
	if p.Report {
		return j.pub.WriteRTCP(p.Track, p.Data, p.Arrived)
	}
	c := j.convert[p.Track]
	if c == nil {
		// The publisher may rewrite the header, which the base's other subscribers share.
		return j.pub.WriteRTP(p.Track, append([]byte(nil), p.Data...), p.Arrived)
	}
	for _, b := range c.packets(p) {
		if err := j.pub.WriteRTP(p.Track, b, p.Arrived); err != nil {
			return err
		}
	}
	return nil
}
