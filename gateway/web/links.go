package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
)

const (
	// linksPath is where links are given and listed; below it each has its own, by the path that plays it.
	linksPath = "/api/v1/links"
	// sharePath is where the link of a stream is had.
	sharePath = "/api/v1/share"
)

// ErrNoLink means that there is no link of a path.
var ErrNoLink = errors.New("there is no link that was given for this path: those of the configuration are removed there")

// Links shares the streams of this gateway and takes those that others share.
type Links interface {
	// Share returns the link of a stream of this gateway.
	Share(stream string) (Share, error)
	// Links returns the links that this gateway has.
	Links() []Link
	// TakeLink has the gateway keep a link from now on.
	TakeLink(Link) (Link, error)
	// DropLink forgets a link; the error may be ErrNoLink.
	DropLink(path string) error
}

// Share is how a stream of this gateway is shared.
type Share struct {
	Link   string `json:"link"`
	Access string `json:"access"` // who may have it: listed, open or members
	Live   bool   `json:"live"`   // it has a publisher now
}

// Link is a channel of another gateway that was shared with this one.
type Link struct {
	Link    string `json:"link"`
	Petname string `json:"petname,omitempty"` // of its owner
	Path    string `json:"path,omitempty"`    // under which players have it here; not to be given
	Fixed   bool   `json:"fixed,omitempty"`   // it is in the configuration; not to be given
}

// FetchShare asks the gateway that runs with a data folder for the link of a stream.
func FetchShare(ctx context.Context, folder, stream string) (Share, error) {
	var s Share
	err := call(ctx, folder, http.MethodGet, sharePath+"?stream="+url.QueryEscape(stream), nil, &s)
	return s, err
}

// FetchLinks asks the gateway that runs with a data folder for the links that it has.
func FetchLinks(ctx context.Context, folder string) ([]Link, error) {
	var all []Link
	err := call(ctx, folder, http.MethodGet, linksPath, nil, &all)
	return all, err
}

// GiveLink gives a link to the gateway that runs with a data folder.
func GiveLink(ctx context.Context, folder string, l Link) (Link, error) {
	err := call(ctx, folder, http.MethodPost, linksPath, l, &l)
	return l, err
}

// RemoveLink has the gateway that runs with a data folder forget a link.
func RemoveLink(ctx context.Context, folder, path string) error {
	return call(ctx, folder, http.MethodDelete, linksPath+"/"+(&url.URL{Path: path}).EscapedPath(), nil, nil)
}

// handleLinks answers all that concerns links.
func handleLinks(mux *http.ServeMux, l Links) {
	mux.HandleFunc("GET "+sharePath, func(w http.ResponseWriter, r *http.Request) {
		s, err := l.Share(r.URL.Query().Get("stream"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answerJSON(w, http.StatusOK, s)
	})
	mux.HandleFunc("GET "+linksPath, func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, l.Links()) })
	mux.HandleFunc("POST "+linksPath, func(w http.ResponseWriter, r *http.Request) {
		var given Link
		d := json.NewDecoder(io.LimitReader(r.Body, maxOrder))
		d.DisallowUnknownFields()
		if err := d.Decode(&given); err != nil {
			http.Error(w, "a link is JSON such as {\"link\": \"peergate://...\", \"petname\": \"hall\"}: "+err.Error(), http.StatusBadRequest)
			return
		}
		taken, err := l.TakeLink(given)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answerJSON(w, http.StatusCreated, taken)
	})
	mux.HandleFunc("DELETE "+linksPath+"/{path...}", func(w http.ResponseWriter, r *http.Request) {
		answerRemoved(w, l.DropLink(r.PathValue("path")), ErrNoLink, http.StatusInternalServerError)
	})
}
