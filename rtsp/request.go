package rtsp

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"peergate/media"
	"peergate/rtsp/wire"
)

// methods are those that the server serves (RFC 2326 §10), as Public and Allow name them.
const methods = "OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, PAUSE, RECORD, GET_PARAMETER, SET_PARAMETER, TEARDOWN"

// serverMethods can be asked of the server itself, by the URL "*".
const serverMethods = "OPTIONS, GET_PARAMETER, SET_PARAMETER"

// serverName is the header Server (RFC 2326 §12.36).
const serverName = "Peergate"

// request is a request being served.
type request struct {
	*wire.Request
	conn *conn
	url  *wire.URL
	ses  *session // of its Session header, or that it has begun; else nil
}

// stream returns what the request is about as far as it is known, for the log.
func (q *request) stream() string {
	if q.url == nil {
		return ""
	}
	return q.url.Path
}

// serve returns the answer; nil when it was sent already.
func (q *request) serve(ctx context.Context) (*wire.Response, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	for _, ses := range q.conn.attached() {
		ses.touch() // some players send their signs of life without the Session header
	}
	if v := q.Header.Get("Session"); v != "" {
		ses, err := q.claim(ctx, v)
		if err != nil {
			return nil, err
		}
		q.ses = ses
		if err := ses.begin(ctx); err != nil {
			return nil, err
		}
		defer ses.done()
	}
	return q.dispatch(ctx)
}

// check finds what is wrong with a request of any method.
func (q *request) check() error {
	cseq := q.Header.Get("CSeq")
	if cseq == "" {
		return refuse(400, "CSeq is missing")
	}
	if _, err := strconv.ParseUint(cseq, 10, 64); err != nil {
		return refuse(400, "CSeq is not a number")
	}
	switch {
	case q.Method == "REDIRECT": // known, but for servers to send
		return q.notAllowed(methods)
	case !slices.Contains(strings.Split(methods, ", "), q.Method):
		r := refuse(501, "method %s is unknown", q.Method)
		r.header.Add("Public", methods)
		return r
	}
	if options := append(q.Header.Tokens("Require"), q.Header.Tokens("Proxy-Require")...); len(options) > 0 {
		r := refuse(551, "no option is supported")
		r.header.Add("Unsupported", strings.Join(options, ", "))
		return r
	}
	u, err := wire.ParseURL(q.Request.URL)
	if err != nil {
		return refuse(400, "%v", err)
	}
	q.url = u
	if u.All && !slices.Contains(strings.Split(serverMethods, ", "), q.Method) {
		return q.notAllowed(serverMethods)
	}
	return nil
}

func (q *request) notAllowed(allow string) error {
	r := refuse(405, "method %s is not for %s", q.Method, q.Request.URL)
	r.header.Add("Allow", allow)
	return r
}

func (q *request) dispatch(ctx context.Context) (*wire.Response, error) {
	switch q.Method {
	case "OPTIONS":
		return q.options()
	case "DESCRIBE":
		return q.describe(ctx)
	case "ANNOUNCE":
		return q.announce(ctx)
	case "SETUP":
		return q.setup(ctx)
	case "GET_PARAMETER", "SET_PARAMETER":
		return q.parameters()
	}
	if q.ses == nil {
		return nil, refuse(454, "the Session header is missing")
	}
	if err := q.ses.covers(q); err != nil {
		return nil, err
	}
	switch q.Method {
	case "PLAY":
		return q.play(ctx)
	case "PAUSE":
		return q.pause()
	case "RECORD":
		return q.record()
	default: // TEARDOWN
		q.ses.end(nil)
		return &wire.Response{Status: 200}, nil
	}
}

func (q *request) options() (*wire.Response, error) {
	a := &wire.Response{Status: 200}
	a.Header.Add("Public", methods)
	return a, nil
}

// parameters serves GET_PARAMETER and SET_PARAMETER: without a body they are a sign of life (RFC 2326 §10.8), and no
// parameters exist.
func (q *request) parameters() (*wire.Response, error) {
	var unknown []string
	for line := range strings.Lines(string(q.Body)) {
		name, _, _ := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); name != "" {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return &wire.Response{Status: 200}, nil
	}
	a := &wire.Response{Status: 451, Body: []byte(strings.Join(unknown, "\r\n") + "\r\n")}
	a.Header.Add("Content-Type", "text/parameters")
	return a, nil
}

// name returns the stream that the request is about.
func (q *request) name() (media.Name, error) {
	n, err := media.ParseName(q.url.Path)
	if err != nil {
		return "", refuse(404, "%v", err)
	}
	return n, nil
}

// finish writes an answer with the headers that all have.
func (q *request) finish(a *wire.Response) []byte {
	h := wire.Header{}
	if v := q.Header.Get("CSeq"); v != "" {
		h.Add("CSeq", v)
	}
	h.Add("Server", serverName)
	h.Add("Date", date())
	if v := q.Header.Get("Timestamp"); v != "" {
		h.Add("Timestamp", v)
	}
	if q.ses != nil && a.Status != 454 && !q.ses.over() {
		h.Add("Session", wire.Session{ID: q.ses.id, Timeout: q.conn.srv.settings().SessionTimeout}.String())
	}
	a.Header = append(h, a.Header...)
	return a.Append(nil)
}

// date is the header Date (RFC 2326 §12.17).
func date() string { return time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }
