package delivery

import (
	"context"
	"net"
	"sync"
	"time"
)

const (
	// writerQueue is how many bytes wait for a writer; when they do, it is full until half of them are written.
	writerQueue = 256 << 10
	// partTime is what a writer has for what is queued when the sender ends.
	partTime = 500 * time.Millisecond
)

// writer writes on a connection whose writes block, such as one over TLS, from a goroutine of its own.
type writer struct {
	conn  net.Conn
	shard *shard
	wake  chan struct{} // has a token when there is something to do

	mu     sync.Mutex // guards the fields below
	queue  []piece    // when full, write takes nothing more
	spare  []piece    // what run took before the last time
	bytes  int        // of what was taken and not written yet
	waits  uint64     // the ID to notify when there is room, or 0
	err    error      // why nothing more is written
	closed bool
}

func (s *Sender) newWriter(c net.Conn, l *Link) *writer {
	w := &writer{conn: c, shard: l.shard, wake: make(chan struct{}, 1)}
	s.start(w.run)
	return w
}

func (w *writer) write(pieces []piece) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	for _, p := range pieces {
		if w.bytes >= writerQueue {
			break
		}
		if p.of != nil {
			p.of.retain()
		}
		w.queue = append(w.queue, p)
		w.bytes += len(p.b)
		n += len(p.b)
	}
	w.poke()
	return n, nil
}

func (w *writer) await(id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = id
	w.notify()
}

// notify tells the shard when there is room again. The lock is held.
func (w *writer) notify() {
	if w.waits != 0 && (w.bytes <= writerQueue/2 || w.err != nil) {
		w.shard.notify(w.waits)
		w.waits = 0
	}
}

func (w *writer) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// close ends the writer; what is queued is lost.
func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	_ = w.conn.SetWriteDeadline(time.Unix(1, 0)) // a write on its way returns
	w.poke()
}

// run writes until the writer is closed or, with what was queued before that, until ctx ends.
func (w *writer) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.closed {
			_ = w.conn.SetWriteDeadline(time.Now().Add(partTime))
		}
		w.poke()
	})
	defer stop()
	for {
		pieces, closed := w.take()
		for i := range pieces {
			if w.err == nil && !closed && len(pieces[i].b) > 0 {
				w.put(pieces[i].b)
			}
			w.done(&pieces[i])
		}
		switch {
		case closed:
			return
		case len(pieces) > 0:
		case ctx.Err() != nil:
			return
		default:
			<-w.wake
		}
	}
}

// take exchanges the queue for an empty one.
func (w *writer) take() ([]piece, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.queue
	clear(w.spare)
	w.queue, w.spare = w.spare[:0], q
	return q, w.closed
}

// put writes one piece.
func (w *writer) put(b []byte) {
	if _, err := w.conn.Write(b); err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = err
	}
}

// done gives a piece up.
func (w *writer) done(p *piece) {
	if p.of != nil {
		p.of.release()
	}
	if p.then != nil {
		p.then()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes -= len(p.b)
	w.notify()
}
