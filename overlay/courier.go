package overlay

import (
	"context"
	"sync"
	"time"
)

const (
	// maxWaiting bounds the bytes of chunks that wait for one stream: half a second of a 20 Mbit/s channel. What is
	// worth waiting for is said by each parcel.
	maxWaiting = 1280 << 10
	// chunkTimeout is how long the write of one chunk may take before the stream is taken for dead.
	chunkTimeout = 10 * time.Second
)

// parcel is a chunk on its way to a peer.
type parcel struct {
	wire   []byte
	stripe int
	vital  bool      // others are dropped before it
	put    time.Time // when it was queued
	until  time.Time // writing it later is of no use
	uplink *uplink   // on which it takes a turn; nil: on none
	report func(dropped bool, queued int, waited time.Duration)
	drop   bool
}

// courier writes parcels to a stream, one after the other, each whole or not at all. Nobody waits for it: a parcel that
// comes too late, or for which there is no room, is dropped. Every parcel is reported, in order.
type courier struct {
	ready chan struct{} // has a token when there is something to write

	mu    sync.Mutex // guards the fields below
	queue []parcel   // when it holds more than maxWaiting bytes, put drops: what is not vital first
	bytes int
	gone  bool // nobody will write any more
}

func newCourier() *courier { return &courier{ready: make(chan struct{}, 1)} }

// put queues a parcel.
func (c *courier) put(p parcel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes+len(p.wire) > maxWaiting && p.vital {
		c.makeRoom(c.bytes + len(p.wire) - maxWaiting)
	}
	p.drop = c.gone || c.bytes+len(p.wire) > maxWaiting
	if !p.drop {
		c.bytes += len(p.wire)
	}
	if c.gone {
		p.report(true, 0, 0)
		return
	}
	c.queue = append(c.queue, p)
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// makeRoom drops the oldest parcels that are not vital, until n bytes are free or none is left. The lock is held.
func (c *courier) makeRoom(n int) {
	for i := range c.queue {
		p := &c.queue[i]
		if n <= 0 {
			return
		}
		if !p.vital && !p.drop {
			p.drop = true
			c.bytes -= len(p.wire)
			n -= len(p.wire)
		}
	}
}

// take returns the next parcel.
func (c *courier) take() (p parcel, queued int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return parcel{}, 0, false
	}
	p = c.queue[0]
	c.queue[0] = parcel{}
	c.queue = c.queue[1:]
	if !p.drop {
		c.bytes -= len(p.wire)
	}
	return p, c.bytes, true
}

// run writes to a stream until ctx ends or a write fails.
func (c *courier) run(ctx context.Context, w deadlineWriter) error {
	for {
		select {
		case <-c.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		for {
			p, queued, ok := c.take()
			if !ok {
				break
			}
			if p.drop || !p.uplink.wait(ctx, len(p.wire), p.until) {
				p.report(true, queued, time.Since(p.put))
				continue
			}
			err := w.SetWriteDeadline(time.Now().Add(chunkTimeout))
			if err == nil {
				_, err = w.Write(p.wire)
			}
			p.report(err != nil, queued, time.Since(p.put))
			if err != nil {
				return err
			}
		}
	}
}

// drain takes what waits; nothing may be put any more.
func (c *courier) drain() []parcel {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.queue
	c.queue, c.bytes, c.gone = nil, 0, true
	return waiting
}

// close drops what waits and whatever comes later.
func (c *courier) close() {
	for _, p := range c.drain() {
		p.report(true, 0, time.Since(p.put))
	}
}
