package delivery

import (
	"cmp"
	"context"
	"io"
	"sync"
	"time"

	"peergate/media"
)

const (
	// batchTime is how long a batch waits for the end of its frame.
	batchTime = 2 * time.Millisecond
	// feedQueue is how many packets wait for a feed; it is behind only when the machine is overloaded.
	feedQueue = 4096
	// maxGroup bounds the kept group of pictures in bytes, as the stream itself does.
	maxGroup = 16 << 20
	// maxGroupAge bounds it in time.
	maxGroupAge = 20 * time.Second
	// defaultRate is the clock rate in Hz of a track that states none, as for the stream (RFC 3551 §5).
	defaultRate = 90000
	// warnTime is the least time between two warnings.
	warnTime = 10 * time.Second
	// rateTime is over how long the stream's rate is measured.
	rateTime = 500 * time.Millisecond
)

// feed reads one stream for all its players: it collects the packets into batches and hands these to the shards.
type feed struct {
	sender *Sender
	stream *media.Stream
	video  []bool // by track: its markers end a batch
	rates  []int  // by track: timestamps a second
	keys   int    // index of the track whose key packets players begin with; -1: they begin anywhere
	stop   chan struct{}

	players int // guarded by sender.mu

	mu      sync.Mutex // guards the field below
	changes []change
	changed chan struct{} // has a token when there are changes

	// The fields below belong to run.
	flows []*flow
	group []*batch // from the newest key batch on
	bytes int      // of the group
	cur   *batch   // being collected, or nil
	due   time.Time
	next  uint64
	ended bool
	rate  int
	since time.Time // the rate is measured since
	sum   int       // bytes since then

	lost   uint64 // packets that the subscription dropped, as last logged
	warned time.Time
}

// change is a flow that wants batches, or wants none any more.
type change struct {
	flow *flow
	join bool
}

func newFeed(s *Sender, st *media.Stream) *feed {
	tracks := st.Tracks()
	f := &feed{
		sender: s, stream: st, video: make([]bool, len(tracks)), rates: make([]int, len(tracks)), keys: -1,
		stop: make(chan struct{}), changed: make(chan struct{}, 1),
	}
	for i := range tracks {
		f.video[i], f.rates[i] = tracks[i].Kind == "video", cmp.Or(tracks[i].ClockRate(), defaultRate)
		if f.video[i] && f.keys < 0 {
			f.keys = i
		}
	}
	return f
}

// change tells run about a flow.
func (f *feed) change(c change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, c)
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// run reads the stream until the last player has gone or ctx ends.
func (f *feed) run(ctx context.Context) {
	sub := f.stream.Subscribe(media.SubscribeOptions{Queue: feedQueue, FromKey: f.keys >= 0})
	defer sub.Close()
	timer := time.NewTimer(batchTime)
	defer timer.Stop()
	for {
		f.read(ctx, sub)
		f.join(ctx)
		if f.cur != nil && len(f.cur.packets) > 0 {
			timer.Reset(time.Until(f.due))
		}
		select {
		case <-sub.Ready():
		case <-f.changed:
		case now := <-timer.C:
			if f.cur != nil && len(f.cur.packets) > 0 && !now.Before(f.due) {
				f.flush(ctx)
			}
		case <-f.stop:
			f.drop()
			return
		case <-ctx.Done():
			f.drop()
			return
		}
	}
}

// read takes what has come.
func (f *feed) read(ctx context.Context, sub *media.Subscription) {
	for !f.ended {
		packets, err := sub.Poll()
		if err == io.EOF {
			f.flush(ctx)
			f.ended = true
			f.tell(ctx, event{ended: true})
			return
		}
		if len(packets) == 0 {
			break
		}
		for i := range packets {
			f.add(ctx, &packets[i])
		}
	}
	if f.keys < 0 {
		f.flush(ctx) // no frame is to come whose packets could go together
	}
	if n := sub.Dropped(); n != f.lost && time.Since(f.warned) >= warnTime {
		f.sender.log.Warn("packets dropped, the machine is too slow", "stream", f.stream.Name(), "dropped", n-f.lost)
		f.lost, f.warned = n, time.Now()
	}
}

// add puts a packet into the batch, which it may complete.
func (f *feed) add(ctx context.Context, p *media.Packet) {
	if p.Report {
		b := f.open()
		b.reports = append(b.reports, *p)
		return
	}
	if p.Key && f.cur != nil && len(f.cur.packets) > 0 && !f.cur.key {
		f.flush(ctx)
	}
	b := f.open()
	if len(b.packets) == 0 {
		b.key, b.arrived, b.rate = p.Key, p.Arrived, f.rate
		f.due = time.Now().Add(batchTime)
	}
	b.packets = append(b.packets, *p)
	b.bytes += len(p.Data)
	f.measure(p)
	if b.bytes >= maxBatch || f.video[p.Track] && p.Marker() {
		f.flush(ctx)
	}
}

// open returns the batch that is being collected.
func (f *feed) open() *batch {
	if f.cur == nil {
		f.cur = f.sender.newBatch()
	}
	return f.cur
}

// measure keeps the stream's rate.
func (f *feed) measure(p *media.Packet) {
	f.sum += len(p.Data)
	if f.since.IsZero() {
		f.since = p.Arrived
	}
	if d := p.Arrived.Sub(f.since); d >= rateTime || f.rate == 0 && d >= rateTime/10 {
		f.rate = int(float64(f.sum) / d.Seconds())
		f.since, f.sum = p.Arrived, 0
	}
}

// flush hands the batch to the shards and keeps it while its group of pictures lasts.
func (f *feed) flush(ctx context.Context) {
	b := f.cur
	if b == nil || len(b.packets) == 0 {
		return
	}
	f.cur = nil
	b.number = f.next
	f.next++
	if b.key {
		f.forget()
	}
	if b.key || len(f.group) > 0 {
		f.group = append(f.group, b)
		f.bytes += b.bytes
		b.retain()
		if f.bytes > maxGroup || b.arrived.Sub(f.group[0].arrived) > maxGroupAge {
			f.forget()
		}
	}
	f.tell(ctx, event{batch: b})
	b.release()
}

// tell hands an event to all flows; it waits for a shard that is behind.
func (f *feed) tell(ctx context.Context, e event) {
	for _, fl := range f.flows {
		e.flow = fl
		f.hand(ctx, e)
	}
}

func (f *feed) hand(ctx context.Context, e event) {
	e.retain()
	select {
	case e.flow.shard.events <- e:
	case <-ctx.Done():
		e.release()
	}
}

// join takes in the flows that have come and lets go of those that have left.
func (f *feed) join(ctx context.Context) {
	f.mu.Lock()
	changes := f.changes
	f.changes = nil
	f.mu.Unlock()
	for _, c := range changes {
		if !c.join {
			for i, fl := range f.flows {
				if fl == c.flow {
					f.flows = append(f.flows[:i], f.flows[i+1:]...)
					break
				}
			}
			continue
		}
		f.flows = append(f.flows, c.flow)
		f.hand(ctx, event{flow: c.flow, first: f.next - uint64(len(f.group)), history: append([]*batch{}, f.group...)})
		if f.ended {
			f.hand(ctx, event{flow: c.flow, ended: true})
		}
	}
}

// forget lets the group of pictures go.
func (f *feed) forget() {
	for i, b := range f.group {
		b.release()
		f.group[i] = nil
	}
	f.group, f.bytes = f.group[:0], 0
}

// drop lets everything go.
func (f *feed) drop() {
	f.forget()
	if f.cur != nil {
		f.cur.release()
		f.cur = nil
	}
}
