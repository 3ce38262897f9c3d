package rtsp

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"peergate/media"
	"peergate/rtsp/wire"
)

// record serves RECORD (RFC 2326 §10.11): the tracks that were set up are published.
func (q *request) record() (*wire.Response, error) {
	ses := q.ses
	ses.mu.Lock()
	st := ses.state
	legs := slices.Clone(ses.legs)
	ses.mu.Unlock()
	switch {
	case ses.announce == nil || st != ready && st != recording:
		return nil, st.wrong(q.Method, ses.announce != nil)
	case st == recording:
		return &wire.Response{Status: 200}, nil
	}
	slices.SortFunc(legs, func(a, b *leg) int { return cmp.Compare(a.track, b.track) })
	tracks := make([]media.Track, len(legs))
	for i, l := range legs {
		tracks[i] = ses.announce.desc.Tracks[l.track]
		l.intake.index.Store(int32(i))
	}
	pub, err := ses.publishTracks(tracks)
	if err != nil {
		return nil, refuse(400, "%v", err)
	}
	ses.pub.Store(pub)
	if !ses.recorded() { // its end has closed the publisher before, or does not know of this one
		pub.Close()
		return nil, refuse(454, "the session has ended")
	}
	return &wire.Response{Status: 200}, nil
}

// recorded notes that the session records; false when it has ended.
func (ses *session) recorded() bool {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if ses.ended {
		return false
	}
	ses.state, ses.report = recording, time.Now().Add(reportEvery/2)
	return true
}

// publishTracks begins to publish in the hub, or where the publisher's pass leads.
func (ses *session) publishTracks(tracks []media.Track) (*media.Publisher, error) {
	if p := ses.announce.pass; p != nil {
		return p.publish(tracks)
	}
	return ses.srv.hub.Publish(ses.name, tracks, media.Origin{
		Kind: "publish", Remote: ses.announce.remote, Linger: ses.srv.settings().PublisherGrace,
	})
}

// publish takes a publisher's packet. What is wrong with a packet concerns it alone.
func (ses *session) publish(l *leg, rtcp bool, b []byte, now time.Time) {
	pub := ses.pub.Load()
	if pub == nil {
		return
	}
	ses.bytes.Add(uint64(len(b)))
	track := int(l.intake.index.Load())
	if rtcp {
		l.intake.reported(b, now)
		_ = pub.WriteRTCP(track, b, now)
		return
	}
	l.intake.received(b, now)
	l.intake.fit.fit(b, func(b []byte) { _ = pub.WriteRTP(track, b, now) })
}

// sendReports sends receiver reports to a publisher when they are due (RFC 3550 §6.2).
func (ses *session) sendReports(now time.Time) {
	ses.mu.Lock()
	due := ses.state == recording && !now.Before(ses.report)
	legs := ses.legs
	if due {
		ses.report = now.Add(time.Duration((0.5 + rand.Float64()) * float64(reportEvery)))
	}
	ses.mu.Unlock()
	if !due {
		return
	}
	for _, l := range legs {
		b := l.intake.report(ses.cname, now)
		switch {
		case b == nil:
		case l.conn != nil:
			f := wire.Frame{Channel: l.rtcpChannel, Payload: b}
			_ = l.conn.send(f.Append(nil)) // when it fails, so does reading
		default:
			_, _ = l.pair.rtcp.WriteToUDPAddrPort(b, l.rtcp) // a report that is lost is not missed
		}
	}
}
