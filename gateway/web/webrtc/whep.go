package webrtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"peergate/media"
)

// Play begins a session of a player, and returns its ID and the answer to its offer.
func (s *Server) Play(ctx context.Context, c Client) (id, answer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	have := offered(c.Offer)
	if len(have) == 0 {
		return "", "", fmt.Errorf("offer: it has no codecs: %w", ErrOffer)
	}
	p, err := s.choose(ctx, c.Name, have)
	if err != nil {
		return "", "", err
	}
	tracks := p.stream.Tracks()
	var names []string
	for _, i := range []int{p.video, p.audio} {
		if i >= 0 {
			names = append(names, tracks[i].Codec())
		}
	}
	codecs, err := engine(names...)
	if err != nil {
		return "", "", err
	}
	ses, err := s.connect(c, codecs, webrtc.ConfigureNack)
	if err != nil {
		return "", "", err
	}
	answer, err = ses.play(ctx, c.Offer, p)
	if err == nil {
		err = s.begin(ctx, ses)
	}
	if err != nil {
		ses.close()
		return "", "", err
	}
	return ses.id, answer, nil
}

// play answers an offer with the tracks of a plan.
func (ses *session) play(ctx context.Context, offer string, p *plan) (answer string, err error) {
	if err := ses.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", fmt.Errorf("offer: %w: %w", ErrOffer, err)
	}
	tracks := p.stream.Tracks()
	outs := make([]*out, len(tracks))
	for _, i := range []int{p.video, p.audio} {
		if i < 0 {
			continue
		}
		if outs[i], err = ses.add(&tracks[i]); err != nil {
			return "", err
		}
	}
	if answer, err = ses.answer(ctx); err != nil {
		return "", err
	}
	ses.run = func(ctx context.Context, ses *session) error { return ses.send(ctx, p.stream, outs) }
	return answer, nil
}

// out is a track on its way to a player.
type out struct {
	local    *webrtc.TrackLocalStaticRTP
	sender   *webrtc.RTPSender
	cutter   *cutter // of pictures whose packets are made anew; nil: they pass
	packets  uint32
	octets   uint32
	reported time.Time // when the player was told the clock
}

// add gives a track to the connection.
func (ses *session) add(t *media.Track) (*out, error) {
	local, err := webrtc.NewTrackLocalStaticRTP(known[t.Codec()], t.Kind, string(ses.name))
	if err != nil {
		return nil, err
	}
	o := &out{local: local}
	if o.sender, err = ses.pc.AddTrack(local); err != nil {
		return nil, fmt.Errorf("offer: %w: %w", ErrOffer, err)
	}
	if o.cutter, err = newCutter(t); err != nil {
		return nil, err
	}
	return o, nil
}

// send sends packets until the stream or the session ends.
func (ses *session) send(ctx context.Context, st *media.Stream, outs []*out) error {
	for _, o := range outs {
		if o != nil {
			ses.readers.Go(o.listen)
		}
	}
	sub := st.Subscribe(media.SubscribeOptions{FromKey: true})
	defer sub.Close()
	for {
		ps, err := sub.Next(ctx)
		if errors.Is(err, io.EOF) {
			return media.ErrEnded
		}
		if err != nil {
			return err
		}
		for i := range ps {
			p := &ps[i]
			if o := outs[p.Track]; o != nil {
				if err := ses.pass(st, o, p); err != nil {
					return err
				}
			}
		}
	}
}

// listen lets the player's reports in: what it misses is sent again by the library.
func (o *out) listen() {
	b := make([]byte, 1500)
	for {
		if _, _, err := o.sender.Read(b); err != nil {
			return
		}
	}
}

// pass sends a packet. Players learn the owner's clock from sender reports.
func (ses *session) pass(st *media.Stream, o *out, p *media.Packet) error {
	if p.Report {
		return nil // one is made with the counts of this player
	}
	var pkt rtp.Packet
	if pkt.Unmarshal(p.Data) != nil {
		return nil // an odd extension
	}
	packets := []*rtp.Packet{&pkt}
	if o.cutter != nil {
		packets = o.cutter.cut(&pkt)
	}
	for _, q := range packets {
		q.Extension, q.Extensions, q.CSRC = false, nil, nil // numbers that were settled with somebody else
		if err := o.local.WriteRTP(q); err != nil {
			return errLost
		}
		o.packets++
		o.octets += uint32(len(q.Payload))
		ses.bytes.Add(uint64(len(q.Payload)))
	}
	if len(packets) > 0 && time.Since(o.reported) > reportEvery {
		if c, ok := st.Clock(p.Track); ok {
			o.reported = time.Now()
			return ses.report(o, c, p.Timestamp())
		}
	}
	return nil
}

// reportEvery is the time between two sender reports; browsers bring sound and pictures together by them.
const reportEvery = time.Second

func (ses *session) report(o *out, c media.Clock, ts uint32) error {
	encodings := o.sender.GetParameters().Encodings
	if len(encodings) == 0 {
		return nil
	}
	sr := &rtcp.SenderReport{
		SSRC: uint32(encodings[0].SSRC), NTPTime: media.NTP(c.At(ts)), RTPTime: ts, PacketCount: o.packets, OctetCount: o.octets,
	}
	if err := ses.pc.WriteRTCP([]rtcp.Packet{sr}); err != nil {
		return errLost
	}
	return nil
}
