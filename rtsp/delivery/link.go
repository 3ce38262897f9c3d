package delivery

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxUnsent bounds the answers in bytes that wait for a client: four of the longest description.
	maxUnsent = 256 << 10
	// maxPieces and maxGather bound what is written at once, so that one player that catches up does not hold up others.
	maxPieces = 64
	maxGather = 256 << 10
	// maxTurns is how often a link may write before others have their turn.
	maxTurns = 8
)

// Link is the sending side of a client's connection. Answers, the packets of the players that have theirs interleaved
// and nothing else go over it, each whole and in order.
type Link struct {
	shard  *shard
	pipe   pipe
	unsent atomic.Int64 // bytes of the messages that wait

	mu   sync.Mutex // guards the field below
	dead error      // why the link has ended, or nil

	// The fields below belong to the shard's loop.
	torn    []byte // what is left of a packet or message that was written in part
	then    func() // to be called when torn has been written
	queue   []message
	players []*Player
	running bool
	blocked bool      // until writable
	waits   uint64    // the ID under which it waits
	stuck   bool      // the last write was not taken whole
	since   time.Time // when something was taken the last time
}

// message waits for its turn on a link.
type message struct {
	b     []byte
	then  func() // called from any goroutine when b has been handed to the kernel or the link has ended; may be nil
	costs int64  // of unsent
}

// pipe writes on a connection without blocking.
type pipe interface {
	// write takes as many bytes of the pieces as there is room for; it calls their then, unless the piece was not taken whole.
	write(pieces []piece) (int, error)
	// await has the shard notified with an ID when there may be room.
	await(id uint64)
	close()
}

// piece is a part of what is to be written.
type piece struct {
	b    []byte
	of   *batch // to which b belongs, or nil
	then func()
}

// Send queues a message, such as an answer, behind what is on its way. It does not block and keeps b. The error is
// ErrClosed, or ErrStalled when the client leaves too much unread.
func (l *Link) Send(b []byte) error { return l.post(message{b: b}) }

// Flush waits until all that was sent so far has been handed to the kernel, or ctx ends.
func (l *Link) Flush(ctx context.Context) error {
	done := make(chan struct{})
	if err := l.post(message{then: sync.OnceFunc(func() { close(done) })}); err != nil {
		return err
	}
	select {
	case <-done:
		return l.err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the link without closing the connection; what was not flushed is lost. Players on it are ended with
// ErrClosed. It is idempotent.
func (l *Link) Close() error {
	l.shard.post(func() { l.fail(ErrClosed) })
	return nil
}

// post queues a message from any goroutine.
func (l *Link) post(m message) error {
	if err := l.err(); err != nil {
		return err
	}
	m.costs = int64(len(m.b))
	if l.unsent.Add(m.costs) > maxUnsent {
		l.unsent.Add(-m.costs)
		return ErrStalled
	}
	if !l.shard.post(func() { l.send(m) }) {
		return ErrClosed
	}
	return nil
}

func (l *Link) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// send queues a message in the loop.
func (l *Link) send(m message) {
	if l.err() != nil {
		l.unsent.Add(-m.costs)
		if m.then != nil {
			m.then()
		}
		return
	}
	l.queue = append(l.queue, m)
	l.run()
}

// writable goes on when the connection can take more.
func (l *Link) writable() {
	l.blocked = false
	delete(l.shard.blocked, l)
	l.run()
}

// run writes what there is: first what was torn, then messages, then the players' packets.
func (l *Link) run() {
	if l.running || l.blocked || l.pipe == nil {
		return
	}
	l.running = true
	for turn := 0; ; turn++ {
		g := &l.shard.out
		g.reset()
		l.gather(g)
		if len(g.pieces) == 0 {
			break
		}
		n, err := l.pipe.write(g.pieces)
		if n > 0 || !l.stuck {
			l.since = l.shard.now
		}
		l.stuck = n < g.bytes
		l.account(g, n)
		if err != nil {
			l.running = false
			l.fail(err)
			return
		}
		if n < g.bytes || turn == maxTurns {
			l.blocked = true
			l.shard.blocked[l] = struct{}{}
			l.waits = l.shard.await(l)
			l.pipe.await(l.waits)
			break
		}
	}
	l.running = false
	for i := 0; i < len(l.players); i++ {
		p := l.players[i]
		p.finish()
		if i < len(l.players) && l.players[i] != p {
			i--
		}
	}
}

// gather collects what is to be written next.
func (l *Link) gather(g *gather) {
	if len(l.torn) > 0 {
		g.add(piece{b: l.torn, then: l.then}, source{})
	}
	for i := range l.queue {
		if g.full() {
			return
		}
		g.add(piece{b: l.queue[i].b, then: l.queue[i].then}, source{message: true})
	}
	for _, p := range l.players {
		p.gather(g)
	}
}

// account notes that the first n bytes of what was gathered have been written.
func (l *Link) account(g *gather, n int) {
	messages := 0
	for i := range g.pieces {
		b, src := g.pieces[i].b, &g.sources[i]
		whole := n >= len(b)
		k := min(n, len(b))
		n -= k
		switch {
		case src.player != nil && k == 0 && len(b) > 0:
		case src.player != nil && whole:
			src.player.wrote(src, src.last)
		case src.player != nil:
			l.tear(src, k)
		case src.message:
			if whole {
				l.unsent.Add(-l.queue[messages].costs)
				messages++
			} else if k > 0 {
				l.torn, l.then = b[k:], l.queue[messages].then
				l.unsent.Add(-l.queue[messages].costs)
				messages++
			}
		case whole:
			l.torn, l.then = nil, nil
		default:
			l.torn = l.torn[k:]
		}
		if !whole {
			break
		}
	}
	if messages > 0 {
		m := copy(l.queue, l.queue[messages:])
		clear(l.queue[m:])
		l.queue = l.queue[:m]
	}
}

// tear keeps the rest of the packet that byte k of a piece belongs to, so that the next thing begins at its end.
func (l *Link) tear(src *source, k int) {
	f := src.form
	off := f.start(src.first) + k
	i := f.at(off)
	if off > f.start(i) {
		l.torn = append([]byte(nil), f.buf[off:f.packets[i].end]...)
		i++
	}
	src.player.wrote(src, i)
}

// fail ends the link and its players.
func (l *Link) fail(err error) {
	l.mu.Lock()
	again := l.dead != nil
	if !again {
		l.dead = err
	}
	l.mu.Unlock()
	if again {
		return
	}
	l.shard.load.Add(-1)
	l.pipe.close()
	l.pipe = nil
	delete(l.shard.blocked, l)
	delete(l.shard.waiters, l.waits)
	if l.then != nil {
		l.then()
	}
	for _, m := range l.queue {
		if m.then != nil {
			m.then()
		}
	}
	l.torn, l.then, l.queue = nil, nil, nil
	for _, p := range slices.Clone(l.players) { // one that is just ending takes itself off
		p.end(err, false)
	}
}

// gather is what a link writes at once.
type gather struct {
	pieces  []piece
	sources []source
	bytes   int
}

// source tells where a piece comes from; the zero source is what was torn.
type source struct {
	message bool
	player  *Player
	form    *form
	number  uint64 // of the batch
	first   int    // the packets of the form are first..last-1
	last    int
}

func (g *gather) reset() {
	clear(g.pieces)
	clear(g.sources)
	g.pieces, g.sources, g.bytes = g.pieces[:0], g.sources[:0], 0
}

func (g *gather) add(p piece, s source) {
	g.pieces, g.sources = append(g.pieces, p), append(g.sources, s)
	g.bytes += len(p.b)
}

func (g *gather) full() bool { return len(g.pieces) >= maxPieces || g.bytes >= maxGather }
