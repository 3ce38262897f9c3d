package media

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// h264 is a video track with one payload type; audio is a G.711 one.
var (
	h264  = Track{Kind: "video", Lines: []string{"m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000"}}
	audio = Track{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 0"}}
)

func testHub() *Hub { return NewHub(slog.New(slog.DiscardHandler)) }

// rtpPacket makes a packet whose payload begins with the given bytes.
func rtpPacket(seq uint16, ts uint32, payload ...byte) []byte {
	b := []byte{0x80, 96}
	b = binary.BigEndian.AppendUint16(b, seq)
	b = binary.BigEndian.AppendUint32(b, ts)
	b = binary.BigEndian.AppendUint32(b, 0x1234)
	return append(b, payload...)
}

// keyNALU and deltaNALU are the first bytes of an H.264 parameter set and of a predicted slice.
const (
	keyNALU   = 0x67
	deltaNALU = 0x41
)

func publish(t *testing.T, h *Hub, name Name, o Origin, tracks ...Track) *Publisher {
	t.Helper()
	p, err := h.Publish(name, tracks, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t *testing.T, p *Publisher, track int, b []byte) {
	t.Helper()
	if err := p.WriteRTP(track, b, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// drain returns the RTP packets that are queued.
func drain(t *testing.T, sub *Subscription) []Packet {
	t.Helper()
	var rtp []Packet
	for {
		ps, err := sub.take()
		if err != nil || len(ps) == 0 {
			return rtp
		}
		for _, p := range ps {
			if !p.Report {
				rtp = append(rtp, p)
			}
		}
	}
}

func TestPublisherReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub()
		p := publish(t, h, "a", Origin{Linger: 10 * time.Second}, h264)
		sub := p.Stream().Subscribe(SubscribeOptions{})
		write(t, p, 0, rtpPacket(65535, 1000, keyNALU))
		p.Close()
		time.Sleep(2 * time.Second)
		again := publish(t, h, "a", Origin{Linger: 10 * time.Second}, h264)
		if again.Stream() != p.Stream() {
			t.Fatal("the stream is not the same")
		}
		write(t, again, 0, rtpPacket(777, 5_000_000, keyNALU))
		write(t, again, 0, rtpPacket(778, 5_003_000, deltaNALU))
		got := drain(t, sub)
		if len(got) != 3 {
			t.Fatalf("got %d packets, want 3", len(got))
		}
		if s := got[1].Sequence(); s != 1 {
			t.Errorf("Sequence after 65535 and a gap of one = %d, want 1", s)
		}
		if ts := got[1].Timestamp(); ts != 1000+2*90000 {
			t.Errorf("Timestamp after 2 s = %d, want %d", ts, 1000+2*90000)
		}
		if d := got[2].Timestamp() - got[1].Timestamp(); d != 3000 {
			t.Errorf("next frame is %d later, want 3000", d)
		}
		if got[0].SSRC() != got[2].SSRC() {
			t.Error("SSRC changed")
		}
		again.Close()
		time.Sleep(11 * time.Second)
		if _, err := sub.Next(t.Context()); err != io.EOF {
			t.Errorf("Next after the linger time = %v, want EOF", err)
		}
		if h.Stream("a") != nil {
			t.Error("the ended stream is still in the hub")
		}
	})
}

func TestPublisherEndDoesNotLinger(t *testing.T) {
	h := testHub()
	p := publish(t, h, "a", Origin{Linger: time.Hour}, h264)
	p.End()
	select {
	case <-p.Stream().Done():
	default:
		t.Error("the stream goes on after End")
	}
	if h.Stream("a") != nil {
		t.Error("the ended stream is still in the hub")
	}
}

func TestPublisherReplaced(t *testing.T) {
	h := testHub()
	p := publish(t, h, "a", Origin{}, h264)
	sub := p.Stream().Subscribe(SubscribeOptions{})
	other := publish(t, h, "a", Origin{}, h264, audio)
	select {
	case <-p.Done():
	default:
		t.Error("the replaced publisher is not done")
	}
	if _, err := sub.Next(t.Context()); err != io.EOF {
		t.Errorf("Next of a stream with other tracks = %v, want EOF", err)
	}
	if err := p.WriteRTP(0, rtpPacket(1, 1, keyNALU), time.Now()); !errors.Is(err, ErrEnded) {
		t.Errorf("WriteRTP of the replaced = %v, want ErrEnded", err)
	}
	p.Close()
	if h.Stream("a") != other.Stream() {
		t.Error("closing the replaced publisher ended its successor's stream")
	}
}

func TestVerbatimStaysAndIsMappedOnlyWhenItsSourceChanges(t *testing.T) {
	h := testHub()
	o := Origin{Verbatim: true, Linger: time.Hour}
	p := publish(t, h, "a", o, h264)
	sub := p.Stream().Subscribe(SubscribeOptions{})
	write(t, p, 0, rtpPacket(10, 100, keyNALU))
	p.Close()
	p = publish(t, h, "a", o, h264)
	write(t, p, 0, rtpPacket(50, 200, keyNALU))
	b := rtpPacket(9, 9, keyNALU)
	binary.BigEndian.PutUint32(b[8:], 0x9999)
	write(t, p, 0, b)
	got := drain(t, sub)
	if got[1].Sequence() != 50 || got[1].Timestamp() != 200 || got[1].SSRC() != 0x1234 {
		t.Errorf("packet = %d %d %x, want it as the owner made it", got[1].Sequence(), got[1].Timestamp(), got[1].SSRC())
	}
	if got[2].Sequence() != 52 || got[2].SSRC() != 0x1234 {
		t.Errorf("packet of a new source = %d %x, want 52 of 1234", got[2].Sequence(), got[2].SSRC())
	}
	p.Close()
}

func TestFromKey(t *testing.T) {
	h := testHub()
	p := publish(t, h, "a", Origin{}, h264, audio)
	early := p.Stream().Subscribe(SubscribeOptions{FromKey: true})
	write(t, p, 0, rtpPacket(1, 0, deltaNALU))
	write(t, p, 0, rtpPacket(2, 3000, keyNALU))
	write(t, p, 1, rtpPacket(1, 0, 0))
	write(t, p, 0, rtpPacket(3, 3000, 0x65))
	write(t, p, 0, rtpPacket(4, 6000, deltaNALU))
	late := p.Stream().Subscribe(SubscribeOptions{FromKey: true, Queue: 1})
	for name, sub := range map[string]*Subscription{"early": early, "late": late} {
		got := drain(t, sub)
		if len(got) != 4 || !got[0].Key || got[0].Sequence() != 2 || got[2].Key {
			t.Errorf("%s: got %d packets, want 4 from the key packet on, only the first marked", name, len(got))
		}
		if sub.Dropped() != 0 {
			t.Errorf("%s: Dropped = %d, want 0", name, sub.Dropped())
		}
	}
}

func TestFullQueueSkipsToKey(t *testing.T) {
	h := testHub()
	p := publish(t, h, "a", Origin{Verbatim: true}, h264)
	sub := p.Stream().Subscribe(SubscribeOptions{Queue: 2})
	for i := range uint16(4) {
		write(t, p, 0, rtpPacket(i, uint32(i), deltaNALU))
	}
	first := drain(t, sub)
	write(t, p, 0, rtpPacket(4, 4, deltaNALU))
	write(t, p, 0, rtpPacket(5, 5, keyNALU))
	write(t, p, 0, rtpPacket(6, 6, deltaNALU))
	then := drain(t, sub)
	if len(first) != 2 || len(then) != 2 || then[0].Sequence() != 5 {
		t.Errorf("got %d, then %d packets, want 2 and 2 from the key packet", len(first), len(then))
	}
	if sub.Dropped() != 3 {
		t.Errorf("Dropped = %d, want 3", sub.Dropped())
	}
}

func TestReportsCarryOwnersClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub()
		p := publish(t, h, "a", Origin{}, h264, audio)
		sub := p.Stream().Subscribe(SubscribeOptions{})
		start := time.Now()
		// A camera that lives in 1970 and says that timestamp 90000 of the video is timestamp 16000 of the audio.
		old := time.Unix(1000, 0)
		for i, rtp := range []uint32{90000, 16000} {
			if err := p.WriteRTCP(i, appendReport(nil, 1, old, rtp, 0, 0), start); err != nil {
				t.Fatal(err)
			}
		}
		write(t, p, 1, rtpPacket(1, 16000, 0))
		write(t, p, 0, rtpPacket(1, 90000+45000, keyNALU))
		v, _ := p.Stream().Clock(0)
		a, _ := p.Stream().Clock(1)
		if got := v.At(90000 + 45000).Sub(start); got != 500*time.Millisecond {
			t.Errorf("video is at %v, want 500ms", got)
		}
		if got := a.At(16000).Sub(start); got != 0 {
			t.Errorf("audio is at %v, want 0", got)
		}
		ps, err := sub.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		reports := 0
		for _, pkt := range ps {
			if !pkt.Report {
				continue
			}
			reports++
			ntp, rtp, ok := parseReport(pkt.Data)
			if !ok {
				t.Fatalf("report %x is none", pkt.Data)
			}
			c := []Clock{v, a}[pkt.Track]
			if d := FromNTP(ntp).Sub(c.At(rtp)).Abs(); d > time.Millisecond {
				t.Errorf("report of track %d is %v off", pkt.Track, d)
			}
		}
		if reports != 2 {
			t.Errorf("got %d reports after the key packet, want 2", reports)
		}
	})
}

func TestNTPFraction(t *testing.T) {
	if got, want := NTP(time.Unix(0, int64(time.Second/2))), uint64(ntpEpoch)<<32|1<<31; got != want {
		t.Errorf("NTP of half a second = %x, want %x", got, want)
	}
	at := time.Unix(1_700_000_000, 123_456_789)
	if d := FromNTP(NTP(at)).Sub(at).Abs(); d > time.Nanosecond {
		t.Errorf("round trip is %v off", d)
	}
}

// opener publishes every name after a while, counting its calls.
type opener struct {
	h     *Hub
	calls int
	err   error
}

func (o *opener) Open(ctx context.Context, name Name) (*Stream, error) {
	o.calls++
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if o.err != nil {
		return nil, o.err
	}
	p, err := o.h.Publish(name, []Track{h264}, Origin{})
	if err != nil {
		return nil, err
	}
	return p.Stream(), nil
}

func TestOpenIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub()
		o := &opener{h: h}
		h.Use(o)
		errs := make(chan error)
		for range 3 {
			go func() {
				_, err := h.Open(t.Context(), "a")
				errs <- err
			}()
		}
		for range 3 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if o.calls != 1 {
			t.Errorf("opener was asked %d times, want 1", o.calls)
		}
	})
}

func TestOpenGoesOnWhenTheFirstCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub()
		h.Use(&opener{h: h})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		first := make(chan error, 1)
		go func() {
			_, err := h.Open(ctx, "a")
			first <- err
		}()
		synctest.Wait()
		if _, err := h.Open(t.Context(), "a"); err != nil {
			t.Errorf("Open = %v, want the stream", err)
		}
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open of the impatient = %v", err)
		}
	})
}

func TestOpenErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub()
		if _, err := h.Open(t.Context(), "a"); !errors.Is(err, ErrNotFound) {
			t.Errorf("Open without openers = %v, want ErrNotFound", err)
		}
		broken := errors.New("camera is on fire")
		h.Use(&opener{h: h, err: fmt.Errorf("no profile b: %w", ErrNotFound)}, &opener{h: h, err: broken})
		if _, err := h.Open(t.Context(), "a"); !errors.Is(err, broken) {
			t.Errorf("Open = %v, want the second opener's reason", err)
		}
	})
}

func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub()
		p := publish(t, h, "a", Origin{}, h264)
		start := time.Now()
		sub := p.Stream().Subscribe(SubscribeOptions{})
		time.AfterFunc(3*time.Second, sub.Close)
		if err := p.Stream().Idle(t.Context(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != 13*time.Second {
			t.Errorf("idle after %v, want 13s", got)
		}
		time.AfterFunc(time.Second, p.Close)
		if err := p.Stream().Idle(t.Context(), time.Minute); !errors.Is(err, ErrEnded) {
			t.Errorf("Idle = %v, want ErrEnded", err)
		}
	})
}

func TestGroupIsBounded(t *testing.T) {
	h := testHub()
	p := publish(t, h, "a", Origin{}, h264)
	write(t, p, 0, rtpPacket(0, 0, keyNALU))
	for i := range uint16(300) {
		write(t, p, 0, rtpPacket(i+1, 1, make([]byte, 60_000)...))
	}
	sub := p.Stream().Subscribe(SubscribeOptions{FromKey: true})
	if got := drain(t, sub); len(got) != 0 {
		t.Errorf("a group of 18 MB was kept: %d packets", len(got))
	}
}

func TestWriteRTPRefuses(t *testing.T) {
	h := testHub()
	p := publish(t, h, "a", Origin{}, h264)
	for name, b := range map[string][]byte{
		"empty":     {},
		"short":     {0x80, 96, 0},
		"version 1": append([]byte{0x40}, rtpPacket(1, 1)[1:]...),
		"sources":   append([]byte{0x8f}, rtpPacket(1, 1)[1:]...),
		"extension": append([]byte{0x90}, rtpPacket(1, 1, 0, 0, 0, 9)[1:]...),
		"padding":   append([]byte{0xa0}, rtpPacket(1, 1, 0, 0, 0, 9)[1:]...),
	} {
		if err := p.WriteRTP(0, b, time.Now()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := p.WriteRTP(1, rtpPacket(1, 1), time.Now()); err == nil {
		t.Error("a track that is not there: accepted")
	}
}

func FuzzWriteRTP(f *testing.F) {
	f.Add(uint8(0), rtpPacket(1, 2, keyNALU, 1, 2))
	codecs := []string{"H264", "H265", "AV1", "VP8", "VP9", "JPEG", "MP4V-ES", "MPV", "X"}
	f.Fuzz(func(t *testing.T, codec uint8, b []byte) {
		h := testHub()
		tr := Track{Kind: "video", Lines: []string{"m=video 0 RTP/AVP 96", "a=rtpmap:96 " + codecs[int(codec)%len(codecs)] + "/90000"}}
		p, err := h.Publish("a", []Track{tr}, Origin{})
		if err != nil {
			t.Fatal(err)
		}
		sub := p.Stream().Subscribe(SubscribeOptions{})
		n := len(b)
		if p.WriteRTP(0, b, time.Now()) == nil {
			if got := drain(t, sub); len(got) != 1 || len(got[0].Data) != n || len(got[0].Payload()) > n-rtpHeader {
				t.Errorf("an accepted packet did not come out whole")
			}
		}
		_ = p.WriteRTCP(0, b, time.Now())
	})
}
