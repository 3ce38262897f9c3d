package webrtc

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/pion/webrtc/v4"

	"peergate/media"
)

// feedback is what players may ask for about pictures; what is lost is sent again.
var feedback = []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}}

// known are the codecs of RTP that WebRTC can carry here, by media.Track's names.
var known = map[string]webrtc.RTPCodecCapability{
	"H264": {
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000, RTCPFeedback: feedback,
		SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
	},
	"H265": {MimeType: webrtc.MimeTypeH265, ClockRate: 90000, RTCPFeedback: feedback},
	"VP8":  {MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback},
	"VP9":  {MimeType: webrtc.MimeTypeVP9, ClockRate: 90000, RTCPFeedback: feedback},
	"AV1":  {MimeType: webrtc.MimeTypeAV1, ClockRate: 90000, RTCPFeedback: feedback},
	"OPUS": {MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"},
	"PCMU": {MimeType: webrtc.MimeTypePCMU, ClockRate: 8000},
	"PCMA": {MimeType: webrtc.MimeTypePCMA, ClockRate: 8000},
	"G722": {MimeType: webrtc.MimeTypeG722, ClockRate: 8000},
}

// engine returns codecs to negotiate; those of pictures can be sent again (RFC 4588).
func engine(names ...string) (*webrtc.MediaEngine, error) {
	e := new(webrtc.MediaEngine)
	pt := webrtc.PayloadType(96)
	for _, name := range names {
		c := known[name]
		kind := webrtc.RTPCodecTypeAudio
		if c.ClockRate == 90000 {
			kind = webrtc.RTPCodecTypeVideo
		}
		if err := e.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: pt}, kind); err != nil {
			return nil, err
		}
		if kind == webrtc.RTPCodecTypeVideo {
			rtx := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: fmt.Sprintf("apt=%d", pt)}
			if err := e.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: rtx, PayloadType: pt + 1}, kind); err != nil {
				return nil, err
			}
		}
		pt += 2
	}
	return e, nil
}

// rtpmap finds the codecs of an SDP description.
var rtpmap = regexp.MustCompile(`(?m)^a=rtpmap:\d+ ([A-Za-z0-9.-]+)/`)

// offered returns the names of the codecs that an offer has.
func offered(sdp string) []string {
	var all []string
	for _, m := range rtpmap.FindAllStringSubmatch(sdp, -1) {
		all = append(all, strings.ToUpper(m[1]))
	}
	return all
}

// plan is what of a stream a player gets.
type plan struct {
	stream *media.Stream
	video  int // index of the track; -1: none
	audio  int
}

// unfit says why a browser could not play a track. It is media.ErrUnsupported.
type unfit struct {
	video bool
	text  string
}

func (u *unfit) Error() string { return u.text }

func (u *unfit) Unwrap() error { return media.ErrUnsupported }

// choose returns what a player that understands the codecs gets of a name: the stream, or a rendition of it, the cheapest
// first: with the sound alone made anew, or all.
func (s *Server) choose(ctx context.Context, name media.Name, codecs []string) (*plan, error) {
	st, err := s.hub.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	p, odd := fit(ctx, st, codecs)
	if odd == nil {
		return p, nil
	}
	if _, _, ok := name.Rendition(); ok { // of which no other can be made
		return nil, fmt.Errorf("%s: %w", name, odd)
	}
	profiles := []string{"opus", "webrtc"}
	if odd.video {
		profiles = profiles[1:]
	}
	for _, profile := range profiles {
		if st, err = s.hub.Open(ctx, name+media.Name("~"+profile)); err != nil {
			continue
		}
		p, still := fit(ctx, st, codecs)
		if still == nil {
			return p, nil
		}
		err = still
	}
	if errors.Is(err, media.ErrEnded) || ctx.Err() != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s: %w; a rendition cannot be made: %v", name, odd, err)
}

// fit returns the tracks of a stream for a player, or why it could not play one of them.
func fit(ctx context.Context, st *media.Stream, codecs []string) (*plan, *unfit) {
	tracks := st.Tracks()
	p := &plan{stream: st, video: -1, audio: -1}
	for i := range tracks {
		t := &tracks[i]
		codec := t.Codec()
		video := t.Kind == "video"
		switch {
		case video && p.video >= 0, !video && (t.Kind != "audio" || p.audio >= 0):
			continue // a second one
		case known[codec].MimeType == "" || !slices.Contains(codecs, codec):
			return nil, &unfit{video, fmt.Sprintf("this browser cannot play %s over WebRTC", codec)}
		case !video && t.ClockRate() != int(known[codec].ClockRate), (codec == "PCMA" || codec == "PCMU") && t.Channels() > 1:
			return nil, &unfit{video, fmt.Sprintf("WebRTC cannot carry %s at %d Hz with %d channels", codec, t.ClockRate(), t.Channels())}
		case video && reorders(ctx, st, i):
			return nil, &unfit{video, fmt.Sprintf("browsers cannot play %s with B-frames over WebRTC", codec)}
		}
		if video {
			p.video = i
		} else {
			p.audio = i
		}
	}
	if p.video < 0 && p.audio < 0 {
		return nil, &unfit{true, "the stream has neither video nor audio"}
	}
	return p, nil
}

const (
	// reorderWait is how long pictures are awaited to see whether they come in another order than they are shown.
	reorderWait = 500 * time.Millisecond
	// reorderFrames is how many are enough.
	reorderFrames = 10
)

// reorders reports whether the pictures of a track come in another order than they are shown (B-frames).
func reorders(ctx context.Context, st *media.Stream, track int) bool {
	t := st.Tracks()[track]
	switch f := t.Format().(type) {
	case *format.H264:
		var sps h264.SPS
		if sps.Unmarshal(f.SPS) == nil {
			switch {
			case sps.ProfileIdc == 66 || sps.PicOrderCntType == 2: // baseline; the order of coding
				return false
			case sps.VUI != nil && sps.VUI.BitstreamRestriction != nil:
				return sps.VUI.BitstreamRestriction.MaxNumReorderFrames > 0
			}
		}
	case *format.H265:
	default:
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, reorderWait)
	defer cancel()
	sub := st.Subscribe(media.SubscribeOptions{FromKey: true})
	defer sub.Close()
	frames, last := 0, uint32(0)
	for frames < reorderFrames {
		ps, err := sub.Next(ctx)
		if err != nil {
			return false
		}
		for i := range ps {
			p := &ps[i]
			if p.Report || p.Track != track || frames > 0 && p.Timestamp() == last {
				continue
			}
			if frames > 0 && int32(p.Timestamp()-last) < 0 {
				return true
			}
			last = p.Timestamp()
			frames++
		}
	}
	return false
}
