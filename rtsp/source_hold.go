package rtsp

import (
	"context"
	"errors"
	"sync"
	"time"

	"peergate/media"
)

// reclaimTimeout is how long an input that is tried while another plays may take to bring its first key frame.
const reclaimTimeout = 30 * time.Second

// partTime is how long a program may take to end after it has stopped to publish.
const partTime = 2 * time.Second

// hold keeps an input playing, and those before it that take over, until the one that plays fails: it returns which, and
// why. The error is nil when nobody watches any more or ctx ended.
func (p *pull) hold(ctx context.Context, r *run) (failed int, err error) {
	for {
		back, err := p.watch(ctx, r)
		end := err == nil || ctx.Err() != nil
		if back != nil && !end {
			r.stop()
			p.inputs[back.in].reason = ""
			p.log.Info("source returned", "remote", p.inputs[back.in].origin.Remote)
			r = back
			continue
		}
		for _, r := range []*run{r, back} {
			if r == nil {
				continue
			}
			r.stop()
			if end {
				r.pub.End()
			} else {
				r.pub.Close()
			}
		}
		if end {
			return r.in, nil
		}
		return r.in, err
	}
}

// watch returns when an input that is preferred to r has taken over, when r fails, when somebody else publishes or, without
// an error, when nobody watches.
func (p *pull) watch(ctx context.Context, r *run) (back *run, err error) {
	inner, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	idle, returned := make(chan error, 1), make(chan *run, 1)
	if p.set.OnDemand {
		beside.Go(func() { idle <- r.pub.Stream().Idle(inner, p.set.IdleAfter) })
	}
	if r.in > 0 {
		beside.Go(func() { returned <- p.reclaim(ctx, inner, r.in) })
	} else {
		returned <- nil
	}
	select {
	case <-r.pub.Done():
		err = p.parted(r)
	case err = <-r.over:
		r.over <- err
	case err = <-idle:
		if errors.Is(err, media.ErrEnded) {
			err = errReplaced
		}
	}
	cancel()
	beside.Wait()
	return <-returned, err
}

// parted tells why a publisher that was not stopped is done: another one has the name, or its program has left.
func (p *pull) parted(r *run) error {
	if st := p.hub.Stream(p.name); st != nil && st.Stats().Publishing {
		return errReplaced
	}
	t := time.NewTimer(partTime)
	defer t.Stop()
	select {
	case err := <-r.over:
		r.over <- err
		return err
	case <-t.C:
		return errors.New("has stopped to publish")
	}
}

// reclaim tries the inputs before the given one again and again, until one has taken over from it, and returns that. It
// returns nil when inner has ended; what it starts lives with ctx.
func (p *pull) reclaim(ctx, inner context.Context, playing int) *run {
	for try := 0; ; try++ {
		after := p.set.ReturnAfter
		if p.inputs[playing].slate {
			after = min(after, backoff(try, 0))
		}
		if !wait(inner, after) {
			return nil
		}
		for i := range playing {
			if r := p.stage(ctx, inner, i); r != nil {
				return r
			}
		}
	}
}

// stage tries an input beside the one that plays; it returns nil unless the input has taken over.
func (p *pull) stage(ctx, inner context.Context, i int) *run {
	in := p.inputs[i]
	if time.Now().Before(in.closed) {
		return nil
	}
	r := p.start(ctx, i, true)
	inner, cancel := context.WithTimeout(inner, reclaimTimeout)
	defer cancel()
	err := r.await(inner)
	if err == nil {
		select {
		case <-r.pub.Entered():
		case <-r.pub.Done():
		case err = <-r.over:
			r.over <- err
		case <-inner.Done():
			err = errors.New("has brought no key frame")
		}
		select {
		case <-r.pub.Entered(): // perhaps meanwhile
			return r
		default:
		}
	}
	r.stop()
	if r.pub != nil {
		r.pub.Close()
		select {
		case <-r.pub.Entered(): // in the last moment
			r.over <- errors.New("stopped")
			return r
		default:
		}
	}
	if errors.Is(err, errRefused) {
		in.closed = time.Now().Add(redialRefused)
	}
	if errors.Is(err, errDiffers) {
		p.complain(i, err)
	}
	return nil
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
