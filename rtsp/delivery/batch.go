package delivery

import (
	"sync"
	"sync/atomic"
	"time"

	"peergate/media"
)

const (
	// maxTracks bounds the tracks of a player; a description has at most as many (media.ParseSDP).
	maxTracks = 16
	// maxBatch is the size in bytes from which a batch is closed within a frame: as much as one UDP_SEGMENT message holds.
	maxBatch = 60_000
)

// batch is a run of a stream's packets, usually a frame. It is immutable once it has left its feed and shared by all
// players. Who keeps it retains it; what nobody keeps is used again.
type batch struct {
	number  uint64         // consecutive within the feed
	key     bool           // a player can start with its first packet
	arrived time.Time      // when its first packet came
	rate    int            // of the stream, in bytes a second, as it was then
	packets []media.Packet // of RTP
	reports []media.Packet // sender reports that came with them
	bytes   int            // of the packets
	refs    atomic.Int32
	pool    *sync.Pool

	mu    sync.Mutex // guards the fields below
	forms []*form    // one for each layout in use
	spare []*form
}

func (b *batch) retain() { b.refs.Add(1) }

// release gives the batch up.
func (b *batch) release() {
	if n := b.refs.Add(-1); n > 0 {
		return
	} else if n < 0 {
		panic("delivery: a batch was released more often than retained")
	}
	clear(b.packets)
	clear(b.reports)
	b.packets, b.reports, b.bytes, b.key = b.packets[:0], b.reports[:0], 0, false
	b.spare, b.forms = append(b.spare, b.forms...), b.forms[:0]
	b.pool.Put(b)
}

// form returns the batch as players of a layout get it.
func (b *batch) form(l *layout) *form {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.forms {
		if f.layout == *l {
			return f
		}
	}
	f := &form{}
	if n := len(b.spare); n > 0 {
		f, b.spare = b.spare[n-1], b.spare[:n-1]
	}
	f.build(l, b.packets, nil)
	b.forms = append(b.forms, f)
	return f
}

// count returns how many packets of a layout's tracks the batch has.
func (b *batch) count(l *layout) (n int) {
	for i := range b.packets {
		if l.has(b.packets[i].Track) {
			n++
		}
	}
	return n
}

// first returns the first packet of a track, or nil.
func (b *batch) first(track int) *media.Packet {
	for i := range b.packets {
		if b.packets[i].Track == track {
			return &b.packets[i]
		}
	}
	return nil
}
