package webrtc

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"peergate/media"
)

const (
	// keyEvery is how often a publisher is asked for a key picture: browsers send none by themselves, and players begin with one.
	keyEvery = 2 * time.Second
	// maxRTP is the size in bytes of the largest packet.
	maxRTP = 1500
)

// The codecs that publishers may use: the first that is offered, so that most players can play it.
var (
	publishedVideo = []string{"H264", "VP8", "VP9", "AV1", "H265"}
	publishedAudio = []string{"OPUS", "PCMU", "PCMA", "G722"}
)

// Publish begins a session of a publisher, and returns its ID and the answer to its offer.
func (s *Server) Publish(ctx context.Context, c Client) (id, answer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	have := offered(c.Offer)
	var names []string
	for _, all := range [][]string{publishedVideo, publishedAudio} {
		if i := slices.IndexFunc(all, func(name string) bool { return slices.Contains(have, name) }); i >= 0 {
			names = append(names, all[i])
		}
	}
	if len(have) == 0 {
		return "", "", fmt.Errorf("offer: it has no codecs: %w", ErrOffer)
	}
	if len(names) == 0 {
		return "", "", fmt.Errorf("offer: it has none of %s, %s: %w", strings.Join(publishedVideo, ", "), strings.Join(publishedAudio, ", "), media.ErrUnsupported)
	}
	codecs, err := engine(names...)
	if err != nil {
		return "", "", err
	}
	reports := func(_ *webrtc.MediaEngine, r *interceptor.Registry) error { return webrtc.ConfigureRTCPReports(r) }
	ses, err := s.connect(c, codecs, webrtc.ConfigureNack, reports, webrtc.ConfigureTWCCSender)
	if err != nil {
		return "", "", err
	}
	ses.publisher = true
	answer, err = ses.record(ctx, c.Offer)
	if err == nil {
		err = s.begin(ctx, ses)
	}
	if err != nil {
		ses.close()
		return "", "", err
	}
	return ses.id, answer, nil
}

// arrival is a track that a publisher begins to send.
type arrival struct {
	track    *webrtc.TrackRemote
	receiver *webrtc.RTPReceiver
}

// record answers an offer of a publisher.
func (ses *session) record(ctx context.Context, offer string) (answer string, err error) {
	arrivals := make(chan arrival, 2*len(publishedVideo)) // the tracks of an offer; more than two are left alone
	ses.pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
		select {
		case arrivals <- arrival{t, r}:
		default:
		}
	})
	if err := ses.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", fmt.Errorf("offer: %w: %w", ErrOffer, err)
	}
	if answer, err = ses.answer(ctx); err != nil {
		return "", err
	}
	tracks, receivers := ses.tracks()
	if len(tracks) == 0 {
		return "", fmt.Errorf("offer: nothing is sent in it: %w", ErrOffer)
	}
	ses.run = func(ctx context.Context, ses *session) error { return ses.receive(ctx, tracks, receivers, arrivals) }
	return answer, nil
}

// tracks returns what was agreed upon: the first video and the first audio track.
func (ses *session) tracks() (tracks []media.Track, receivers []*webrtc.RTPReceiver) {
	for _, tr := range ses.pc.GetTransceivers() {
		r := tr.Receiver()
		if r == nil || slices.ContainsFunc(tracks, func(t media.Track) bool { return t.Kind == tr.Kind().String() }) {
			continue
		}
		for _, c := range r.GetParameters().Codecs {
			if strings.EqualFold(c.MimeType, webrtc.MimeTypeRTX) {
				continue
			}
			tracks, receivers = append(tracks, described(tr.Kind().String(), c)), append(receivers, r)
			break
		}
	}
	return tracks, receivers
}

// described returns the section of a codec.
func described(kind string, c webrtc.RTPCodecParameters) media.Track {
	_, name, _ := strings.Cut(c.MimeType, "/")
	m := fmt.Sprintf("a=rtpmap:%d %s/%d", c.PayloadType, name, c.ClockRate)
	if c.Channels > 1 {
		m += fmt.Sprintf("/%d", c.Channels)
	}
	t := media.Track{Kind: kind, Lines: []string{fmt.Sprintf("m=%s 0 RTP/AVP %d", kind, c.PayloadType), m}}
	switch {
	case strings.EqualFold(name, "opus"):
		t.Lines = append(t.Lines, fmt.Sprintf("a=fmtp:%d sprop-stereo=1", c.PayloadType))
	case strings.EqualFold(name, "H264"): // the profile is what the pictures say
		t.Lines = append(t.Lines, fmt.Sprintf("a=fmtp:%d packetization-mode=1", c.PayloadType))
	}
	return t
}

// receive publishes what comes until the session ends or another publisher takes the name over.
func (ses *session) receive(ctx context.Context, tracks []media.Track, receivers []*webrtc.RTPReceiver, arrivals <-chan arrival) error {
	o := media.Origin{Kind: "publish", Remote: ses.remote, Linger: ses.srv.grace}
	pub, err := ses.srv.hub.Publish(ses.name, tracks, o)
	if err != nil {
		return err
	}
	defer func() {
		select {
		case <-ses.over:
			if ses.why == errParted {
				pub.End()
			}
		default:
		}
		pub.Close()
	}()
	key := time.NewTicker(keyEvery)
	defer key.Stop()
	for {
		select {
		case a := <-arrivals:
			i := slices.Index(receivers, a.receiver)
			if i < 0 {
				continue
			}
			ses.readers.Go(func() { ses.readMedia(pub, i, a.track) })
			ses.readers.Go(func() { readReports(pub, i, a) })
			ses.askKey(receivers)
		case <-key.C:
			ses.askKey(receivers)
		case <-pub.Done():
			return fmt.Errorf("another publisher: %w", media.ErrEnded)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readMedia publishes a track's packets.
func (ses *session) readMedia(pub *media.Publisher, i int, t *webrtc.TrackRemote) {
	b := make([]byte, maxRTP)
	for {
		n, _, err := t.Read(b)
		if err != nil {
			return
		}
		var p rtp.Packet
		if p.Unmarshal(b[:n]) != nil || len(p.Payload) == 0 { // padding, by which browsers try how much the line bears
			continue
		}
		p.Extension, p.Extensions, p.CSRC, p.Padding, p.PaddingSize = false, nil, nil, false, 0
		packet, err := p.Marshal()
		if err != nil {
			continue
		}
		ses.bytes.Add(uint64(n))
		if pub.WriteRTP(i, packet, time.Now()) != nil {
			return
		}
	}
}

// readReports publishes the clock that the reports of a track tell.
func readReports(pub *media.Publisher, i int, a arrival) {
	for {
		all, _, err := a.receiver.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range all {
			sr, ok := p.(*rtcp.SenderReport)
			if !ok || sr.SSRC != uint32(a.track.SSRC()) {
				continue
			}
			if b, err := sr.Marshal(); err == nil && pub.WriteRTCP(i, b, time.Now()) != nil {
				return
			}
		}
	}
}

// askKey asks for a key picture.
func (ses *session) askKey(receivers []*webrtc.RTPReceiver) {
	for _, r := range receivers {
		if t := r.Track(); t != nil && t.Kind() == webrtc.RTPCodecTypeVideo && t.SSRC() != 0 {
			_ = ses.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(t.SSRC())}}) // it is asked again
		}
	}
}
