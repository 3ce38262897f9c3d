package rtsp

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"peergate/conf"
	"peergate/media"

	"golang.org/x/sync/errgroup"
)

const (
	// redialFirst is the longest wait before the first redial: a camera that only dropped the connection is back at once.
	redialFirst = 500 * time.Millisecond
	// redialMax bounds the wait, so that a camera is back soon after its restart, which takes it about a minute.
	redialMax = 10 * time.Second
	// redialRefused is the wait after a password was refused: cameras lock an account after some five attempts, and each
	// further one prolongs that.
	redialRefused = 5 * time.Minute
	// yieldEvery is how often to look whether somebody else has stopped to publish a source's name.
	yieldEvery = time.Second
)

var (
	errIdle     = errors.New("nobody watches")
	errReplaced = errors.New("somebody else publishes this name now")
	errRefused  = errors.New("put the right user and password into the source's URL")
)

// begin publishes a source's tracks.
type begin func(tracks []media.Track) (*media.Publisher, error)

// feed brings the packets of a source until ctx ends or the source fails. It calls begin once, when it knows the tracks.
type feed func(ctx context.Context, begin begin) error

// pull keeps one source going: always, or on demand from the hub's Open until nobody has watched for a while. A source
// that fails is redialled, while its players wait, as long as they may.
//
//	on demand: idle ──open──► dialling ──tracks──► publishing ──nobody──► idle
//	                              ▲  ▲                 │ failed
//	                              │  └── backoff ◄─────┘
//	always:                     start
type pull struct {
	name   media.Name
	origin media.Origin
	set    conf.Stream
	feed   feed
	hub    *media.Hub
	log    *slog.Logger

	wake chan struct{} // has a token when open has added an attempt

	mu      sync.Mutex // guards the fields below
	last    *attempt   // the one that goes on, or else the last
	stopped bool
}

func newPull(name media.Name, o media.Origin, set conf.Stream, f feed, hub *media.Hub, log *slog.Logger) *pull {
	return &pull{
		name: name, origin: o, set: set, feed: f, hub: hub, log: log.With("stream", name, "remote", o.Remote),
		wake: make(chan struct{}, 1),
	}
}

func (p *pull) run(ctx context.Context) {
	defer p.stop()
	for ctx.Err() == nil {
		if !p.set.OnDemand {
			p.serve(ctx)
			continue
		}
		select {
		case <-p.wake:
			if p.wanted() {
				p.serve(ctx)
			}
		case <-ctx.Done():
		}
	}
}

// serve keeps the source going until nobody wants it any more.
func (p *pull) serve(ctx context.Context) {
	reason := "" // why the source is lost, as last logged
	for try := 0; ctx.Err() == nil; try++ {
		played, err := p.session(ctx)
		if played {
			try, reason = 0, ""
		}
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case errors.Is(err, errReplaced):
			p.log.Warn("source replaced by a publisher")
			if p.set.OnDemand || !p.yield(ctx) {
				return
			}
			continue
		}
		st := p.hub.Stream(p.name)
		if p.set.OnDemand && st == nil {
			return // whoever waited has been told
		}
		after := backoff(try, rand.Float64())
		if errors.Is(err, errRefused) {
			after = redialRefused
		}
		if err.Error() != reason {
			reason = err.Error()
			p.log.Warn("source lost", "err", err, "redial", after)
		}
		if !p.pause(ctx, after, st) {
			return
		}
	}
}

// session dials once and publishes until ctx ends, the source fails, or, on demand, nobody watches: then err is nil.
func (p *pull) session(ctx context.Context) (played bool, err error) {
	a := p.next()
	g, sctx := errgroup.WithContext(ctx)
	var pub *media.Publisher
	g.Go(func() error {
		err := p.feed(sctx, func(tracks []media.Track) (*media.Publisher, error) {
			var err error
			if pub, err = p.hub.Publish(p.name, tracks, p.origin); err != nil {
				return nil, err
			}
			g.Go(func() error { return p.watch(sctx, pub) })
			p.finish(a, pub.Stream(), nil)
			return pub, nil
		})
		if err == nil {
			err = errors.New("the source ended")
		}
		return err
	})
	err = g.Wait()
	switch {
	case pub == nil:
		p.finish(a, nil, err)
		return false, err
	case errors.Is(err, errIdle), ctx.Err() != nil:
		pub.End()
		return true, nil
	}
	pub.Close()
	return true, err
}

// watch returns when nobody wants what p publishes.
func (p *pull) watch(ctx context.Context, pub *media.Publisher) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		select {
		case <-pub.Done():
			return errReplaced
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	g.Go(func() error {
		if !p.set.OnDemand {
			return nil
		}
		err := pub.Stream().Idle(ctx, p.set.IdleAfter)
		switch {
		case err == nil:
			return errIdle
		case errors.Is(err, media.ErrEnded):
			return errReplaced
		}
		return err
	})
	return g.Wait()
}

// pause waits before a redial. It returns false when there is no use in one: ctx has ended or, on demand, the stream
// has, so that nobody waits for it.
func (p *pull) pause(ctx context.Context, d time.Duration, st *media.Stream) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	var ended <-chan struct{}
	if p.set.OnDemand {
		ended = st.Done()
	}
	select {
	case <-t.C:
		return true
	case <-ended:
		return false
	case <-ctx.Done():
		return false
	}
}

// yield waits until nobody else publishes the name; it returns false when ctx ends first.
func (p *pull) yield(ctx context.Context) bool {
	t := time.NewTicker(yieldEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if st := p.hub.Stream(p.name); st == nil || !st.Stats().Publishing {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}

// backoff returns the wait before a redial after the given number of failures in a row: it doubles up to redialMax.
// The random r of 0 to 1 takes up to half of it off, so that the pulls of a camera network that comes back spread out.
func backoff(failures int, r float64) time.Duration {
	d := redialMax
	if failures < 10 { // 2^10 of the first are beyond the bound
		d = min(redialMax, redialFirst<<failures)
	}
	return d - time.Duration(r*float64(d)/2)
}
