package transcode

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"peergate/conf"
	"peergate/media"
)

func track(kind string, lines ...string) media.Track { return media.Track{Kind: kind, Lines: lines} }

var (
	video = track("video", "m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000")
	alaw  = track("audio", "m=audio 0 RTP/AVP 8 13", "b=AS:64", "a=rtpmap:8 PCMA/8000", "a=ptime:20", "a=recvonly")
)

// rtpPacket makes a packet of SSRC 0x1234.
func rtpPacket(pt uint8, seq uint16, ts uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0x80, pt}, seq)
	b = binary.BigEndian.AppendUint32(b, ts)
	b = binary.BigEndian.AppendUint32(b, 0x1234)
	return append(b, payload...)
}

// newHub returns a hub with a pool, which runs until stop is called.
func newHub(t *testing.T) (hub *media.Hub, stop func()) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	hub = media.NewHub(log)
	p := New(conf.Transcode{IdleAfter: 10 * time.Second}, nil, hub, log)
	hub.Use(p)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return hub, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	}
}

func publish(t *testing.T, hub *media.Hub, name media.Name, tracks ...media.Track) *media.Publisher {
	t.Helper()
	pub, err := hub.Publish(name, tracks, media.Origin{Kind: "publish", Linger: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

// queued returns the RTP packets that have come.
func queued(t *testing.T, sub *media.Subscription) []media.Packet {
	t.Helper()
	synctest.Wait()
	var all []media.Packet
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
		pkts, err := sub.Next(ctx)
		cancel()
		if err != nil {
			return all
		}
		for _, p := range pkts {
			if !p.Report {
				all = append(all, p)
			}
		}
	}
}

func TestRendition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, stop := newHub(t)
		defer stop()
		pub := publish(t, hub, "cam", video, alaw)
		write := func(track int, b []byte) {
			t.Helper()
			if err := pub.WriteRTP(track, b, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		write(0, rtpPacket(96, 1, 0, []byte{0x67, 1}))
		write(1, rtpPacket(8, 1, 0, []byte{0xd5}))
		st, err := hub.Open(t.Context(), "cam~l16")
		if err != nil {
			t.Fatal(err)
		}
		want := "m=audio 0 RTP/AVP 96\na=rtpmap:96 L16/8000\na=recvonly"
		if got := strings.Join(st.Tracks()[1].Lines, "\n"); got != want {
			t.Errorf("audio section = %q, want %q", got, want)
		}
		sub := st.Subscribe(media.SubscribeOptions{FromKey: true})
		base := hub.Stream("cam").Subscribe(media.SubscribeOptions{FromKey: true})
		time.Sleep(20 * time.Millisecond)
		write(1, rtpPacket(0x80|8, 2, 160, bytes.Repeat([]byte{0x2a}, 160)))
		write(1, rtpPacket(13, 3, 320, []byte{60})) // comfort noise
		write(0, rtpPacket(0x80|96, 2, 1800, []byte{0x41, 2}))
		got, plain := queued(t, sub), queued(t, base)
		if len(got) != 4 || len(plain) != 5 {
			t.Fatalf("%d packets of %d, want 4 of 5", len(got), len(plain))
		}
		if !bytes.Equal(got[0].Data, plain[0].Data) || &got[0].Data[0] == &plain[0].Data[0] {
			t.Error("the video packet is not an equal copy")
		}
		a, b := &got[2], &plain[2]
		if a.Timestamp() != b.Timestamp() || a.Sequence() != b.Sequence() || a.SSRC() != b.SSRC() || !a.Marker() {
			t.Errorf("audio header = % x, want that of % x", a.Data[:12], b.Data[:12])
		}
		if a.PayloadType() != 96 || !bytes.Equal(a.Payload(), bytes.Repeat([]byte{0x82, 0x00}, 160)) {
			t.Errorf("audio payload = % x..., want samples of -32256", a.Payload()[:4])
		}
		c1, ok1 := st.Clock(1)
		c2, ok2 := hub.Stream("cam").Clock(1)
		if d := c1.At(160).Sub(c2.At(160)); !ok1 || !ok2 || d > time.Microsecond || d < -time.Microsecond {
			t.Errorf("the clocks differ by %v, want one clock", d)
		}
		if hub.Stream("cam").Subscribers() != 2 {
			t.Errorf("the base has %d subscribers, want 2", hub.Stream("cam").Subscribers())
		}
		sub.Close()
		base.Close()
		time.Sleep(9 * time.Second)
		if hub.Stream("cam~l16") == nil {
			t.Error("the rendition ended before its time")
		}
		time.Sleep(2 * time.Second)
		if hub.Stream("cam~l16") != nil || hub.Stream("cam").Subscribers() != 0 {
			t.Error("the rendition goes on without subscribers")
		}
	})
}

func TestRenditionEndsWithItsBase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, stop := newHub(t)
		defer stop()
		pub := publish(t, hub, "cam", alaw)
		st, err := hub.Open(t.Context(), "cam~pcmu")
		if err != nil {
			t.Fatal(err)
		}
		sub := st.Subscribe(media.SubscribeOptions{})
		pub.Close() // lingers
		time.Sleep(30 * time.Second)
		pub = publish(t, hub, "cam", alaw)
		if err := pub.WriteRTP(0, rtpPacket(8, 1, 0, []byte{0xd5}), time.Now()); err != nil {
			t.Fatal(err)
		}
		if n := len(queued(t, sub)); n != 1 {
			t.Errorf("%d packets of the publisher that returned, want 1", n)
		}
		pub.End()
		if _, err := sub.Next(t.Context()); err != io.EOF {
			t.Errorf("Next after the base's end = %v, want EOF", err)
		}
		if hub.Stream("cam~pcmu") != nil {
			t.Error("the rendition outlives its base")
		}
	})
}

func TestRenditionEndsWithThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, stop := newHub(t)
		publish(t, hub, "cam", alaw)
		st, err := hub.Open(t.Context(), "cam~pcmu")
		if err != nil {
			t.Fatal(err)
		}
		stop()
		<-st.Done()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := hub.Open(ctx, "cam~pcmu"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open after the end = %v, want the deadline", err)
		}
		if hub.Stream("cam~pcmu") != nil || hub.Stream("cam").Subscribers() != 0 {
			t.Error("an attempt after the end left a stream")
		}
	})
}

func TestOpenSaysWhy(t *testing.T) {
	hub, stop := newHub(t)
	defer stop()
	publish(t, hub, "cam", alaw)
	publish(t, hub, "film", video, track("audio", "m=audio 0 RTP/AVP 97", "a=rtpmap:97 opus/48000/2"))
	for _, c := range []struct {
		name     media.Name
		notFound bool
		want     string
	}{
		{"nothing", true, "not found"},
		{"nothing~l16", true, "not found"},
		{"cam~360p", true, `no profile "360p", the profiles are aac, l16, opus, pcma, pcmu, quicktime, webrtc`},
		{"cam~l16~pcmu", true, "rendition of a rendition"},
		{"film~pcma", false, "no audio in PCMU, PCMA or L16 to convert, its tracks are H264, OPUS"},
	} {
		_, err := hub.Open(t.Context(), c.name)
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, media.ErrNotFound) != c.notFound {
			t.Errorf("Open %s = %v, want %q (not found: %v)", c.name, err, c.want, c.notFound)
		}
	}
}
