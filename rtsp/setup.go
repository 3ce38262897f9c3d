package rtsp

import (
	"context"
	"slices"
	"strings"

	"peergate/media"
	"peergate/rtsp/auth"
	"peergate/rtsp/wire"
)

// setup serves SETUP (RFC 2326 §10.4).
func (q *request) setup(ctx context.Context) (*wire.Response, error) {
	if !q.Header.Has("Transport") {
		return nil, refuse(400, "the Transport header is missing")
	}
	if ses := q.ses; ses != nil {
		ses.mu.Lock()
		st := ses.state
		ses.mu.Unlock()
		if st != ready {
			return nil, st.wrong(q.Method, ses.announce != nil)
		}
	}
	if an := q.announcement(); an != nil {
		return q.setupPublisher(an)
	}
	return q.setupPlayer(ctx)
}

// setupPlayer sets a track of a stream up for playing.
func (q *request) setupPlayer(ctx context.Context) (*wire.Response, error) {
	name, err := q.name()
	if err != nil {
		return nil, err
	}
	user, err := q.allow(ctx, auth.Read, name)
	if err != nil {
		return nil, err
	}
	if q.ses != nil && (q.ses.name != name || q.ses.announce != nil) {
		return nil, refuse(459, "the session is of %s", q.ses.name)
	}
	var st *media.Stream
	if q.ses != nil {
		st = q.ses.stream
	} else if st, err = q.open(ctx, name); err != nil {
		return nil, err
	}
	n := len(st.Tracks())
	track := q.url.Track
	switch {
	case track < 0 && n > 1:
		return nil, refuse(459, "%s has %d tracks: set each up by the URL of its a=control", name, n)
	case track < 0:
		track = 0
	case track >= n:
		return nil, refuse(404, "%s has %d tracks, there is no track %d", name, n, track)
	}
	ses := q.ses
	if ses == nil {
		ses = newSession(q.conn, name, user)
		ses.stream = st
	}
	return q.settle(ses, track, "PLAY")
}

// settle chooses a transport for a track and adds it to the session, which begins if it is new.
func (q *request) settle(ses *session, track int, mode string) (*wire.Response, error) {
	l, t := q.choose(ses, track, mode)
	if l == nil {
		return nil, refuse(461, "no transport of %q can be had here", strings.Join(q.Header.Values("Transport"), ", "))
	}
	if q.ses == nil {
		if err := q.conn.srv.enter(ses); err != nil {
			l.release(q.conn.srv)
			return nil, err
		}
	}
	if !q.conn.attach(ses) || !ses.settle(l) {
		l.release(q.conn.srv)
		ses.end(errConnection)
		return nil, refuse(454, "the session has ended")
	}
	q.ses = ses
	if l.seal != nil {
		delete(q.conn.keys, q.keyName(track))
	}
	a := &wire.Response{Status: 200}
	a.Header.Add("Transport", t.String())
	return a, nil
}

// settle takes a leg in, in the place of one that the track has. A player that exists is made anew by the next PLAY.
func (ses *session) settle(l *leg) bool {
	if l.pair != nil {
		ses.srv.ports.claim(ses, l)
	}
	old, player, ok := ses.replace(l)
	if player != nil {
		player.Close(false)
	}
	if old != nil {
		old.release(ses.srv)
	}
	return ok
}

// replace puts a leg into the list; it returns the one it replaces and a player that does not know the new one.
func (ses *session) replace(l *leg) (old *leg, player sending, ok bool) {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if ses.ended {
		return nil, nil, false
	}
	player, ses.player = ses.player, nil
	legs := slices.Clone(ses.legs) // others read the list without the lock
	i := slices.IndexFunc(legs, func(o *leg) bool { return o.track == l.track })
	if i < 0 {
		ses.legs = append(legs, l)
		return nil, player, true
	}
	old, legs[i] = legs[i], l
	ses.legs = legs
	return old, player, true
}
