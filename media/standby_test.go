package media

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestStandbyTakesOverWithAKeyPacket lets a publisher wait beside the one that plays: players have packets of the first
// up to the second's key packet, and then go on with the second's, numbered and timed on, though its tracks stand in
// another order, with another payload type, and one more than players have.
func TestStandbyTakesOverWithAKeyPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub()
		first := publish(t, h, "a", Origin{Linger: time.Minute}, h264, audio)
		sub := first.Stream().Subscribe(SubscribeOptions{})
		write(t, first, 0, rtpPacket(10, 1000, keyNALU))
		write(t, first, 1, rtpPacket(20, 800))
		text := Track{Kind: "application", Lines: []string{"m=application 0 RTP/AVP 107", "a=rtpmap:107 vnd.onvif.metadata/90000"}}
		video := Track{Kind: "video", Lines: []string{"m=video 0 RTP/AVP 98", "a=rtpmap:98 H264/90000", "a=fmtp:98 sprop-parameter-sets=Z0I=,aM4="}}
		second, err := h.Standby("a", []Track{text, audio, video}, Origin{Linger: time.Minute, Spare: true})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		write(t, second, 1, rtpPacket(500, 160))
		write(t, second, 2, rtpPacket(600, 7, deltaNALU))
		select {
		case <-second.Entered():
			t.Error("took over without a key packet")
		default:
		}
		write(t, first, 0, rtpPacket(11, 91000, deltaNALU))
		write(t, second, 2, rtpPacket(601, 90007, keyNALU))
		<-second.Entered()
		write(t, second, 0, rtpPacket(1, 1))
		write(t, second, 1, rtpPacket(501, 320))
		if err := first.WriteRTP(0, rtpPacket(12, 94000, deltaNALU), time.Now()); !errors.Is(err, ErrEnded) {
			t.Errorf("WriteRTP of the replaced = %v, want ErrEnded", err)
		}
		var seqs [2][]uint16
		for _, p := range drain(t, sub) {
			seqs[p.Track] = append(seqs[p.Track], p.Sequence())
			if p.Track == 0 && p.PayloadType() != 96 {
				t.Errorf("payload type %d, want 96", p.PayloadType())
			}
		}
		if s := seqs[0]; len(s) != 3 || s[2] != 13 || len(seqs[1]) != 2 {
			t.Errorf("sequence numbers %v, want 10 11 13 and two of the sound", seqs)
		}
		tracks := second.Stream().Tracks()
		if len(tracks) != 2 || tracks[0].attribute("fmtp", 96) != "sprop-parameter-sets=Z0I=,aM4=" {
			t.Errorf("tracks %q, want the second's parameter sets by the first's payload type", tracks)
		}
	})
}

// TestStandbyGoesUnused closes a publisher that has not taken over: the one that plays is not disturbed.
func TestStandbyGoesUnused(t *testing.T) {
	h := testHub()
	first := publish(t, h, "a", Origin{}, h264)
	second, err := h.Standby("a", []Track{h264}, Origin{})
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
	second.End()
	if err := second.WriteRTP(0, rtpPacket(1, 1, keyNALU), time.Now()); !errors.Is(err, ErrEnded) {
		t.Errorf("WriteRTP after Close = %v, want ErrEnded", err)
	}
	select {
	case <-second.Done():
	default:
		t.Error("not done after Close")
	}
	write(t, first, 0, rtpPacket(1, 1, keyNALU))
}

// TestContinues tells which tracks players could go on with.
func TestContinues(t *testing.T) {
	h := testHub()
	if !h.Continues("a", []Track{h264}, Origin{}) {
		t.Error("a name without a stream does not go on with every publisher")
	}
	p := publish(t, h, "a", Origin{}, h264)
	if !h.Continues("a", []Track{audio}, Origin{}) {
		t.Error("nobody watches, but other tracks are refused")
	}
	defer p.Stream().Subscribe(SubscribeOptions{}).Close()
	if h.Continues("a", []Track{audio}, Origin{Spare: true}) || h.Continues("a", []Track{h264, audio}, Origin{}) {
		t.Error("players would go on with other tracks")
	}
	if !h.Continues("a", []Track{h264, audio}, Origin{Spare: true}) || !h.Continues("a", []Track{h264}, Origin{}) {
		t.Error("players could not go on")
	}
}
