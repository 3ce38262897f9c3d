package rtsp

import (
	"context"
	"errors"
	"fmt"

	"peergate/media"
	"peergate/rtsp/wire"
)

// refusal is an answer other than 200.
type refusal struct {
	status int
	text   string // why, for the client and the log
	header wire.Header
	usual  bool // part of a normal dialogue, such as the first challenge: not worth a line in the log
}

func (r *refusal) Error() string { return fmt.Sprintf("%s (%d)", r.text, r.status) }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

// asRefusal returns the answer to an error.
func asRefusal(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	return refuse(500, "%v", err)
}

// unavailable returns the answer when a stream could not be opened.
func unavailable(err error) *refusal {
	switch {
	case errors.Is(err, media.ErrNotFound):
		return refuse(404, "%v", err)
	case errors.Is(err, media.ErrForbidden):
		return refuse(403, "%v", err)
	case errors.Is(err, media.ErrNotEnoughBandwidth):
		return refuse(453, "%v", err)
	case errors.Is(err, media.ErrUnsupported):
		return refuse(415, "%v", err)
	case errors.Is(err, context.DeadlineExceeded):
		return refuse(504, "%v", err)
	}
	r := refuse(503, "%v", err)
	r.header.Add("Retry-After", "2")
	return r
}

// response makes the answer. A reason is in its body, for people; what a challenge refuses it does not say.
func (r *refusal) response() *wire.Response {
	a := &wire.Response{Status: r.status, Header: r.header}
	if r.status >= 400 && r.status != 401 && !a.Header.Has("Content-Type") {
		a.Header.Add("Content-Type", "text/plain; charset=utf-8")
		a.Body = []byte(r.text + "\r\n")
	}
	return a
}
