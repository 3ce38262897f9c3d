package rtsp

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"peergate/media"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// TestRelayKeepsWhatComesEarly publishes what a camera sends before it has answered PLAY, in order and with its clock.
func TestRelayKeepsWhatComesEarly(t *testing.T) {
	r := newRelay([]media.Track{videoTrack}, slog.New(slog.DiscardHandler))
	wall := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r.rtcp(0, &rtcp.SenderReport{SSRC: 7, NTPTime: media.NTP(wall), RTPTime: 1000})
	send := func(seq uint16) {
		r.rtp(0, &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: seq, SSRC: 7}, Payload: []byte{0x65}})
	}
	for seq := range uint16(100) {
		send(seq)
	}
	pub, err := media.NewHub(slog.New(slog.DiscardHandler)).Publish("cam", []media.Track{videoTrack}, media.Origin{Verbatim: true})
	if err != nil {
		t.Fatal(err)
	}
	sub := pub.Stream().Subscribe(media.SubscribeOptions{})
	r.flow(pub)
	send(100)
	for i, p := range receive(t, sub, 101) {
		if int(p.Sequence()) != i {
			t.Fatalf("packet %d has sequence %d", i, p.Sequence())
		}
	}
	if c, ok := pub.Stream().Clock(0); !ok || c.At(1000).Sub(wall).Abs() > time.Microsecond {
		t.Errorf("Clock = %v, %v, want that of the sender report", c, ok)
	}
}

func TestRelayEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay([]media.Track{videoTrack, videoTrack}, slog.New(slog.DiscardHandler))
		begun := time.Now()
		time.AfterFunc(3*time.Second, func() { r.rtp(1, &rtp.Packet{Header: rtp.Header{Version: 2}}) })
		if err := r.silent(t.Context(), 5*time.Second); err == nil || time.Since(begun) != 8*time.Second {
			t.Errorf("silent = %v after %v, want an error 5 s after the packet", err, time.Since(begun))
		}
		r.rtcp(1, &rtcp.Goodbye{})
		r.rtcp(1, &rtcp.Goodbye{})
		select {
		case <-r.bye:
			t.Error("one of two tracks has ended, not both")
		default:
		}
		r.rtcp(0, &rtcp.Goodbye{})
		if err := r.silent(t.Context(), time.Hour); !errors.Is(err, errBye) {
			t.Errorf("silent = %v, want the goodbye", err)
		}
	})
}
