package web

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"peergate/media"
)

// Visit is what somebody wants over HTTP.
type Visit struct {
	Publish       bool // else to read
	Name          media.Name
	Addr          netip.Addr // of the client
	Authorization string     // of scheme Basic; "" when there is none
}

// Guard decides who may read and publish, by the rules that hold for RTSP too.
type Guard interface {
	// Admit returns the user who may do it. An error is a *Refusal.
	Admit(ctx context.Context, v Visit) (user string, err error)
}

// Refusal is an answer that something may not be done, or not now.
type Refusal struct {
	Status int    // of HTTP
	Text   string // for the client
	Retry  int    // seconds after which it may be tried again; 0: not told
}

func (r *Refusal) Error() string { return r.Text }

// ServeHTTP answers a player. What it wants of a stream is the last part of the path.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.share(w, r)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if err := f.route(w, r); err != nil {
		f.refuse(w, r, err)
	}
}

// share tells browsers which web pages may read the answer (the Fetch standard's CORS protocol). Credentials of the browser are
// none of theirs, so that a page can use only what it knows by itself.
func (f *Front) share(w http.ResponseWriter, r *http.Request) {
	origin := f.cfg.HLS.AllowOrigin
	if isSession(r.URL.Path) {
		origin = f.cfg.WebRTC.AllowOrigin
	}
	if origin == "" {
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Location, ETag, Accept-Patch")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PATCH, DELETE")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, Range")
		h.Set("Access-Control-Max-Age", "3600")
	}
}

// isSession reports whether a path is about WebRTC.
func isSession(p string) bool {
	last, before := path.Base(p), path.Base(path.Dir(p))
	return last == whep || last == whip || before == whep || before == whip
}

// route finds who answers a request.
func (f *Front) route(w http.ResponseWriter, r *http.Request) error {
	stream := strings.Trim(r.URL.Path, "/")
	dir, file := path.Split(stream)
	dir = strings.TrimSuffix(dir, "/")
	parent, kind := path.Split(dir)
	switch {
	case stream == "" || stream == "favicon.ico":
		return &Refusal{Status: http.StatusNotFound, Text: "the page of a stream is /NAME, its HLS /NAME/index.m3u8"}
	case dir == "":
		return f.servePage(w, r, stream)
	case f.webrtc != nil && (file == whep || file == whip):
		return f.serveOffer(w, r, dir, file)
	case f.webrtc != nil && parent != "" && (kind == whep || kind == whip):
		return f.serveSession(w, r, file)
	case isSession(r.URL.Path):
		return &Refusal{Status: http.StatusNotFound, Text: "WebRTC is turned off (webrtc.listen)"}
	case strings.HasSuffix(file, ".m3u8") || strings.HasSuffix(file, ".mp4"):
		return f.serveHLS(w, r, dir, file)
	}
	return f.servePage(w, r, stream)
}

func (f *Front) serveHLS(w http.ResponseWriter, r *http.Request, dir, file string) error {
	if f.hls == nil {
		return &Refusal{Status: http.StatusNotFound, Text: "HLS is turned off (hls.listen)"}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		return &Refusal{Status: http.StatusMethodNotAllowed, Text: "HLS is read by GET"}
	}
	name, _, err := f.admit(r, dir, false)
	if err != nil {
		return err
	}
	return f.hls.Serve(w, r, name, file)
}

// admit asks the guard about a stream.
func (f *Front) admit(r *http.Request, stream string, publish bool) (name media.Name, user string, err error) {
	name, err = media.ParseName(stream)
	if err != nil {
		return "", "", &Refusal{Status: http.StatusBadRequest, Text: err.Error()}
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "", "", err
	}
	user, err = f.guard.Admit(r.Context(), Visit{Publish: publish, Name: name, Addr: from.Addr(), Authorization: credentials(r)})
	return name, user, err
}

// credentials returns those of a request as Basic (RFC 7617). Clients that can send a token alone, such as OBS, send
// "Bearer USER:PASSWORD".
func credentials(r *http.Request) string {
	a := r.Header.Get("Authorization")
	if scheme, token, _ := strings.Cut(a, " "); strings.EqualFold(scheme, "Bearer") {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(strings.TrimSpace(token)))
	}
	return a
}

// refuse answers that there is nothing, and why.
func (f *Front) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the player has gone, or the gateway ends
	}
	a := refusal(err)
	if a.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="peergate", charset="UTF-8"`)
	}
	if a.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(a.Retry))
	}
	w.Header().Set("Cache-Control", "no-store")
	if a.Status != http.StatusNotFound { // players ask for what is not there, or not yet, all the time
		f.log.Debug("request refused", "remote", r.RemoteAddr, "stream", r.URL.Path, "status", a.Status, "err", a.Text)
	}
	http.Error(w, a.Text, a.Status)
}

// refusal returns the answer to an error.
func refusal(err error) *Refusal {
	var r *Refusal
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, media.ErrNotFound):
		return &Refusal{Status: http.StatusNotFound, Text: err.Error()}
	case errors.Is(err, media.ErrUnsupported):
		return &Refusal{Status: http.StatusUnsupportedMediaType, Text: err.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return &Refusal{Status: http.StatusGatewayTimeout, Text: err.Error()}
	}
	return &Refusal{Status: http.StatusServiceUnavailable, Text: err.Error(), Retry: 2}
}
