package web

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"peergate/gateway/web/webrtc"
)

const (
	whep = "whep" // the last part of the path of players
	whip = "whip" // and of publishers

	sdpType      = "application/sdp"
	fragmentType = "application/trickle-ice-sdpfrag" // RFC 8840 §9
)

// serveOffer begins a session over WebRTC.
func (f *Front) serveOffer(w http.ResponseWriter, r *http.Request, stream, kind string) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST, OPTIONS")
		return &Refusal{Status: http.StatusMethodNotAllowed, Text: "a session begins with POST of an offer"}
	}
	if kind == whip && r.Header.Get("Authorization") == "" && !ownPage(r) {
		return &Refusal{Status: http.StatusForbidden, Text: "pages of other sites publish with user and password alone"}
	}
	offer, err := body(r, sdpType)
	if err != nil {
		return err
	}
	name, user, err := f.admit(r, stream, kind == whip)
	if err != nil {
		return err
	}
	begin := f.webrtc.Play
	if kind == whip {
		begin = f.webrtc.Publish
	}
	id, answer, err := begin(r.Context(), webrtc.Client{Name: name, User: user, Remote: r.RemoteAddr, Offer: offer})
	if err != nil {
		return sessionError(err)
	}
	h := w.Header()
	h.Set("Content-Type", sdpType)
	h.Set("Location", (&url.URL{Path: "/" + string(name) + "/" + kind + "/" + id}).EscapedPath())
	h.Set("ETag", `"`+id[:8]+`"`)
	h.Set("Accept-Patch", fragmentType)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer) // a session whose client has gone ends by itself
	return nil
}

// ownPage reports whether a request comes from a page of this gateway, or from no page: browsers tell (RFC 6454 §7).
func ownPage(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host == r.Host
}

// serveSession answers about a session, whose ID is known to its client alone.
func (f *Front) serveSession(w http.ResponseWriter, r *http.Request, id string) error {
	switch r.Method {
	case http.MethodPatch:
		fragment, err := body(r, fragmentType)
		if err != nil {
			return err
		}
		if err := f.webrtc.Trickle(id, fragment); err != nil {
			return sessionError(err)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	case http.MethodDelete:
		if err := f.webrtc.End(id); err != nil {
			return sessionError(err)
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
	w.Header().Set("Allow", "PATCH, DELETE, OPTIONS")
	return &Refusal{Status: http.StatusMethodNotAllowed, Text: "a session takes PATCH and DELETE"}
}

// body reads what a request has, which must be of a media type.
func body(r *http.Request, want string) (string, error) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), want) {
		return "", &Refusal{Status: http.StatusUnsupportedMediaType, Text: "the body must be " + want}
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, webrtc.MaxOffer+1))
	if err != nil {
		return "", &Refusal{Status: http.StatusBadRequest, Text: "the body ends early"}
	}
	if len(b) > webrtc.MaxOffer {
		return "", &Refusal{Status: http.StatusRequestEntityTooLarge, Text: "the body is too large"}
	}
	return string(b), nil
}

// sessionError returns the answer to what went wrong with a session.
func sessionError(err error) error {
	switch {
	case errors.Is(err, webrtc.ErrOffer):
		return &Refusal{Status: http.StatusBadRequest, Text: err.Error()}
	case errors.Is(err, webrtc.ErrBusy):
		return &Refusal{Status: http.StatusServiceUnavailable, Text: err.Error(), Retry: 5}
	}
	return err
}
