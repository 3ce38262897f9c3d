package delivery

import (
	"encoding/binary"
	"time"
)

// reported is what a client says in its receiver reports.
type reported struct {
	lost   []int32 // by outlet
	jitter []time.Duration
	rtt    time.Duration
}

func (r *reported) init(n int) { r.lost, r.jitter = make([]int32, n), make([]time.Duration, n) }

func (r *reported) fill(st *Stats) {
	for i := range r.lost {
		st.Lost += uint32(max(0, r.lost[i]))
		st.Jitter = max(st.Jitter, r.jitter[i])
	}
	st.RTT = r.rtt
}

// Reported takes a receiver report that the client sent about a track (RFC 3550 §6.4.2).
func (p *Player) Reported(track int, rtcp []byte, at time.Time) {
	for i := range p.outlets {
		o := &p.outlets[i]
		if o.track != track {
			continue
		}
		ssrc := p.feed.stream.SSRC(track)
		reportBlocks(rtcp, func(b block) {
			if b.ssrc == ssrc {
				p.take(i, o, b, at)
			}
		})
	}
}

// take notes a report block about an outlet.
func (p *Player) take(i int, o *outlet, b block, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reported.lost[i] = b.lost
	p.reported.jitter[i] = time.Duration(b.jitter) * time.Second / time.Duration(p.feed.rates[o.track])
	if b.last == 0 || uint64(b.last) != o.lastSR.Load() {
		return
	}
	delay := time.Duration(b.delay) * time.Second >> 16
	if rtt := at.Sub(time.Unix(0, o.lastAt.Load())) - delay; rtt > 0 {
		p.reported.rtt = rtt
	}
}

// block is a report block (RFC 3550 §6.4.1).
type block struct {
	ssrc   uint32
	lost   int32  // cumulative
	jitter uint32 // in timestamps
	last   uint32 // the middle 32 bits of the NTP time of the last sender report
	delay  uint32 // since that came, in units of 2^-16 s
}

// reportBlocks calls f for each report block of a compound RTCP packet, up to what is not well formed.
func reportBlocks(b []byte, f func(block)) {
	for len(b) >= 8 && b[0]>>6 == 2 {
		size := 4 + 4*int(binary.BigEndian.Uint16(b[2:]))
		if size > len(b) {
			return
		}
		body, count := b[8:max(size, 8)], int(b[0]&0x1f)
		switch b[1] {
		case typeSR:
			body = body[min(20, len(body)):]
		case typeRR:
		default:
			count = 0
		}
		for ; count > 0 && len(body) >= 24; count-- {
			f(block{
				ssrc: binary.BigEndian.Uint32(body),
				lost: int32(binary.BigEndian.Uint32(body[4:])<<8) >> 8, jitter: binary.BigEndian.Uint32(body[12:]),
				last: binary.BigEndian.Uint32(body[16:]), delay: binary.BigEndian.Uint32(body[20:]),
			})
			body = body[24:]
		}
		b = b[size:]
	}
}
