package media

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// Origin tells where a stream comes from and how its packets are to be treated.
type Origin struct {
	Kind     string        // "publish", "rtsp", "udp", "srt", "file", "rtmp", "exec", "stream", "demo", "overlay" or "transcode"
	Remote   string        // address, URL without its password, or peer
	Verbatim bool          // SSRC, sequence, timestamps and clock are the owner's and stay as they are
	Linger   time.Duration // how long players wait for the publisher to return after Close; 0: the stream ends then
	Spare    bool          // tracks that waiting players lack may be left out, so that they can go on with this publisher
}

// Publisher is the one writer of a stream. Its methods are safe for concurrent use.
type Publisher struct {
	st      *Stream       // of a standby, only set once it has entered
	done    chan struct{} // closed when the publisher was closed or replaced
	standby *standby      // nil of one that publishes from the beginning

	// The fields below are guarded by st.mu.
	closed bool
	tracks []publisherTrack
	from   []int         // the publisher's track of each of the stream's; -1: none
	offset time.Duration // owner's clock less the source's, when reports is set
	synced bool          // a sender report has set offset
}

// publisherTrack maps one track of a publisher onto the stream's.
type publisherTrack struct {
	to     int   // the stream's track; -1: the stream lacks it
	number uint8 // the payload type that packets get, when typed is set
	typed  bool
	mapped bool // the fields below are set
	source uint32
	seq    uint16 // to add to sequence numbers
	ts     uint32 // to add to timestamps
	next   uint16 // expected from the source, to count losses

	reported bool      // the source has sent a report, which the fields below hold
	wall     time.Time // in the source's clock
	rtp      uint32    // in the source's timestamps
}

// Stream returns the stream that this publisher writes.
func (p *Publisher) Stream() *Stream { return p.st }

// Done is closed when the publisher has been replaced by another, when it was closed, or when the stream ended.
func (p *Publisher) Done() <-chan struct{} { return p.done }

// Close ends the publishing; the stream ends too, after Origin.Linger, unless another publisher takes over.
func (p *Publisher) Close() { p.leave(true) }

// End is Close for a publisher that will not return: the stream ends now, whatever Origin.Linger is.
func (p *Publisher) End() { p.leave(false) }

func (p *Publisher) leave(linger bool) {
	if p.standby != nil && p.standby.close(p) {
		return
	}
	p.st.hub.leave(p, linger)
}

// follow gives each of the publisher's tracks its place in a stream of tracks that players have already.
func (p *Publisher) follow(stream, tracks []Track, route []int) []Track {
	p.from = make([]int, len(stream))
	for i := range p.from {
		p.from[i] = -1
	}
	described := slices.Clone(stream)
	for i, to := range route {
		m := &p.tracks[i]
		m.to = to
		if to < 0 {
			continue
		}
		p.from[to] = i
		described[to] = tracks[i]
		if want, has := stream[to].PayloadTypes(), tracks[i].PayloadTypes(); !slices.Equal(want, has) {
			m.number, m.typed = want[0], true
			described[to] = tracks[i].renumbered(want[0])
		}
	}
	return described
}

// WriteRTP publishes an RTP packet that came at the given time. It takes ownership of b, whose header it may rewrite.
// The error is ErrEnded after Close or replacement, else it says what is wrong with the packet.
func (p *Publisher) WriteRTP(track int, b []byte, arrived time.Time) error {
	if track < 0 || track >= len(p.tracks) {
		return fmt.Errorf("track %d: the stream has %d", track, len(p.tracks))
	}
	if err := checkRTP(b); err != nil {
		return err
	}
	if p.standby != nil {
		if enters, err := p.standby.rtp(p, track, b, arrived); !enters {
			return err
		}
	}
	s := p.st
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.closed {
		return ErrEnded
	}
	m := &p.tracks[track]
	if m.to < 0 {
		return nil
	}
	pkt := Packet{Track: m.to, Data: b, Arrived: arrived}
	p.rewrite(&pkt, m)
	t := &s.state[m.to]
	switch {
	case s.keys < 0:
		pkt.Key = true
	case s.keys == m.to:
		pkt.Key = t.keys.key(&pkt)
	}
	t.packets++
	t.octets += uint32(len(pkt.Payload()))
	s.stats.Packets++
	s.stats.Bytes += uint64(len(b))
	s.publish(pkt)
	if !s.origin.Verbatim {
		p.reports(&pkt)
	}
	return nil
}

// rewrite gives a packet the stream's SSRC, sequence number and timestamp.
func (p *Publisher) rewrite(pkt *Packet, m *publisherTrack) {
	t := &p.st.state[pkt.Track]
	if !m.mapped || m.source != pkt.SSRC() {
		p.enter(pkt, m)
	}
	if m.typed {
		pkt.Data[1] = pkt.Data[1]&0x80 | m.number
	}
	seq := pkt.Sequence()
	if d := int16(seq - m.next); d >= 0 {
		p.st.stats.Lost += uint64(d)
		m.next = seq + 1
	}
	binary.BigEndian.PutUint16(pkt.Data[2:], seq+m.seq)
	binary.BigEndian.PutUint32(pkt.Data[4:], pkt.Timestamp()+m.ts)
	binary.BigEndian.PutUint32(pkt.Data[8:], t.ssrc)
	if !t.started || int16(pkt.Sequence()-t.seq) > 0 {
		t.started, t.seq, t.ts, t.at = true, pkt.Sequence(), pkt.Timestamp(), pkt.Arrived
	}
}

// enter fixes how the packets of a source that is new on a track continue those before it.
func (p *Publisher) enter(pkt *Packet, m *publisherTrack) {
	t := &p.st.state[pkt.Track]
	again := m.mapped // the same publisher has begun with another SSRC
	m.mapped, m.source, m.next, m.seq, m.ts = true, pkt.SSRC(), pkt.Sequence(), 0, 0
	m.reported = m.reported && !again
	verbatim := p.st.origin.Verbatim
	switch {
	case t.ssrc == 0:
		t.ssrc = pkt.SSRC()
	case verbatim && t.ssrc == pkt.SSRC(), !t.started:
		// the owner's numbers, or the first ones
	default:
		m.seq = t.seq + 2 - pkt.Sequence()
		m.ts = t.ts + uint32(max(0, pkt.Arrived.Sub(t.at))*time.Duration(t.rate)/time.Second) - pkt.Timestamp()
		t.timed = t.timed && !verbatim
	}
	if verbatim {
		if m.reported {
			t.clock, t.timed = Clock{m.wall, m.rtp + m.ts, t.rate}, true
		}
		return
	}
	t.clock, t.timed = Clock{pkt.Arrived, pkt.Timestamp() + m.ts, t.rate}, true
	if m.reported {
		t.clock = Clock{m.wall.Add(p.offset), m.rtp + m.ts, t.rate}
	}
}

// WriteRTCP takes what a source says by RTCP about a track: its sender reports set the stream's clock, the rest is
// ignored. It does not keep b.
func (p *Publisher) WriteRTCP(track int, b []byte, arrived time.Time) error {
	if track < 0 || track >= len(p.tracks) {
		return fmt.Errorf("track %d: the stream has %d", track, len(p.tracks))
	}
	ntp, rtp, ok := parseReport(b)
	if !ok {
		return nil
	}
	if p.standby != nil && p.standby.rtcp(p, track, ntp, rtp, arrived) {
		return nil
	}
	s := p.st
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.closed {
		return ErrEnded
	}
	m := &p.tracks[track]
	if m.to < 0 {
		return nil
	}
	t := &s.state[m.to]
	m.reported, m.wall, m.rtp = true, FromNTP(ntp), rtp
	if !s.origin.Verbatim {
		p.sync(arrived.Sub(m.wall))
		if m.mapped {
			t.clock, t.timed = Clock{m.wall.Add(p.offset), rtp + m.ts, t.rate}, true
		}
		return nil
	}
	if m.mapped {
		t.clock, t.timed = Clock{m.wall, rtp + m.ts, t.rate}, true
		packets, octets := binary.BigEndian.Uint32(b[20:]), binary.BigEndian.Uint32(b[24:])
		sr := appendReport(nil, t.ssrc, m.wall, t.clock.RTP, packets, octets)
		binary.BigEndian.PutUint64(sr[8:], ntp) // the very bits: a conversion may round
		s.publish(Packet{Track: m.to, Data: sr, Report: true, Arrived: arrived})
	}
	return nil
}

// sync notes how far the owner's clock is ahead of the source's. One offset serves all tracks, so that their relation
// stays as the source states it.
func (p *Publisher) sync(ahead time.Duration) {
	e := ahead - p.offset
	switch {
	case !p.synced, e > clockStep, e < -clockStep:
		p.offset, p.synced = ahead, true
	default:
		p.offset += e / clockGain
	}
}

// reports publishes sender reports of the tracks after a packet: soon after a key packet, so that a subscriber which
// begins there knows the clock, and regularly.
func (p *Publisher) reports(pkt *Packet) {
	s := p.st
	c := s.state[pkt.Track].clock
	wall := c.At(pkt.Timestamp())
	for i := range s.state {
		t := &s.state[i]
		since := pkt.Arrived.Sub(t.report)
		if !t.started || !t.timed || since < reportSoon || !pkt.Key && since < reportEvery {
			continue
		}
		t.report = pkt.Arrived
		if from := p.from[i]; from < 0 || !p.tracks[from].reported {
			t.clock.drift(t.at.Sub(t.clock.At(t.ts)))
		}
		sr := appendReport(nil, t.ssrc, wall, t.clock.Timestamp(wall), t.packets, t.octets)
		s.publish(Packet{Track: i, Data: sr, Report: true, Arrived: pkt.Arrived})
	}
}

// drift corrects a clock that only the arrival of packets sets.
func (c *Clock) drift(e time.Duration) {
	if e > clockStep || e < -clockStep {
		c.Wall = c.Wall.Add(e)
		return
	}
	c.Wall = c.Wall.Add(e / clockGain)
}
