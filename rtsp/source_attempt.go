package rtsp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"peergate/media"
)

// sameAnswer is how long the reason of a failure is given to whoever asks, without another dial. Players that
// reconnect in a loop would else hammer the source.
const sameAnswer = time.Second

// errStopped answers who asks for a source when the gateway is about to end.
var errStopped = errors.New("the gateway stops")

// attempt is one try to get the source's tracks.
type attempt struct {
	done chan struct{} // closed when the fields below are set
	st   *media.Stream
	err  error
	at   time.Time
}

// open joins the attempt that goes on or demands one, and waits for its outcome.
func (p *pull) open(ctx context.Context) (*media.Stream, error) {
	a, err := p.ask()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: waiting for %s: %w", p.name, p.remote(), ctx.Err())
	}
	if a.err != nil && len(p.inputs) > 1 { // it names them
		return nil, fmt.Errorf("%s: %w", p.name, a.err)
	}
	if a.err != nil {
		return nil, fmt.Errorf("%s: %s: %w", p.name, p.remote(), a.err)
	}
	return a.st, nil
}

// ask returns the attempt whose outcome is the answer: of an always wanted source that waits for its redial, the last.
func (p *pull) ask() (*attempt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil, errStopped
	}
	if a := p.last; a != nil && (a.pending() || a.err != nil && (!p.set.OnDemand || a.fresh())) {
		return a, nil
	}
	p.last = &attempt{done: make(chan struct{})}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return p.last, nil
}

func (a *attempt) pending() bool {
	select {
	case <-a.done:
		return false
	default:
		return true
	}
}

// fresh reports whether a failure is too new for another dial to have a chance.
func (a *attempt) fresh() bool {
	if errors.Is(a.err, errRefused) {
		return time.Since(a.at) < redialRefused
	}
	return time.Since(a.at) < sameAnswer
}

// wanted reports whether somebody waits for an attempt.
func (p *pull) wanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last != nil && p.last.pending()
}

// next returns the attempt to make: that which somebody waits for, or a new one.
func (p *pull) next() *attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil || !p.last.pending() {
		p.last = &attempt{done: make(chan struct{})}
	}
	return p.last
}

// finish answers those who wait for an attempt; only the first call counts.
func (p *pull) finish(a *attempt, st *media.Stream, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.pending() {
		a.st, a.err, a.at = st, err, time.Now()
		close(a.done)
	}
}

// stop answers whoever waits, now and from now on.
func (p *pull) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if a := p.last; a != nil && a.pending() {
		a.err = errStopped
		close(a.done)
	}
}
