package delivery

import (
	"context"
	"io"
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

// Player is one receiver of a stream.
type Player struct {
	o      PlayerOptions
	sender *Sender
	shard  *shard
	feed   *feed
	link   *Link // of an interleaved player
	layout layout
	seal   sealFunc // of SRTP, or nil
	keyed  bool     // it gets the track whose key packets it has to begin with

	count    counters
	mu       sync.Mutex // guards the field below; not taken on the sending path
	reported reported

	// The fields below belong to the shard's loop.
	state      state
	flow       *flow
	index      int // in flow.players
	outlets    []outlet
	by         [maxTracks]*outlet
	several    bool   // its outlets have several sockets
	next       uint64 // the batch to be sent
	pkt        int    // the packet of its form to be sent
	skip       bool   // it goes on with a key packet only
	sent       bool   // it got a packet
	allow      time.Duration
	unreported uint16 // tracks whose first sender report is due, a bit for each
	own        *form  // the form of batch ownOf for this player alone, or nil
	ownOf      uint64 // the batch it began with
	pending    *pending
	tokens     int // bytes that may be sent at once over UDP
	refilled   time.Time
	paced      bool
	failing    time.Time // since when sending fails, or zero
	failure    error
	due        int64 // tick of the wheel
}

// outlet is the sending side of one track.
type outlet struct {
	*Outlet
	packets, octets uint32
	ssrc            uint32
	rtp, rtcp       *socket
	to, toRTCP      destination
	single          bool // takes no UDP_SEGMENT
	lastSR          *atomic.Uint64
	lastAt          *atomic.Int64
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
	p.outlets = make([]outlet, 0, len(o))
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
		out := outlet{Outlet: &o[i], lastSR: new(atomic.Uint64), lastAt: new(atomic.Int64)}
		p.outlets = append(p.outlets, out)
	}
	for i := range p.outlets {
		p.by[p.outlets[i].Track] = &p.outlets[i]
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

// send sends what can be sent.
func (p *Player) send() {
	switch {
	case p.state == waiting:
		p.begin()
	case p.state != playing && p.state != idle:
	case p.link != nil:
		p.link.run()
	default:
		if p.state == playing {
			p.queue()
		}
		p.finish()
	}
}

// finish ends the player when it has got all of a stream that has ended.
func (p *Player) finish() {
	if !p.flow.ended || p.state == over {
		return
	}
	if p.state == playing {
		p.shard.flush()
		if p.next < p.flow.head() {
			return
		}
	}
	if p.state != answering {
		p.end(io.EOF, true)
	}
}

// tick does what is due.
func (p *Player) tick() {
	if p.own != nil && p.ownOf < p.next {
		p.own = nil
	}
	switch {
	case !p.failing.IsZero() && p.shard.now.Sub(p.failing) >= p.sender.o.WriteTimeout:
		p.end(p.failure, false)
	case p.state == waiting, p.state == playing && p.next < p.flow.head(), p.flow.ended:
		p.send()
	}
}

// catchUp has a player that is too far behind skip to a key packet.
func (p *Player) catchUp() {
	fl := p.flow
	if p.next == fl.head() {
		p.allow = 0
		return
	}
	now := p.shard.now
	if !p.skip && now.Sub(fl.at(p.next).arrived) <= p.allow+maxLag {
		return
	}
	p.skip = true
	n, ok := p.entry()
	if !ok || n < p.next || n == p.next && p.pkt > 0 || now.Sub(fl.at(n).arrived) > maxLag {
		p.skipTo(fl.head())
		return
	}
	p.skipTo(n)
	p.skip, p.allow = false, 0
	p.lead()
}

// entry returns the newest batch with which the player can begin.
func (p *Player) entry() (uint64, bool) {
	fl := p.flow
	if !p.keyed && p.feed.keys >= 0 {
		return fl.head() - 1, len(fl.log) > 0
	}
	return fl.start, fl.keyed && fl.start >= fl.first
}

// skipTo leaves out what comes before batch n.
func (p *Player) skipTo(n uint64) {
	if !p.sent {
		p.next, p.pkt = n, 0
		return
	}
	for p.next < n {
		skipped := p.flow.at(p.next).count(&p.layout)
		if p.pkt > 0 {
			skipped = max(0, skipped-p.pkt)
		}
		p.count.skipped.Add(uint64(skipped))
		p.next, p.pkt = p.next+1, 0
	}
}

// form returns a batch as this player gets it.
func (p *Player) form(b *batch) *form {
	if p.own != nil && p.ownOf == b.number {
		return p.own
	}
	if p.seal == nil {
		return b.form(&p.layout)
	}
	f := &form{}
	f.build(&p.layout, b.packets, p.seal)
	return f
}

// gather adds the player's next packets to what its link writes.
func (p *Player) gather(g *gather) {
	if p.state != playing {
		return
	}
	p.catchUp()
	fl := p.flow
	pkt := p.pkt
	for n := p.next; n < fl.head() && !g.full(); n++ {
		b := fl.at(n)
		f := p.form(b)
		if pkt >= len(f.packets) {
			if n == p.next {
				p.next, p.pkt = n+1, 0
			} else {
				g.add(piece{}, source{player: p, form: f, number: n})
			}
			pkt = 0
			continue
		}
		last, due := p.untilReport(f, pkt)
		of := b
		if f == p.own || p.seal != nil {
			of = nil
		}
		g.add(piece{b: f.buf[f.start(pkt):f.packets[last-1].end], of: of},
			source{player: p, form: f, number: n, first: pkt, last: last})
		if due {
			return
		}
		pkt = 0
	}
}

// untilReport returns up to which packet the form can be sent at once, and whether a first sender report is due then.
func (p *Player) untilReport(f *form, from int) (last int, due bool) {
	if p.unreported != 0 {
		for i := from; i < len(f.packets); i++ {
			if t := f.packets[i].track; p.unreported&(1<<t) != 0 && p.flow.known(t) {
				return i + 1, true
			}
		}
	}
	return len(f.packets), false
}

// wrote notes that the packets of a source before last have been written.
func (p *Player) wrote(src *source, last int) {
	f := src.form
	p.next, p.pkt = src.number, last
	if last == len(f.packets) {
		p.next, p.pkt = src.number+1, 0
	}
	if src.first == last || p.state == over {
		return
	}
	for i := range p.outlets {
		o := &p.outlets[i]
		p.add(o, f.total(o.Track, src.first, last))
	}
	p.delivered(src.number)
	if p.unreported != 0 {
		p.reportFirst()
	}
}

// add counts packets of an outlet.
func (p *Player) add(o *outlet, s sum) {
	if s.packets == 0 {
		return
	}
	o.packets += s.packets
	o.octets += s.octets
	p.sent = true
	p.count.packets.Add(uint64(s.packets))
	p.count.bytes.Add(uint64(s.bytes))
}

// delivered notes the lag with which a batch was sent.
func (p *Player) delivered(n uint64) {
	if fl := p.flow; n >= fl.first && n < fl.head() {
		p.count.lag.Store(int64(p.shard.now.Sub(fl.at(n).arrived)))
	}
}

// settle lets a Play that waits return.
func (p *Player) settle(err error) {
	if p.pending != nil {
		p.pending.done <- err
		p.pending = nil
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
