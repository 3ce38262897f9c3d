package transcode

import (
	"context"
	"errors"
	"io"
	"time"

	"peergate/media"

	"golang.org/x/sync/errgroup"
)

// job is one rendition that is made without ffmpeg.
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
	o := media.Origin{Kind: originKind, Remote: string(base.Name()), Verbatim: true}
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
		if err := j.pub.Stream().Idle(ctx, p.cfg.IdleAfter); err != nil {
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
