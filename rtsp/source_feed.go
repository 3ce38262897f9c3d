package rtsp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"peergate/media"
)

// begin publishes a source's tracks.
type begin = func(tracks []media.Track) (*media.Publisher, error)

// feed brings the packets of a source until ctx ends or the source fails. It calls begin once, when it knows the tracks.
type feed func(ctx context.Context, begin begin) error

// run is a feed at work.
type run struct {
	in     int                   // the input that it brings
	cancel context.CancelFunc    // ends the feed
	begun  chan *media.Publisher // of one: has it when the tracks are known
	over   chan error            // of one: why the feed has ended
	pub    *media.Publisher      // nil until the tracks are known
}

// start begins a feed. A standby waits with its pictures for the first key frame, while another input plays.
func (p *pull) start(ctx context.Context, i int, standby bool) *run {
	ctx, cancel := context.WithCancel(ctx)
	r := &run{in: i, cancel: cancel, begun: make(chan *media.Publisher, 1), over: make(chan error, 1)}
	in := p.inputs[i]
	go func() {
		err := in.feed(ctx, func(tracks []media.Track) (*media.Publisher, error) {
			pub, err := p.publish(in, tracks, standby)
			if err == nil {
				r.begun <- pub
			}
			return pub, err
		})
		if err == nil {
			err = errors.New("the source ended")
		}
		r.over <- err
	}()
	return r
}

// publish gives the stream's name to an input.
func (p *pull) publish(in *input, tracks []media.Track, standby bool) (*media.Publisher, error) {
	if (standby || in.slate) && !p.hub.Continues(p.name, tracks, in.origin) {
		return nil, errDiffers
	}
	if standby {
		return p.hub.Standby(p.name, tracks, in.origin)
	}
	return p.hub.Publish(p.name, tracks, in.origin)
}

// await waits until the tracks are known.
func (r *run) await(ctx context.Context) error {
	select {
	case r.pub = <-r.begun:
		return nil
	case err := <-r.over:
		select {
		case r.pub = <-r.begun: // it has failed at once
			r.over <- err
			return nil
		default:
		}
		r.over <- err
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends the feed and waits for that; its publisher is left to the caller.
func (r *run) stop() {
	r.cancel()
	<-r.over
	if r.pub == nil {
		select {
		case r.pub = <-r.begun:
		default:
		}
	}
}

// order returns the inputs to try, after the given one has failed: the next ones, and then the slate. Without one that has
// failed it is all in their order, and of a single one that itself.
func (p *pull) order(failed int) []int {
	n := len(p.inputs)
	if p.inputs[n-1].slate {
		n--
	}
	var order []int
	if failed < 0 || failed >= n || len(p.inputs) == 1 {
		failed = n
	}
	for k := 1; k <= n; k++ {
		if i := (failed + k) % (n + 1); i < n {
			order = append(order, i)
		}
	}
	if n < len(p.inputs) {
		order = append(order, n)
	}
	return order
}

// find tries inputs in an order until one has told its tracks. The error is the reason for who waits.
func (p *pull) find(ctx context.Context, order []int) (*run, error) {
	a := p.next()
	var errs []error
	for _, i := range order {
		r, err := p.try(ctx, i)
		if err == nil {
			p.finish(a, r.pub.Stream(), nil)
			return r, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
		if len(p.inputs) > 1 {
			p.complain(i, err)
		}
	}
	err := p.blame(order, errs)
	p.finish(a, nil, err)
	return nil, err
}

// try waits until an input has told its tracks.
func (p *pull) try(ctx context.Context, i int) (*run, error) {
	in := p.inputs[i]
	if time.Now().Before(in.closed) {
		return nil, fmt.Errorf("has refused the password: %w", errRefused)
	}
	r := p.start(ctx, i, false)
	err := r.await(ctx)
	if err == nil {
		return r, nil
	}
	r.stop()
	if r.pub != nil { // ctx ended meanwhile
		r.pub.End()
	}
	if errors.Is(err, errRefused) {
		in.closed = time.Now().Add(redialRefused)
	}
	return nil, err
}

// blame makes one error of those of some inputs. It is errRefused only when all are.
func (p *pull) blame(order []int, errs []error) error {
	if len(p.inputs) == 1 {
		return errs[0]
	}
	var words []string
	refused := true
	for k, err := range errs {
		words = append(words, p.inputs[order[k]].origin.Remote+": "+err.Error())
		refused = refused && errors.Is(err, errRefused)
	}
	text := strings.Join(words, "; ")
	if refused {
		return fmt.Errorf("%s: %w", text, errRefused)
	}
	return errors.New(text)
}

// complain logs, once, why an input is not had.
func (p *pull) complain(i int, err error) {
	in := p.inputs[i]
	if text := err.Error(); text != in.reason {
		in.reason = text
		p.log.Warn("source lost, others are tried", "remote", in.origin.Remote, "err", err)
	}
}
