package overlay

import (
	"context"
	"io"
	"sync"
	"time"
)

// writeTimeout is how long a write of control messages may take before the peer is taken for dead: several times the
// longest outage that a link should survive.
const writeTimeout = 10 * time.Second

// outbox is a queue of frames for a stream, written by one goroutine, so that nobody else waits for the network.
type outbox struct {
	limit int           // bytes
	ready chan struct{} // has a token when there is something to write

	mu  sync.Mutex // guards the field below
	buf []byte     // frames; when it would grow beyond limit, put fails
}

func newOutbox(limit int) *outbox { return &outbox{limit: limit, ready: make(chan struct{}, 1)} }

// put queues a frame with this body. It reports false when the queue is full: then the frame is dropped.
func (o *outbox) put(body []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.buf)+len(body) > o.limit {
		return false
	}
	o.buf = appendFrame(o.buf, body)
	o.poke()
	return true
}

func (o *outbox) poke() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// take exchanges the queue for an empty one.
func (o *outbox) take(spare []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.buf
	o.buf = spare[:0]
	return b
}

// deadlineWriter is what frames are written to.
type deadlineWriter interface {
	io.Writer
	SetWriteDeadline(t time.Time) error
}

// run writes what is queued until ctx ends or a write fails.
func (o *outbox) run(ctx context.Context, w deadlineWriter) error {
	var b []byte
	for {
		select {
		case <-o.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		if b = o.take(b); len(b) == 0 {
			continue
		}
		if err := w.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
}
