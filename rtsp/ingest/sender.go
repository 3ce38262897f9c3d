package ingest

import (
	"errors"
	"math/rand/v2"
	"time"

	"peergate/media"

	"github.com/pion/rtcp"
)

// reportEvery is the time between sender reports of a track. They tell how the tracks' times belong together.
const reportEvery = 5 * time.Second

// sender packetizes the units of a source's readers, of one after the other, and publishes them.
type sender struct {
	pub    *media.Publisher
	tracks []*track // that were announced
	clock  clock
	epoch  time.Time // of the timeline, for reports
	out    []outlet  // by track
}

// outlet numbers the packets of a track.
type outlet struct {
	ssrc     uint32
	seq      uint16
	reported bool
	report   time.Duration // when the last report was sent
}

func newSender(pub *media.Publisher, tracks []*track) *sender {
	s := &sender{pub: pub, tracks: tracks, epoch: time.Now(), out: make([]outlet, len(tracks))}
	for i := range s.out {
		s.out[i] = outlet{ssrc: rand.Uint32() | 1, seq: uint16(rand.Uint32())}
	}
	return s
}

// send publishes a unit of the announced tracks, decoded at a time of the timeline. One that cannot be packetized is left
// out.
func (s *sender) send(u *unit, dts time.Duration, now time.Time) error {
	return s.sendAs(u.track, s.tracks[u.track], u, dts, now)
}

// sendAs publishes a unit of a track that goes on with the announced one of the given number.
func (s *sender) sendAs(to int, t *track, u *unit, dts time.Duration, now time.Time) error {
	o := &s.out[to]
	if u.gap {
		o.seq++ // players see that something is missing
	}
	pkts, err := t.packets(u.data)
	if err != nil {
		o.seq++
		return nil
	}
	pts := dts + u.pts - u.dts
	ts := ticks(pts, t.rate)
	if !o.reported || dts-o.report >= reportEvery {
		o.reported, o.report = true, dts
		if err := s.tell(to, pts, ts, now); err != nil {
			return err
		}
	}
	for _, pkt := range pkts {
		pkt.Timestamp += ts
		pkt.SSRC, pkt.SequenceNumber = o.ssrc, o.seq
		o.seq++
		b, err := pkt.Marshal()
		if err != nil {
			return nil
		}
		if err := s.pub.WriteRTP(to, b, now); errors.Is(err, media.ErrEnded) {
			return err
		}
	}
	return nil
}

// tell sends a sender report.
func (s *sender) tell(to int, pts time.Duration, ts uint32, now time.Time) error {
	sr := rtcp.SenderReport{SSRC: s.out[to].ssrc, NTPTime: media.NTP(s.epoch.Add(pts)), RTPTime: ts}
	b, err := sr.Marshal()
	if err != nil {
		return err
	}
	return s.pub.WriteRTCP(to, b, now)
}

// ticks returns a time in units of 1/rate seconds.
func ticks(d time.Duration, rate int) uint32 {
	r := int64(rate)
	sec, rest := int64(d/time.Second), int64(d%time.Second)
	return uint32(sec*r + (rest*r+int64(time.Second)/2)/int64(time.Second))
}
