package webrtc

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"peergate/conf"
	"peergate/media"
)

// The tracks of the streams under test.
var (
	baseline = media.Track{Kind: "video", Lines: []string{
		"m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LADdoFB+hAAAADAEAAAAyjxQqo,aM4yyA==",
	}}
	vp8    = media.Track{Kind: "video", Lines: []string{"m=video 0 RTP/AVP 97", "a=rtpmap:97 VP8/90000"}}
	jpeg   = media.Track{Kind: "video", Lines: []string{"m=video 0 RTP/AVP 26"}}
	opus   = media.Track{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 98", "a=rtpmap:98 opus/48000/2"}}
	alaw   = media.Track{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 8"}}
	stereo = media.Track{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 99", "a=rtpmap:99 PCMA/8000/2"}}
	aac    = media.Track{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 100", "a=rtpmap:100 MPEG4-GENERIC/48000/2", "a=fmtp:100 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190"}}
)

// TestFit sees which streams a browser can play as they are, and what is said of the others.
func TestFit(t *testing.T) {
	usual := []string{"H264", "VP8", "OPUS", "PCMA", "PCMU"}
	for _, c := range []struct {
		name   string
		tracks []media.Track
		codecs []string
		want   string // "" is a plan
	}{
		{"video and audio", []media.Track{baseline, opus}, usual, ""},
		{"second tracks", []media.Track{opus, vp8, aac, jpeg}, usual, ""},
		{"sound alone", []media.Track{alaw}, usual, ""},
		{"no H.264", []media.Track{baseline, opus}, []string{"VP8", "OPUS"}, "cannot play H264"},
		{"AAC", []media.Track{baseline, aac}, usual, "cannot play MPEG4-GENERIC"},
		{"JPEG", []media.Track{jpeg, alaw}, usual, "cannot play JPEG"},
		{"two channels", []media.Track{stereo}, usual, "PCMA at 8000 Hz with 2 channels"},
	} {
		hub := media.NewHub(slog.New(slog.DiscardHandler))
		pub, err := hub.Publish("cam", c.tracks, media.Origin{})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		p, odd := fit(t.Context(), pub.Stream(), c.codecs)
		switch {
		case c.want == "" && odd != nil:
			t.Errorf("%s: %v, want a plan", c.name, odd)
		case c.want != "" && (odd == nil || !strings.Contains(odd.Error(), c.want) || !errors.Is(odd, media.ErrUnsupported)):
			t.Errorf("%s: %+v, %v, want an error with %q", c.name, p, odd, c.want)
		}
	}
}

// newServer returns a server that runs until the test ends.
func newServer(tb testing.TB, most int) (*Server, *media.Hub) {
	tb.Helper()
	log := slog.New(slog.DiscardHandler)
	hub := media.NewHub(log)
	s := New(conf.WebRTC{UDP: "127.0.0.1:0", MaxSessions: most}, time.Second, hub, log)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Run = %v", err)
		}
		if n := len(s.Status().Sessions); n != 0 || s.taken != 0 {
			tb.Errorf("after Run %d sessions and %d places are left", n, s.taken)
		}
	})
	return s, hub
}

// offer returns a browser's offer in the direction, and what sends no media.
func offer(tb testing.TB, direction webrtc.RTPTransceiverDirection) string {
	tb.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		tb.Fatal(err)
	}
	defer pc.Close()
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: direction}); err != nil {
			tb.Fatal(err)
		}
	}
	o, err := pc.CreateOffer(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return o.SDP
}

// play begins a session, as soon as the ports are open.
func play(tb testing.TB, s *Server, c Client) string {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		id, answer, err := s.Play(tb.Context(), c)
		if errors.Is(err, ErrBusy) && time.Now().Before(deadline) {
			continue
		}
		if err != nil || !strings.Contains(answer, "a=sendonly") {
			tb.Fatalf("Play = %q, %v", answer, err)
		}
		return id
	}
}

// TestSessions has as many sessions as may be, ends one, and takes another.
func TestSessions(t *testing.T) {
	s, hub := newServer(t, 1)
	if _, err := hub.Publish("cam", []media.Track{baseline, opus}, media.Origin{}); err != nil {
		t.Fatal(err)
	}
	c := Client{Name: "cam", Remote: "192.0.2.1:1", Offer: offer(t, webrtc.RTPTransceiverDirectionRecvonly)}
	id := play(t, s, c)
	if _, _, err := s.Play(t.Context(), c); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "max_sessions") {
		t.Errorf("Play of one too many = %v, want ErrBusy that names the setting", err)
	}
	if st := s.Status(); len(st.Sessions) != 1 || st.Sessions[0].Stream != "cam" || st.Sessions[0].Publisher {
		t.Errorf("Status = %+v", st)
	}
	if err := s.End(id); err != nil {
		t.Fatal(err)
	}
	again := play(t, s, c)
	if err := s.End(again); err != nil {
		t.Error(err)
	}
	if err := s.End("no such"); !errors.Is(err, media.ErrNotFound) {
		t.Errorf("End of none = %v, want ErrNotFound", err)
	}
	if _, _, err := s.Play(t.Context(), Client{Name: "cam", Offer: "v=0"}); !errors.Is(err, ErrOffer) {
		t.Errorf("Play without codecs = %v, want ErrOffer", err)
	}
}

// FuzzOffer gives players' and publishers' offers, and a session's candidates, to the server.
func FuzzOffer(f *testing.F) {
	f.Add(offer(f, webrtc.RTPTransceiverDirectionRecvonly))
	f.Add(offer(f, webrtc.RTPTransceiverDirectionSendonly))
	f.Add("a=mid:0\r\na=candidate:1 1 udp 2113937151 192.0.2.7 40000 typ host\r\na=end-of-candidates\r\n")
	f.Add("v=0\r\na=rtpmap:96 H264/90000\r\n")
	s, hub := newServer(f, 100)
	if _, err := hub.Publish("cam", []media.Track{baseline, opus}, media.Origin{}); err != nil {
		f.Fatal(err)
	}
	id := play(f, s, Client{Name: "cam", Offer: offer(f, webrtc.RTPTransceiverDirectionRecvonly)})
	f.Fuzz(func(t *testing.T, sdp string) {
		if len(sdp) > MaxOffer {
			return
		}
		for _, begin := range []func(context.Context, Client) (string, string, error){s.Play, s.Publish} {
			ses, answer, err := begin(t.Context(), Client{Name: "cam", Offer: sdp})
			switch {
			case err == nil && answer == "":
				t.Error("a session has no answer")
			case err == nil:
				_ = s.End(ses) // it may have ended
			}
		}
		_ = s.Trickle(id, sdp)
	})
}
