package rtsp

import (
	"context"
	"fmt"
	"time"

	"peergate/media"

	"github.com/pion/rtcp"
)

// maxLate is how far behind its deadlines the clip may be, as on a busy machine. When it is later, because the machine
// slept, it leaves the missed seconds out instead of sending them all at once.
const maxLate = 2 * time.Second

// playClip is the feed of the source demo: it publishes the embedded clip in real time, again and again, until ctx ends.
func playClip(ctx context.Context, begin begin) error {
	c, err := loadClip()
	if err != nil {
		return fmt.Errorf("the embedded clip: %w", err)
	}
	tracks := make([]media.Track, len(c.tracks))
	for i := range c.tracks {
		tracks[i] = c.tracks[i].Track
	}
	pub, err := begin(tracks)
	if err != nil {
		return err
	}
	p := &projector{clip: c, pub: pub, start: time.Now()}
	for {
		if err := p.round(ctx); err != nil {
			return err
		}
		p.played += c.length
	}
}

// projector shows a clip in real time. A packet is sent when its timestamp says, reckoned from the beginning of the
// first round: timestamps count on over the seam, and nothing drifts.
type projector struct {
	clip   *clip
	pub    *media.Publisher
	start  time.Time     // when timestamp 0 is due
	played time.Duration // the rounds and what was left out, in whole seconds
}

// round shows the clip once.
func (p *projector) round(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for i := range p.clip.units {
		u := &p.clip.units[i]
		due := p.start.Add(p.played + u.at)
		if late := time.Since(due).Truncate(time.Second); late > maxLate {
			p.played += late
			due = due.Add(late)
		}
		t.Reset(time.Until(due))
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := p.show(u, due); err != nil {
			return err
		}
	}
	return nil
}

// show sends one picture or one audio frame; the first one of a track in each round goes with a sender report.
func (p *projector) show(u *unit, due time.Time) error {
	t := &p.clip.tracks[u.track]
	ts := u.timestamp + uint32(int64(p.played/time.Second)*int64(t.ClockRate()))
	pkts, err := t.encode(u.data)
	if err != nil {
		return fmt.Errorf("the embedded clip: %w", err)
	}
	if u.timestamp == 0 {
		sr := rtcp.SenderReport{SSRC: pkts[0].SSRC, NTPTime: media.NTP(due), RTPTime: ts}
		b, err := sr.Marshal()
		if err != nil {
			return err
		}
		if err := p.pub.WriteRTCP(u.track, b, time.Now()); err != nil {
			return err
		}
	}
	for _, pkt := range pkts {
		pkt.Timestamp = ts
		b, err := pkt.Marshal()
		if err != nil {
			return err
		}
		if err := p.pub.WriteRTP(u.track, b, time.Now()); err != nil {
			return err
		}
	}
	return nil
}
