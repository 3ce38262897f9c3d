package rtsp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"peergate/media"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// maxEarly bounds what a camera sends before its stream is published, in packets: more than the key frame with which
// it begins and which must not be lost.
const maxEarly = 4096

// errBye means that the source has said that it ends (RFC 3550 §6.6).
var errBye = errors.New("said goodbye")

// relay takes the packets of a camera to the hub. The camera may send before it has answered PLAY; what comes before
// the stream is published waits.
type relay struct {
	bye chan struct{} // closed when the source has ended all tracks
	fit []*fitter     // by track

	mu    sync.Mutex // guards the fields below
	pub   *media.Publisher
	early []arrival // when full, further ones are dropped
	heard time.Time // when the last RTP packet came
	left  []bool    // which tracks have ended
}

// arrival is a packet that waits.
type arrival struct {
	track  int
	report bool
	data   []byte
	at     time.Time
}

func newRelay(tracks []media.Track, log *slog.Logger) *relay {
	r := &relay{bye: make(chan struct{}), heard: time.Now(), left: make([]bool, len(tracks))}
	for i := range tracks {
		r.fit = append(r.fit, newFitter(&tracks[i], log))
	}
	return r
}

func (r *relay) rtp(track int, pkt *rtp.Packet) {
	b, err := pkt.Marshal()
	if err != nil {
		return
	}
	at := time.Now()
	r.fit[track].fit(b, func(b []byte) { r.write(arrival{track: track, data: b, at: at}) })
}

func (r *relay) rtcp(track int, pkt rtcp.Packet) {
	switch pkt := pkt.(type) {
	case *rtcp.SenderReport:
		if b, err := pkt.Marshal(); err == nil {
			r.write(arrival{track: track, report: true, data: b, at: time.Now()})
		}
	case *rtcp.Goodbye:
		r.leave(track)
	}
}

// leave notes the end of a track.
func (r *relay) leave(track int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left[track] {
		return
	}
	r.left[track] = true
	for _, left := range r.left {
		if !left {
			return
		}
	}
	close(r.bye)
}

func (r *relay) write(a arrival) {
	if pub := r.admit(a); pub != nil {
		a.publish(pub)
	}
}

// admit keeps a packet while there is no publisher, and else returns that.
func (r *relay) admit(a arrival) *media.Publisher {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !a.report {
		r.heard = a.at
	}
	if r.pub == nil && len(r.early) < maxEarly {
		r.early = append(r.early, a)
	}
	return r.pub
}

// publish writes a packet. An error concerns this packet alone, or that somebody else publishes now, which the
// publisher's Done tells too.
func (a *arrival) publish(pub *media.Publisher) {
	if a.report {
		_ = pub.WriteRTCP(a.track, a.data, a.at)
		return
	}
	_ = pub.WriteRTP(a.track, a.data, a.at)
}

// flow publishes what has come so far and, from then on, what comes.
func (r *relay) flow(pub *media.Publisher) {
	for {
		batch := r.take(pub)
		if len(batch) == 0 {
			return
		}
		for i := range batch {
			batch[i].publish(pub)
		}
	}
}

// take returns the packets that wait, or, when there are none, lets further ones go to pub.
func (r *relay) take(pub *media.Publisher) []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	batch := r.early
	r.early = nil
	if len(batch) == 0 {
		r.pub = pub
	}
	return batch
}

// silent returns an error when no packet has come for the given time or the source has said goodbye.
func (r *relay) silent(ctx context.Context, after time.Duration) error {
	t := time.NewTimer(after)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			wait := after - time.Since(r.last())
			if wait <= 0 {
				return fmt.Errorf("has sent nothing for %v", after)
			}
			t.Reset(wait)
		case <-r.bye:
			return errBye
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *relay) last() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard
}
