package delivery

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"peergate/media"
)

// busy is from how many links and players on it pays to wake another shard, too: that costs as much as some 20 writes.
const busy = 32

// defaultWriteTimeout is after how long a player that takes nothing is ended where the options do not say.
const defaultWriteTimeout = 10 * time.Second

// Sender sends the streams of a hub to players.
type Sender struct {
	o      Options // but for the two below, which Reconfigure changes
	write  atomic.Int64
	maxAge atomic.Int64
	log    *slog.Logger
	shards []*shard
	pool   sync.Pool     // of *batch
	wanted chan struct{} // has a token when something waits in starts

	mu     sync.Mutex // guards the fields below
	feeds  map[*media.Stream]*feed
	starts []func(context.Context) // goroutines that Run is to start
}

// New returns a sender that does nothing until Run.
func New(o Options, log *slog.Logger) *Sender {
	if o.Shards <= 0 {
		o.Shards = runtime.GOMAXPROCS(0)
	}
	s := &Sender{
		o: o, log: log.With("part", "delivery"), feeds: make(map[*media.Stream]*feed), wanted: make(chan struct{}, 1),
	}
	s.Reconfigure(o)
	s.pool.New = func() any { return &batch{pool: &s.pool} }
	for range o.Shards {
		s.shards = append(s.shards, newShard(s))
	}
	return s
}

// Reconfigure takes over the write timeout and the age of key frames to begin with; players stay.
func (s *Sender) Reconfigure(o Options) {
	s.write.Store(int64(cmp.Or(o.WriteTimeout, defaultWriteTimeout)))
	s.maxAge.Store(int64(o.StartMaxAge))
}

// writeTimeout returns after how long a player that takes nothing is ended.
func (s *Sender) writeTimeout() time.Duration { return time.Duration(s.write.Load()) }

// Run sends until ctx ends; then the players that are left get their RTCP BYE and it returns nil. It can be run once. Links and players may
// be made before, but Play, Pause and Close of a player wait for Run to begin.
func (s *Sender) Run(ctx context.Context) error {
	defer s.end()
	for _, sh := range s.shards {
		if err := sh.open(); err != nil {
			return err
		}
		defer sh.close()
	}
	// Feeds and writers end after the shards, whose last words they pass on.
	var rest errgroup.Group
	restCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	for _, sh := range s.shards {
		g.Go(func() error { return sh.run(ctx) })
		g.Go(func() error { return sh.watch(ctx) })
	}
	for {
		for _, start := range s.started() {
			rest.Go(func() error { start(restCtx); return nil })
		}
		select {
		case <-s.wanted:
		case <-ctx.Done():
			err := g.Wait()
			stop()
			_ = rest.Wait()
			return err
		}
	}
}

// start has Run start a goroutine, which ends with its context.
func (s *Sender) start(f func(context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want(f)
}

// want is start with the lock held.
func (s *Sender) want(f func(context.Context)) {
	s.starts = append(s.starts, f)
	select {
	case s.wanted <- struct{}{}:
	default:
	}
}

func (s *Sender) started() []func(context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	starts := s.starts
	s.starts = nil
	return starts
}

// end refuses whatever comes after Run.
func (s *Sender) end() {
	for _, sh := range s.shards {
		sh.refuse()
	}
}

// Link takes over the writing on a connection, which must have no write deadline. A *net.TCPConn is written without
// blocking; anything else, such as TLS or the answer side of an HTTP tunnel over TLS, has a goroutine of its own and a
// bounded queue.
func (s *Sender) Link(c net.Conn) *Link {
	l := &Link{shard: s.pick()}
	l.shard.load.Add(1)
	l.pipe = s.newPipe(c, l)
	return l
}

// Player adds a player, which gets nothing until Play.
func (s *Sender) Player(o PlayerOptions) *Player {
	p := &Player{o: o, sender: s, shard: s.pick(), feed: s.join(o.Stream)}
	for i := range o.Outlets {
		if l := o.Outlets[i].Link; l != nil {
			p.link, p.shard = l, l.shard
		}
	}
	if p.link == nil {
		p.shard.load.Add(1)
	}
	p.init()
	p.shard.post(p.enter)
	return p
}

// pick returns the shard for a new link or player: the first one that is not busy, else the least busy one.
func (s *Sender) pick() *shard {
	least := s.shards[0]
	for _, sh := range s.shards {
		n := sh.load.Load()
		if n < busy {
			return sh
		}
		if n < least.load.Load() {
			least = sh
		}
	}
	return least
}

// join returns the feed of a stream for one more player.
func (s *Sender) join(st *media.Stream) *feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.feeds[st]
	if f == nil {
		f = newFeed(s, st)
		s.feeds[st] = f
		s.want(f.run)
	}
	f.players++
	return f
}

// leave ends a feed when its last player has gone.
func (s *Sender) leave(f *feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.players--; f.players == 0 {
		delete(s.feeds, f.stream)
		close(f.stop)
	}
}

// newBatch returns an empty batch, retained once.
func (s *Sender) newBatch() *batch {
	b := s.pool.Get().(*batch)
	b.refs.Store(1)
	return b
}
