package web

import (
	_ "embed"
	"net/http"
)

// page plays the stream of its own address; it needs nothing else.
//
//go:embed page.html
var page []byte

// pagePolicy lets the page do only what it does (Content Security Policy Level 3).
const pagePolicy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; media-src 'self' blob:"

// servePage gives the page of a stream to who may read that. The stream need not be there yet.
func (f *Front) servePage(w http.ResponseWriter, r *http.Request, stream string) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		return &Refusal{Status: http.StatusMethodNotAllowed, Text: "a page is read by GET"}
	}
	if _, _, err := f.admit(r, stream, false); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write(page) // the browser has gone
	return nil
}
