package delivery

import (
	"io"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format"

	"peergate/media"
)

const (
	// silentTime is how long PLAY waits for a silent track.
	silentTime = 2 * time.Second
	// keyTime is how long PLAY waits for a key frame: some cameras send one each 10 s.
	keyTime = 10 * time.Second
)

// pending is a call of Play that waits.
type pending struct {
	link   *Link
	answer func([]Start) []byte
	done   chan error
	begun  time.Time
	head   uint64 // batches from here on came after the call
}

// play takes a call of Play.
func (p *Player) play(w *pending) {
	switch {
	case p.state == over || p.state == waiting || p.state == answering:
		w.done <- ErrClosed
	case p.state == playing:
		p.reply(w, p.present(), nil)
		w.done <- nil
	default:
		w.begun, w.head = p.shard.now, p.flow.head()
		p.pending, p.state = w, waiting
		p.begin()
	}
}

// begin fixes the first packets, if they are there, and answers.
func (p *Player) begin() {
	fl, w := p.flow, p.pending
	switch {
	case fl.ended:
		p.end(io.EOF, true)
		return
	case !fl.attached:
		return
	}
	n, found := p.beginning()
	if !found {
		if since := p.shard.now.Sub(w.begun); since < silentTime || since < keyTime && !p.silent() {
			return
		}
		p.skip = true
		p.skipTo(fl.head())
		p.start(p.unknown())
		return
	}
	starts, complete := p.starts(n)
	if !complete {
		return
	}
	p.skip = false
	p.skipTo(n)
	p.allow = p.shard.now.Sub(fl.at(n).arrived)
	sets := p.lead()
	for i := range starts {
		if s := &starts[i]; s.Track == p.feed.keys {
			s.Seq -= uint16(sets)
		}
	}
	p.start(starts)
}

// beginning returns the batch to begin with.
func (p *Player) beginning() (n uint64, found bool) {
	fl := p.flow
	if !p.keyed && p.feed.keys >= 0 {
		return max(p.next, p.pending.head), max(p.next, p.pending.head) < fl.head()
	}
	n, found = p.entry()
	if !found || n < p.next {
		return n, false
	}
	return n, n >= p.pending.head || p.shard.now.Sub(fl.at(n).arrived) < time.Duration(p.sender.maxAge.Load())
}

// silent reports whether none of the player's tracks has had a packet lately.
func (p *Player) silent() bool {
	for i := range p.outlets {
		if p.quiet(p.outlets[i].track) < silentTime {
			return false
		}
	}
	return true
}

// quiet returns for how long a track has been silent, as far as the flow can know.
func (p *Player) quiet(track int) time.Duration {
	last := p.flow.begun
	if seen := p.flow.tracks[track].seen; seen.After(last) {
		last = seen
	}
	return p.shard.now.Sub(last)
}

// given reports whether a track is not waited for any more.
func (p *Player) given(track int) bool {
	return p.quiet(track) >= silentTime || p.shard.now.Sub(p.pending.begun) >= silentTime
}

// starts tells how the tracks begin when batch n is the first; it is not complete while a track has to be waited for.
func (p *Player) starts(n uint64) (starts []Start, complete bool) {
	fl := p.flow
	firsts := make([]*media.Packet, len(p.outlets))
	var ref *media.Packet // its timestamp is the instant at which playing begins
	for i := range p.outlets {
		t := p.outlets[i].track
		for m := n; m < fl.head() && firsts[i] == nil; m++ {
			firsts[i] = fl.at(m).first(t)
		}
		if firsts[i] == nil && !p.given(t) {
			return nil, false
		}
		if f := firsts[i]; f != nil && (ref == nil || t == p.feed.keys || ref.Track != p.feed.keys && f.Arrived.Before(ref.Arrived)) {
			ref = f
		}
	}
	for i := range p.outlets {
		t := p.outlets[i].track
		s := Start{Track: t}
		if f := firsts[i]; f != nil {
			s.HasSeq, s.Seq = true, f.Sequence()
			s.HasTime, s.Timestamp = true, f.Timestamp()
		}
		if ref != nil && ref.Track != t && fl.known(t) && fl.known(ref.Track) {
			s.HasTime = true
			s.Timestamp = fl.tracks[t].clock.rtp(fl.tracks[ref.Track].clock.ntp(ref.Timestamp()))
		}
		starts = append(starts, s)
	}
	return starts, true
}

// unknown tells that nothing is known.
func (p *Player) unknown() []Start {
	starts := make([]Start, len(p.outlets))
	for i := range starts {
		starts[i].Track = p.outlets[i].track
	}
	return starts
}

// present tells the timestamps of now to a client that plays already. Which packets come next is not known.
func (p *Player) present() []Start {
	starts := p.unknown()
	var now uint64 // NTP time by the source's clock
	for i := range starts {
		s := &starts[i]
		if !p.flow.known(s.Track) {
			continue
		}
		t := &p.flow.tracks[s.Track]
		if now == 0 {
			now = t.clock.ntp(t.now(p.shard.now))
		}
		s.HasTime, s.Timestamp = true, t.clock.rtp(now)
	}
	return starts
}

// start answers, and has the packets follow.
func (p *Player) start(starts []Start) {
	w := p.pending
	p.pending, p.state = nil, answering
	p.unreported = p.layout.tracks
	p.reply(w, starts, func() {
		if p.state == answering {
			p.state = playing
			p.send()
		}
	})
	w.done <- nil
}

// reply sends the answer and calls then, which may be nil, in the loop as soon as packets may follow.
func (p *Player) reply(w *pending, starts []Start, then func()) {
	b := w.answer(starts)
	m := message{b: b, costs: int64(len(b))}
	l := w.link
	switch {
	case l == nil || len(b) == 0:
	case l == p.link:
		l.unsent.Add(m.costs)
		l.queue = append(l.queue, m)
	default:
		l.unsent.Add(m.costs)
		if then != nil {
			m.then = func() { p.shard.post(then) }
		}
		if l.shard == p.shard {
			l.send(m)
			return
		}
		if l.shard.post(func() { l.send(m) }) {
			return
		}
	}
	if then != nil {
		then()
	}
	if l != nil && l == p.link {
		l.run()
	}
}

// lead puts the parameter sets of an H.264 or H.265 track ahead of the batch with which a player begins, when the key
// frame does not bring them itself. They take the sequence numbers before the key frame's first packet: the packets
// that had those are older and never reach this player, so that it sees one unbroken row. It returns how many there are.
func (p *Player) lead() int {
	fl := p.flow
	if p.sent || !p.keyed || p.next >= fl.head() {
		return 0
	}
	b := fl.at(p.next)
	key := b.first(p.feed.keys)
	if p.own = nil; key == nil {
		return 0
	}
	sets := parameterSets(p.feed.stream.Tracks()[p.feed.keys].Format(), key)
	if len(sets) == 0 {
		return 0
	}
	packets := make([]media.Packet, 0, len(sets)+len(b.packets))
	for i, set := range sets {
		data := append(append(make([]byte, 0, rtpHeader+len(set)), key.Data[:rtpHeader]...), set...)
		data[0], data[1] = 0x80, key.PayloadType()
		seq := key.Sequence() - uint16(len(sets)-i)
		data[2], data[3] = byte(seq>>8), byte(seq)
		packets = append(packets, media.Packet{Track: key.Track, Data: data, Arrived: key.Arrived})
	}
	p.own, p.ownOf = &form{}, b.number
	p.own.build(&p.layout, append(packets, b.packets...), p.seal)
	return len(sets)
}

// parameterSets returns the sets that the description has and that the first packet of a key frame lacks.
func parameterSets(f format.Format, key *media.Packet) [][]byte {
	payload := key.Payload()
	if len(payload) == 0 {
		return nil
	}
	switch f := f.(type) {
	case *format.H264:
		set := func(b byte) bool { return b&0x1f == 7 }
		sps, pps := f.SafeParams()
		if sps != nil && pps != nil && !set(payload[0]) && !(payload[0]&0x1f == 24 && aggregates(payload[1:], set)) {
			return [][]byte{sps, pps}
		}
	case *format.H265:
		set := func(b byte) bool { t := b >> 1 & 0x3f; return t == 32 || t == 33 }
		vps, sps, pps := f.SafeParams()
		if vps != nil && sps != nil && pps != nil && !set(payload[0]) && !(payload[0]>>1&0x3f == 48 && aggregates(payload[min(2, len(payload)):], set)) {
			return [][]byte{vps, sps, pps}
		}
	}
	return nil
}

// aggregates reports whether a unit of an aggregation packet begins so.
func aggregates(b []byte, is func(byte) bool) bool {
	for len(b) > 2 {
		n := int(b[0])<<8 | int(b[1])
		if n == 0 || n > len(b)-2 {
			return false
		}
		if is(b[2]) {
			return true
		}
		b = b[2+n:]
	}
	return false
}
