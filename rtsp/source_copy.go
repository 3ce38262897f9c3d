package rtsp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"peergate/media"
)

// copier is the feed of a stream that is another one of this gateway.
type copier struct {
	hub         *media.Hub
	of          media.Name
	silentAfter time.Duration
}

// feed copies the stream until ctx ends or the stream does. It begins with a key frame.
func (c copier) feed(ctx context.Context, begin begin) error {
	st, err := c.open(ctx)
	if err != nil {
		return err
	}
	sub := st.Subscribe(media.SubscribeOptions{FromKey: true})
	defer sub.Close()
	pub, err := begin(st.Tracks())
	if err != nil {
		return err
	}
	for {
		pkts, err := c.next(ctx, sub)
		if err != nil {
			return err
		}
		for i := range pkts {
			p := &pkts[i]
			if p.Report {
				_ = pub.WriteRTCP(p.Track, p.Data, p.Arrived)
				continue
			}
			// The publisher rewrites the header, which the other subscribers share.
			if err := pub.WriteRTP(p.Track, slices.Clone(p.Data), time.Now()); errors.Is(err, media.ErrEnded) {
				return err
			}
		}
	}
}

// open waits no longer than for a camera: streams may come from each other in a circle.
func (c copier) open(ctx context.Context) (*media.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, cameraTimeout)
	defer cancel()
	return c.hub.Open(ctx, c.of)
}

func (c copier) next(ctx context.Context, sub *media.Subscription) ([]media.Packet, error) {
	wait, cancel := context.WithTimeout(ctx, c.silentAfter)
	defer cancel()
	pkts, err := sub.Next(wait)
	switch {
	case errors.Is(err, io.EOF):
		return nil, media.ErrEnded
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("has sent nothing for %v", c.silentAfter)
	}
	return pkts, nil
}
