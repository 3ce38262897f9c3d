package rtsp

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"peergate/rtsp/delivery"
	"peergate/rtsp/wire"
)

// rangeSlack is how far a player's clock may be from ours where it asks for the present.
const rangeSlack = 10 * time.Second

// play serves PLAY (RFC 2326 §10.5): from the newest key frame on, whatever the session has seen before. A session that
// plays goes on as it does: live media has no other place to go to, and for some clients it is a sign of life.
func (q *request) play(ctx context.Context) (*wire.Response, error) {
	ses := q.ses
	ses.mu.Lock()
	st, player := ses.state, ses.player
	began := ses.began
	ses.mu.Unlock()
	if ses.announce != nil || st != ready && st != playing {
		return nil, st.wrong(q.Method, ses.announce != nil)
	}
	if err := q.checkRange(began); err != nil {
		return nil, err
	}
	extra, err := q.pace()
	if err != nil {
		return nil, err
	}
	if player == nil {
		player = ses.newPlayer()
	}
	var answered atomic.Bool
	err = player.Play(ctx, q.conn.link, func(starts []delivery.Start) []byte {
		answered.Store(true)
		return q.finish(q.playing(starts, extra))
	})
	switch {
	case err == nil:
	case answered.Load(): // and then something went wrong: the session hears of it by itself
		return nil, nil
	default:
		return nil, unavailable(err)
	}
	ses.played()
	return nil, nil
}

// newPlayer makes the player of the tracks that were set up.
func (ses *session) newPlayer() sending {
	o := delivery.PlayerOptions{Stream: ses.stream, CNAME: ses.cname, Ended: ses.playerEnded}
	ses.mu.Lock()
	var g *group
	for _, l := range ses.legs {
		if g = l.group; g == nil {
			o.Outlets = append(o.Outlets, l.outlet(ses.conn))
		}
	}
	ses.mu.Unlock()
	var player sending
	if g != nil {
		player = &share{g: g, client: ses.remote.Addr(), ended: ses.playerEnded, touch: ses.touch}
	} else {
		player = ses.srv.sender.Player(o)
	}
	ses.mu.Lock()
	defer ses.mu.Unlock()
	ses.player = player
	return player
}

// played notes that the session plays.
func (ses *session) played() {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if ses.state == finished { // so soon
		return
	}
	ses.state = playing
	if ses.began.IsZero() {
		ses.began = time.Now()
		ses.log().Info("player began")
	}
}

// checkRange refuses what live media cannot serve: the past, the future, and an end (RFC 2326 §11.3.8). A player that
// was paused may ask to go on where it stopped, and a clock need not be exact; all get the present.
func (q *request) checkRange(began time.Time) error {
	v := q.Header.Get("Range")
	if v == "" {
		return nil
	}
	r, err := wire.ParseRange(v)
	unit, _, _ := strings.Cut(v, "=")
	if err != nil {
		switch strings.ToLower(strings.TrimSpace(unit)) {
		case "npt", "clock", "smpte", "smpte-25", "smpte-30-drop":
			return refuse(400, "%v", err)
		}
		return refuse(457, "%v", err)
	}
	live := true
	switch r.Unit {
	case "npt":
		played := time.Duration(0)
		if !began.IsZero() {
			played = time.Since(began) + rangeSlack
		}
		live = (r.Now || r.Start <= played) && r.End == 0
	case "clock":
		live = r.Until.IsZero() && time.Since(r.From).Abs() <= rangeSlack
	case "smpte":
		live = strings.Trim(r.SMPTE, "0:.-") == "" && strings.HasSuffix(r.SMPTE, "-")
	}
	if !live {
		return refuse(457, "the stream is live: %s of it cannot be had", r)
	}
	return nil
}

// pace answers Scale and Speed: live media has the one pace it comes in (RFC 2326 §12.34, §12.35).
func (q *request) pace() (wire.Header, error) {
	var h wire.Header
	for _, name := range []string{"Scale", "Speed"} {
		v := q.Header.Get(name)
		if v == "" {
			continue
		}
		if _, err := wire.ParseScale(v); err != nil {
			return nil, refuse(400, "%v", err)
		}
		h.Add(name, "1.0")
	}
	return h, nil
}

// playing is the answer to PLAY once it is known with which packets it begins.
func (q *request) playing(starts []delivery.Start, extra wire.Header) *wire.Response {
	a := &wire.Response{Status: 200, Header: extra}
	a.Header.Add("Range", "npt=now-")
	q.ses.mu.Lock()
	defer q.ses.mu.Unlock()
	info := make([]wire.TrackInfo, 0, len(q.ses.legs))
	for _, l := range q.ses.legs {
		t := wire.TrackInfo{URL: l.url}
		for _, s := range starts {
			if s.Track == l.track {
				t.Seq, t.HasSeq, t.Timestamp, t.HasTime = s.Seq, s.HasSeq, s.Timestamp, s.HasTime
			}
		}
		info = append(info, t)
	}
	a.Header.Add("RTP-Info", wire.RTPInfo(info))
	return a
}
