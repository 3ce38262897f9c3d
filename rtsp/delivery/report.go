package delivery

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"peergate/media"
)

// RTCP packet types (RFC 3550 §12.1).
const (
	typeSR   = 200
	typeRR   = 201
	typeSDES = 202
	typeBye  = 203
)

// reportTime is the time between a player's reports, before it is randomized: the minimum of RFC 3550 §6.2. Two members
// whose reports have 100 bytes stay at it above 6.4 kbit/s.
const reportTime = 5 * time.Second

// track is what a flow knows of one track.
type track struct {
	seen  time.Time // arrival of the newest packet
	ts    uint32    // its timestamp
	ssrc  uint32
	clock clock
}

func (t *track) packet(p *media.Packet) {
	t.seen, t.ts, t.ssrc = p.Arrived, p.Timestamp(), p.SSRC()
}

// now returns the timestamp that a packet of this moment would have; the clock must be known.
func (t *track) now(at time.Time) uint32 {
	if t.seen.IsZero() {
		return t.clock.at
	}
	return t.ts + uint32(ticks(at.Sub(t.seen), t.clock.rate))
}

// clock relates timestamps to NTP time without rounding errors that add up.
type clock struct {
	known bool
	wall  uint64 // NTP time of at
	at    uint32
	rate  int64
}

// set takes over what a sender report says.
func (c *clock) set(p *media.Packet, rate int) {
	if len(p.Data) >= 20 {
		*c = clock{true, binary.BigEndian.Uint64(p.Data[8:]), binary.BigEndian.Uint32(p.Data[16:]), int64(rate)}
	}
}

// ntp returns the NTP time of a timestamp.
func (c *clock) ntp(rtp uint32) uint64 {
	d := int64(int32(rtp - c.at))
	return c.wall + uint64(d/c.rate<<32+d%c.rate<<32/c.rate)
}

// rtp returns the timestamp of an NTP time less than 2^31 s away.
func (c *clock) rtp(ntp uint64) uint32 {
	d := int64(ntp - c.wall)
	sec, frac := d>>32, d&0xffffffff
	return c.at + uint32(sec*c.rate+(frac*c.rate+1<<31)>>32)
}

// known reports whether a track's clock is; if the track had no report yet, the stream may know it.
func (fl *flow) known(track int) bool {
	c := &fl.tracks[track].clock
	if !c.known {
		if m, ok := fl.feed.stream.Clock(track); ok {
			*c = clock{true, media.NTP(m.Wall), m.RTP, int64(m.Rate)}
		}
	}
	return c.known
}

// reportFirst reports on the tracks whose first packet was sent just now.
func (p *Player) reportFirst() {
	for i := range p.outlets {
		o := &p.outlets[i]
		bit := uint16(1) << o.track
		if p.unreported&bit == 0 || o.packets == 0 || !p.flow.known(o.track) {
			continue
		}
		p.unreported &^= bit
		p.report(o, false)
		if p.due == 0 {
			p.shard.wheel.add(p, reportInterval()/2)
		}
	}
}

// reports reports on all tracks.
func (p *Player) reports() {
	if p.state == over {
		return
	}
	if p.state == playing {
		for i := range p.outlets {
			if o := &p.outlets[i]; o.packets > 0 {
				p.report(o, false)
			}
		}
		if p.link != nil {
			p.link.run()
		}
	}
	p.shard.wheel.add(p, reportInterval())
}

// bye reports on all tracks for the last time.
func (p *Player) bye() {
	for i := range p.outlets {
		if o := &p.outlets[i]; o.packets > 0 {
			p.report(o, true)
		}
	}
}

// reportInterval returns the time to the next report (RFC 3550 §6.3.1): half to one and a half of the minimum, divided
// by e-3/2 to make up for members that reconsider.
func reportInterval() time.Duration {
	return time.Duration(float64(reportTime) * (0.5 + rand.Float64()) / 1.21828)
}

// report sends a compound packet: a sender report, or an empty receiver report while the clock is unknown, the
// canonical name and perhaps a BYE (RFC 3550 §6.1).
func (p *Player) report(o *outlet, bye bool) {
	t := &p.flow.tracks[o.track]
	b := make([]byte, 0, 64+len(p.o.CNAME))
	if p.flow.known(o.track) {
		rtp := t.now(p.shard.now)
		ntp := t.clock.ntp(rtp)
		b = appendSR(b, t.ssrc, ntp, rtp, o.packets, o.octets)
		o.lastAt.Store(p.shard.now.UnixNano())
		o.lastSR.Store(ntp >> 16 & 0xffffffff)
	} else {
		b = binary.BigEndian.AppendUint32(append(b, 0x80, typeRR, 0, 1), t.ssrc)
	}
	b = appendSDES(b, t.ssrc, p.o.CNAME)
	if bye {
		b = binary.BigEndian.AppendUint32(append(b, 0x81, typeBye, 0, 1), t.ssrc)
	}
	p.control(o, b)
}

// control sends an RTCP packet of an outlet.
func (p *Player) control(o *outlet, b []byte) {
	if o.Seal != nil {
		sealed, err := o.Seal.SealRTCP(nil, b)
		if err != nil {
			return
		}
		b = sealed
	}
	if o.Link == nil {
		o.rtcp.sendNow(&o.toRTCP, b)
		return
	}
	m := append([]byte{'$', o.RTCPChannel, byte(len(b) >> 8), byte(len(b))}, b...)
	o.Link.send(message{b: m})
}

// sealRTP is a sealFunc.
func (p *Player) sealRTP(dst []byte, track int, packet []byte) []byte {
	o := p.by[track]
	if o == nil || o.Seal == nil {
		return append(dst, packet...)
	}
	b, err := o.Seal.SealRTP(dst, packet)
	if err != nil {
		return dst
	}
	return b
}

// ticks converts a duration into timestamps.
func ticks(d time.Duration, rate int64) int64 {
	return int64(d/time.Second)*rate + int64(d%time.Second)*rate/int64(time.Second)
}

// appendSR appends a sender report without report blocks (RFC 3550 §6.4.1).
func appendSR(b []byte, ssrc uint32, ntp uint64, rtp, packets, octets uint32) []byte {
	b = append(b, 0x80, typeSR, 0, 6)
	b = binary.BigEndian.AppendUint32(b, ssrc)
	b = binary.BigEndian.AppendUint64(b, ntp)
	b = binary.BigEndian.AppendUint32(b, rtp)
	b = binary.BigEndian.AppendUint32(b, packets)
	return binary.BigEndian.AppendUint32(b, octets)
}

// appendSDES appends a source description with a canonical name (RFC 3550 §6.5).
func appendSDES(b []byte, ssrc uint32, cname string) []byte {
	cname = cname[:min(len(cname), 255)]
	n := 4 + 2 + len(cname)
	pad := 4 - n%4 // at least one: the item list ends with a null
	b = append(b, 0x81, typeSDES, 0, byte((n+pad)/4))
	b = binary.BigEndian.AppendUint32(b, ssrc)
	b = append(b, 1, byte(len(cname)))
	b = append(b, cname...)
	return append(b, make([]byte, pad)...)
}
