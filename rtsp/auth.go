package rtsp

import (
	"context"
	"fmt"
	"time"

	"peergate/media"
	"peergate/rtsp/auth"
	"peergate/rtsp/wire"
)

// allow asks for leave to do something with a stream and returns the user.
func (q *request) allow(ctx context.Context, action auth.Action, name media.Name) (user string, err error) {
	if q.pass(action, name) != nil {
		return passUser, nil
	}
	user, err = q.conn.srv.allow(ctx, q.conn, q.Request, action, name)
	if err != nil {
		return "", err
	}
	if err := q.redirect(name); err != nil {
		return "", err
	}
	set := q.conn.srv.settings()
	switch {
	case action == auth.Publish && set.names.foreign(name):
		return "", refuse(403, "%s is the name of another gateway's stream", name)
	case !set.names.admits(name, q.conn.remote.Addr(), user):
		return "", refuse(403, "streams of gateways that are no peers are for this host and for users")
	}
	return user, nil
}

// allow asks whether the client of a connection may do something with a stream; the error is a refusal.
func (s *Server) allow(ctx context.Context, c *conn, q *wire.Request, action auth.Action, name media.Name) (user string, err error) {
	s.mu.Lock()
	users := s.users
	s.mu.Unlock()
	d := users.Allow(ctx, auth.Request{
		Action: action, Name: string(name), Addr: c.remote.Addr(), Conn: c.id,
		Method: q.Method, URL: q.URL, Authorization: q.Header.Get("Authorization"),
	})
	switch d.Verdict {
	case auth.OK:
		return d.User, nil
	case auth.Challenge:
		r := refuse(401, "%s", d.Reason)
		for _, v := range d.Challenges {
			r.header.Add("WWW-Authenticate", v)
		}
		r.usual = q.Header.Get("Authorization") == ""
		return "", r
	case auth.Wait:
		r := refuse(503, "%s", d.Reason)
		r.header.Add("Retry-After", fmt.Sprint(int(d.RetryAfter/time.Second)+1))
		return "", r
	}
	return "", refuse(403, "%s", d.Reason)
}

// claim returns the session of a Session header if the client may use it. Another host's session does not exist for it;
// over another connection of the same host the client has to prove again who it is.
func (q *request) claim(ctx context.Context, header string) (*session, error) {
	ses := q.conn.srv.session(wire.SessionID(header))
	if ses == nil || ses.remote.Addr() != q.conn.remote.Addr() {
		return nil, refuse(454, "there is no such session")
	}
	ses.mu.Lock()
	same := ses.conn == q.conn
	ses.mu.Unlock()
	if same {
		return ses, nil
	}
	action := auth.Read
	if ses.announce != nil {
		action = auth.Publish
	}
	user, err := q.conn.srv.allow(ctx, q.conn, q.Request, action, ses.name)
	if err != nil {
		return nil, err
	}
	if user != ses.user || !ses.move(q.conn) {
		return nil, refuse(454, "there is no such session")
	}
	return ses, nil
}
