package delivery

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// state is what a player does.
type state uint8

const (
	idle      state = iota // before Play and after Pause
	waiting                // Play waits for the first packets
	answering              // the answer is on its way
	playing
	over
)

// Player is one receiver of a stream. What is used for each batch comes first, in few cache lines.
type Player struct {
	// The fields up to feed belong to the shard's loop.
	state      state
	skip       bool // it goes on with a key packet only
	sent       bool // it got a packet
	paced      bool
	several    bool   // its outlets have several sockets
	keyed      bool   // it gets the track whose key packets it has to begin with; fixed
	unreported uint16 // tracks whose first sender report is due, a bit for each
	shard      *shard // fixed
	flow       *flow
	link       *Link  // of an interleaved player; fixed
	next       uint64 // the batch to be sent
	pkt        int    // the packet of its form to be sent
	allow      time.Duration
	count      counters
	outlets    []outlet
	layout     layout // fixed
	own        *form  // the form of batch ownOf for this player alone, or nil
	ownOf      uint64 // the batch it began with
	seal       sealFunc
	by         [maxTracks]*outlet
	index      int // in flow.players
	tokens     int // bytes that may be sent at once over UDP
	refilled   time.Time
	failing    time.Time // since when sending fails, or zero
	failure    error
	due        int64 // tick of the wheel
	pending    *pending

	feed   *feed
	o      PlayerOptions
	sender *Sender

	mu       sync.Mutex // guards the field below; not taken on the sending path
	reported reported
}

// outlet is the sending side of one track.
type outlet struct {
	track           int
	packets, octets uint32
	single          bool // takes no UDP_SEGMENT
	rtp, rtcp       *socket
	to, toRTCP      destination
	lastSR          atomic.Uint64 // the middle of the last sender report's NTP time
	lastAt          atomic.Int64  // when that was sent, in ns
	*Outlet
}

// counters are written by the loop and read by anyone.
type counters struct {
	packets, bytes, skipped atomic.Uint64
	lag                     atomic.Int64
}

// destination is where datagrams go.
type destination struct {
	addr netip.AddrPort
	oob  []byte // control message that chooses the source address, or nil
	raw  rawAddr
}

// init fills what the options say.
func (p *Player) init() {
	o := p.o.Outlets
	p.outlets = make([]outlet, 0, len(o)) // does not grow: by points into it
	p.layout.datagrams = p.link == nil
	for i := range o {
		t := o[i].Track
		if t < 0 || t >= len(p.feed.video) || t >= maxTracks || p.layout.has(t) {
			continue
		}
		p.layout.tracks |= 1 << t
		p.layout.channels[t] = o[i].RTPChannel
		p.keyed = p.keyed || t == p.feed.keys
		if o[i].Seal != nil {
			p.seal = p.sealRTP
		}
		p.outlets = p.outlets[:len(p.outlets)+1]
		out := &p.outlets[len(p.outlets)-1]
		out.track, out.Outlet = t, &o[i]
		p.by[t] = out
	}
	p.reported.init(len(p.outlets))
}

// enter puts the player into its flow.
func (p *Player) enter() {
	for i := range p.outlets {
		o := &p.outlets[i]
		if o.Link == nil {
			o.rtp, o.to = p.shard.socket(o.RTP, o.RTPAddr, o.Source)
			o.rtcp, o.toRTCP = p.shard.socket(o.RTCP, o.RTCPAddr, o.Source)
			o.single = !o.rtp.segments()
			p.several = p.several || o.rtp != p.outlets[0].rtp
		}
	}
	if p.link != nil {
		p.link.players = append(p.link.players, p)
	}
	p.flow = p.shard.flow(p.feed)
	p.next = p.flow.first
	p.index = len(p.flow.players)
	p.flow.players = append(p.flow.players, p)
	if p.link != nil {
		if err := p.link.err(); err != nil {
			p.end(err, false)
		}
	}
}

// Play begins, or goes on after Pause. It fixes the first packets, calls answer in the shard, sends what that returns
// over the link, which may be nil for a client whose answer goes elsewhere, and only then the first packet. A track
// that is silent is waited for 2 s at most, a key frame for 10 s. answer must not block; it is called once at most, and
// exactly when Play returns nil. Play returns io.EOF when the stream has ended.
func (p *Player) Play(ctx context.Context, l *Link, answer func([]Start) []byte) error {
	w := &pending{link: l, answer: answer, done: make(chan error, 1)}
	if !p.shard.post(func() { p.play(w) }) {
		return ErrClosed
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	p.shard.call(func() {
		if p.pending == w {
			p.state = idle
			p.settle(ctx.Err())
		}
	})
	return <-w.done
}

// Pause stops sending; when it returns no packet is sent any more but those on their way. A later Play begins with a
// key frame that was not sent yet.
func (p *Player) Pause() {
	p.shard.call(func() {
		p.shard.flush()
		if p.state == over {
			return
		}
		p.settle(ErrClosed)
		p.state, p.failing = idle, time.Time{}
		if p.pkt > 0 {
			p.next, p.pkt = p.next+1, 0
		}
	})
}

// Close ends the player, with an RTCP BYE if wanted; it is idempotent, and when it returns nothing is sent any more.
func (p *Player) Close(bye bool) { p.shard.call(func() { p.end(nil, bye) }) }

// Stats returns the counters, without taking a lock of the sending path.
func (p *Player) Stats() Stats {
	st := Stats{
		Packets: p.count.packets.Load(), Bytes: p.count.bytes.Load(), Skipped: p.count.skipped.Load(),
		Lag: time.Duration(p.count.lag.Load()),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reported.fill(&st)
	return st
}

// end ends the player; err is the reason for Ended, or nil when it was asked for.
func (p *Player) end(err error, bye bool) {
	if p.state == over {
		return
	}
	p.shard.flush()
	if err != nil {
		p.settle(err)
	}
	p.settle(ErrClosed)
	p.state = over // before the BYE, which may end the link and what is on it
	if bye && p.sent {
		p.bye()
	}
	fl := p.flow
	last := len(fl.players) - 1
	fl.players[p.index] = fl.players[last]
	fl.players[p.index].index = p.index
	fl.players[last] = nil
	fl.players = fl.players[:last]
	if last == 0 {
		fl.close()
	}
	if p.link == nil {
		p.shard.load.Add(-1)
	}
	if l := p.link; l != nil {
		for i, q := range l.players {
			if q == p {
				l.players = append(l.players[:i], l.players[i+1:]...)
				break
			}
		}
	}
	p.sender.leave(p.feed)
	if err != nil && p.o.Ended != nil {
		p.o.Ended(err)
	}
}

// settle lets a Play that waits return.
func (p *Player) settle(err error) {
	if p.pending != nil {
		p.pending.done <- err
		p.pending = nil
	}
}
