package rtsp

import (
	"context"
	"slices"
	"strings"

	"peergate/media"
	"peergate/rtsp/auth"
	"peergate/rtsp/wire"
)

// announcement is what a client wants to publish.
type announcement struct {
	name   media.Name
	user   string
	url    *wire.URL
	desc   media.Description
	remote string
	pass   *pass // by which it is announced, or nil
}

// announce serves ANNOUNCE (RFC 2326 §10.3).
func (q *request) announce(ctx context.Context) (*wire.Response, error) {
	if q.ses != nil {
		q.ses.mu.Lock()
		st := q.ses.state
		q.ses.mu.Unlock()
		return nil, st.wrong(q.Method, q.ses.announce != nil)
	}
	name, err := q.name()
	if err != nil {
		return nil, err
	}
	user, err := q.allow(ctx, auth.Publish, name)
	if err != nil {
		return nil, err
	}
	kind, _, _ := strings.Cut(q.Header.Get("Content-Type"), ";")
	if kind = strings.TrimSpace(kind); kind != "" && !strings.EqualFold(kind, sdpType) {
		return nil, refuse(415, "a stream is announced as %s, not %q", sdpType, kind)
	}
	if e := q.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, refuse(415, "encoding %q is not understood", e)
	}
	d, err := media.ParseSDP(q.Body)
	if err != nil {
		return nil, refuse(400, "%v", err)
	}
	q.conn.announced = &announcement{name, user, q.url, d, q.conn.remote.String(), q.pass(auth.Publish, name)}
	return &wire.Response{Status: 200}, nil
}

// announcement returns that to which a SETUP belongs, or nil when it is a player's.
func (q *request) announcement() *announcement {
	if q.ses != nil {
		return q.ses.announce
	}
	an := q.conn.announced
	if an == nil {
		return nil
	}
	if _, ok := an.track(q.url); !ok {
		return nil
	}
	return an
}

// track returns the track that a URL of SETUP means: by the control attributes of the description, relative to the URL
// of ANNOUNCE or absolute, or, where it has none, by ours.
func (an *announcement) track(u *wire.URL) (int, bool) {
	want := resource(u)
	base := resource(an.url)
	path, query, _ := strings.Cut(base, "?")
	path = strings.TrimRight(path, "/")
	for i, control := range an.desc.Controls {
		if control == "" {
			control = wire.Control(i)
		}
		if strings.Contains(control, "://") {
			if c, err := wire.ParseURL(control); err == nil && resource(c) == want {
				return i, true
			}
			continue
		}
		control = strings.Trim(control, "/")
		forms := []string{base + "/" + control, control}
		if query != "" {
			forms = append(forms, path+"/"+control, path+"/"+control+"?"+query, path+"/?"+query+"/"+control)
		}
		if slices.Contains(forms, want) {
			return i, true
		}
	}
	if len(an.desc.Tracks) == 1 && want == base {
		return 0, true
	}
	return 0, false
}

// setupPublisher sets a track up for recording.
func (q *request) setupPublisher(an *announcement) (*wire.Response, error) {
	track, ok := an.track(q.url)
	if !ok {
		return nil, refuse(404, "the announced description has no track of this URL")
	}
	ses := q.ses
	if ses == nil {
		ses = newSession(q.conn, an.name, an.user)
		ses.announce = an
	}
	a, err := q.settle(ses, track, "RECORD")
	if err == nil {
		q.conn.announced = nil // it is the session's now
	}
	return a, err
}
