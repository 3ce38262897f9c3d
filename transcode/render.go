package transcode

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"peergate/media"
	"peergate/transcode/process"
)

const (
	// firstRetry is how long an ffmpeg that has ended is waited for at first: players notice less than 2 s.
	firstRetry = 100 * time.Millisecond
	// lastRetry is how long at most.
	lastRetry = 10 * time.Second
	// steady is how long an ffmpeg must have run for its end to count as the first.
	steady = 30 * time.Second
	// leastIdle is how long a rendition waits for a player at least: so much may lie between its DESCRIBE and PLAY.
	leastIdle = time.Second
	// endWait is how long a killed ffmpeg's pipes may stay open.
	endWait = 2 * time.Second
	// linger is how long players wait for an ffmpeg to begin again: several retries.
	linger = 30 * time.Second
)

// The reasons why the work on a rendition ends.
var (
	errHangs  = errors.New("ffmpeg hangs: it makes nothing of what comes")
	errTaken  = errors.New("somebody else publishes this name now")
	errOpener = errors.New("nobody waits for it any more")
)

// render is one rendition that ffmpeg makes.
type render struct {
	pool   *Pool
	name   media.Name
	base   *media.Stream
	recipe *recipe
	since  time.Time
	began  chan struct{} // closed when ffmpeg publishes for the first time
	failed chan error    // of one: why it never did

	mu       sync.Mutex       // guards the fields below
	pub      *media.Publisher // the newest
	over     bool             // nothing is published any more
	pid      int              // 0 while no ffmpeg runs
	starts   int              // of ffmpeg
	progress *progress        // of the newest ffmpeg
	frames   uint64           // of those before
	err      error            // why the last one ended
}

// work makes the rendition until nobody wants it, its base ends or ctx does. It stays on its thread, on whose end the
// kernel kills ffmpeg.
func (r *render) work(ctx, opening context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer r.pool.leave(r)
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer r.end()
	defer cancel(nil)
	for _, over := range []func() error{
		func() error { return r.unwanted(ctx, opening) },
		func() error { return r.ended(ctx) },
	} {
		watching.Go(func() {
			err := over()
			r.end() // before ffmpeg is gone, for which players would wait
			cancel(err)
		})
	}
	retry := firstRetry
	for {
		began := time.Now()
		err := r.once(ctx)
		if ctx.Err() != nil {
			r.failed <- context.Cause(ctx) // Open may still wait
			return
		}
		if r.stream() == nil {
			r.failed <- err
			return
		}
		if time.Since(began) > steady {
			retry = firstRetry
		}
		r.pool.log.Warn("rendition interrupted", "stream", r.name, "err", err, "redial", retry)
		if !wait(ctx, retry) {
			return
		}
		retry = min(2*retry, lastRetry)
	}
}

// wait waits and reports false when ctx ends before.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// unwanted waits until nobody is left who wants the rendition, and says so; opening is the call of Open that waits for it.
func (r *render) unwanted(ctx, opening context.Context) error {
	select {
	case <-r.began:
	case <-ctx.Done():
		return ctx.Err()
	case <-opening.Done():
		if r.stream() == nil {
			return errOpener
		}
	}
	if r.pool.always[r.name] {
		<-ctx.Done()
		return ctx.Err()
	}
	if err := r.stream().Idle(ctx, max(r.pool.cfg.IdleAfter, leastIdle)); err != nil {
		return err
	}
	return errIdle
}

// ended waits until the base has ended.
func (r *render) ended(ctx context.Context) error {
	select {
	case <-r.base.Done():
		return media.ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// once runs ffmpeg until it ends.
func (r *render) once(ctx context.Context) error {
	from, revokeFrom, err := r.pool.server.ReadPass(ctx, r.base.Name())
	if err != nil {
		return err
	}
	defer revokeFrom()
	to, revokeTo, err := r.pool.server.PublishPass(ctx, r.name, r.publish)
	if err != nil {
		return err
	}
	defer revokeTo()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := new(progress)
	cmd := exec.CommandContext(ctx, r.recipe.tool.Path, r.recipe.args(from, to)...)
	process.Contain(cmd)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &process.Lines{Line: p.tell}, &process.Lines{Line: p.words.Add}, endWait
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("ffmpeg: %w", err)
	}
	_ = process.StandBack(cmd, r.pool.cfg.Nice) // it may have ended
	r.started(cmd.Process.Pid, p)
	var watching sync.WaitGroup
	watching.Go(func() { r.watch(ctx, p, cancel) })
	err = cmd.Wait()
	cancel(nil)
	watching.Wait()
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errHangs):
		err = cause
	case p.words.String() != "":
		err = fmt.Errorf("ffmpeg: %s", p.words.String())
	case err == nil:
		err = errors.New("ffmpeg has ended")
	default:
		err = fmt.Errorf("ffmpeg: %w", err)
	}
	r.stopped(err)
	return err
}

// watch ends an ffmpeg that makes nothing though its base sends.
func (r *render) watch(ctx context.Context, p *progress, kill func(error)) {
	var made time.Duration
	came, silent := r.base.Stats().Packets, time.Duration(0)
	every := r.pool.cfg.SilentAfter / 4
	for wait(ctx, every) {
		_, now, _ := p.read()
		packets := r.base.Stats().Packets
		switch {
		case now != made:
			silent = 0
		case packets != came:
			silent += every
		}
		made, came = now, packets
		if silent >= r.pool.cfg.SilentAfter {
			kill(errHangs)
			return
		}
	}
}

// publish gives ffmpeg the rendition's name, unless somebody else has taken it.
func (r *render) publish(tracks []media.Track) (*media.Publisher, error) {
	if st := r.pool.hub.Stream(r.name); st != nil && st.Origin().Kind != originKind && st.Stats().Publishing {
		return nil, errTaken
	}
	o := media.Origin{Kind: originKind, Remote: string(r.base.Name()), Linger: linger}
	pub, err := r.pool.hub.Publish(r.name, tracks, o)
	if err != nil {
		return nil, err
	}
	if !r.take(pub) {
		pub.End()
		return nil, media.ErrEnded
	}
	return pub, nil
}

// take notes the newest publisher, unless the rendition is over.
func (r *render) take(pub *media.Publisher) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	if r.pub == nil {
		close(r.began)
	}
	r.pub = pub
	return true
}

// end ends the rendition's stream, also one that waits for ffmpeg to come back. Nothing is published afterwards.
func (r *render) end() {
	r.mu.Lock()
	pub, done := r.pub, r.over
	r.over = true
	r.mu.Unlock()
	if pub == nil || done {
		return
	}
	st := pub.Stream()
	if s := st.Stats(); !s.Publishing && r.pool.hub.Stream(r.name) == st { // only a publisher can end it
		if again, err := r.pool.hub.Publish(r.name, st.Tracks(), st.Origin()); err == nil {
			pub = again
		}
	}
	pub.End()
}

// stream returns the rendition, or nil before ffmpeg has published it.
func (r *render) stream() *media.Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pub == nil {
		return nil
	}
	return r.pub.Stream()
}
