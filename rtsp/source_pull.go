package rtsp

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"peergate/conf"
	"peergate/media"
)

const (
	// redialFirst is the longest wait before the first redial: a camera that only dropped the connection is back at once.
	redialFirst = 500 * time.Millisecond
	// redialMax bounds the wait, so that a camera is back soon after its restart, which takes it about a minute.
	redialMax = 10 * time.Second
	// redialRefused is the wait after a password was refused: cameras lock an account after some five attempts, and each
	// further one prolongs that.
	redialRefused = 5 * time.Minute
	// steadyAfter is how long an input must have played for the next one to take over at once when it fails.
	steadyAfter = 3 * time.Second
	// yieldEvery is how often to look whether somebody else has stopped to publish a source's name.
	yieldEvery = time.Second
)

var (
	errReplaced = errors.New("somebody else publishes this name now")
	errDiffers  = errors.New("its tracks are not those that the players have, who would be dropped: let it send the same codecs and the same sound")
	errRefused  = errors.New("put the right user and password into the source's URL")
)

// input is one of the places that a stream can come from.
type input struct {
	origin media.Origin
	feed   feed
	slate  bool // shown when all others are gone

	// The fields below belong to the pull's loop.
	reason string    // why it is not had, as last logged
	closed time.Time // until when it is not tried, since it has refused the password
}

// pull keeps one stream going: always, or on demand from the hub's Open until nobody has watched for a while. When what
// it comes from fails, the next input takes over; when all have, they are redialled, while the players wait, as long as
// they may. While a later input plays, those before it are tried beside it.
//
//	on demand: idle ──open──► dialling ──tracks──► publishing ──nobody──► idle
//	                              ▲  ▲                 │ failed
//	                              │  └── backoff ◄─────┘
//	always:                     start
type pull struct {
	name   media.Name
	inputs []*input // in the order of preference
	set    conf.Stream
	hub    *media.Hub
	log    *slog.Logger

	wake chan struct{} // has a token when open has added an attempt

	mu      sync.Mutex // guards the fields below
	last    *attempt   // the one that goes on, or else the last
	stopped bool
}

func newPull(name media.Name, inputs []*input, set conf.Stream, hub *media.Hub, log *slog.Logger) *pull {
	return &pull{
		name: name, inputs: inputs, set: set, hub: hub, log: log.With("stream", name), wake: make(chan struct{}, 1),
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

// serve keeps the stream going until nobody wants it any more.
func (p *pull) serve(ctx context.Context) {
	reason := "" // why the stream is lost, as last logged
	order := p.order(-1)
	for try := 0; ctx.Err() == nil; try++ {
		began := time.Now()
		r, err := p.find(ctx, order)
		order = p.order(-1)
		if err == nil {
			var failed int
			failed, err = p.hold(ctx, r)
			steady := time.Since(began) > steadyAfter
			if steady || len(p.inputs) == 1 {
				try, reason = 0, ""
			}
			if err != nil && ctx.Err() == nil && !errors.Is(err, errReplaced) {
				order = p.order(failed)
				if steady && len(p.inputs) > 1 {
					p.complain(failed, err)
					continue
				}
			}
		}
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case errors.Is(err, errReplaced):
			p.log.Warn("source replaced by a publisher", "remote", p.remote())
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
			p.log.Warn("source lost", "remote", p.remote(), "err", err, "redial", after)
		}
		if !p.pause(ctx, after, st) {
			return
		}
	}
}

// remote names all inputs.
func (p *pull) remote() string {
	var all []string
	for _, in := range p.inputs {
		all = append(all, in.origin.Remote)
	}
	return strings.Join(all, ", ")
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
