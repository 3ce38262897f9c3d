package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
)

// termsPath is where the terms are listed at which streams are shared; below it each has its own, by its pattern.
const termsPath = "/api/v1/terms"

// ErrNoTerms means that no terms were given for a pattern.
var ErrNoTerms = errors.New("no terms were given for this pattern: those of the configuration are changed there")

// Sharing is at which terms streams of this gateway are shared.
type Sharing interface {
	// Terms returns all, in the order in which they are looked at: the first whose pattern matches a stream counts.
	Terms() []Terms
	// SetTerms has the gateway share by terms from now on, before those that it has. They take the place of those of the same
	// pattern that were given before.
	SetTerms(Terms) error
	// DropTerms forgets terms that were given; the error may be ErrNoTerms.
	DropTerms(pattern string) error
}

// Terms are who may have the streams of a pattern, and what that costs, as in overlay.channels of the configuration.
type Terms struct {
	Name   string  `json:"name"`   // pattern
	Access string  `json:"access"` // listed, open or members
	Price  float64 `json:"price"`  // for each GB that a gateway with players gets, of six decimals at most
	Hourly float64 `json:"hourly"` // for each hour that a player watches
	Credit float64 `json:"credit"` // for each GB that a gateway gives to others

	Directory *Entry `json:"directory,omitempty"` // what everybody is told of them; left out: what was told before
	Fixed     bool   `json:"fixed,omitempty"`     // they are in the configuration; not to be given
}

// Entry is what everybody is told of a channel.
type Entry struct {
	Title       string   `json:"title"`
	Description string   `json:"description,omitempty"`
	Language    string   `json:"language,omitempty"` // BCP 47
	Tags        []string `json:"tags,omitempty"`
}

// FetchTerms asks the gateway that runs with a data folder for the terms at which it shares streams.
func FetchTerms(ctx context.Context, folder string) ([]Terms, error) {
	var all []Terms
	err := call(ctx, folder, http.MethodGet, termsPath, nil, &all)
	return all, err
}

// GiveTerms has the gateway that runs with a data folder share streams by terms.
func GiveTerms(ctx context.Context, folder string, t Terms) error {
	return call(ctx, folder, http.MethodPut, termsOf(t.Name), t, nil)
}

// RemoveTerms has the gateway that runs with a data folder forget terms.
func RemoveTerms(ctx context.Context, folder, pattern string) error {
	return call(ctx, folder, http.MethodDelete, termsOf(pattern), nil, nil)
}

func termsOf(pattern string) string { return termsPath + "/" + (&url.URL{Path: pattern}).EscapedPath() }

// handleTerms answers all that concerns terms.
func handleTerms(mux *http.ServeMux, s Sharing) {
	mux.HandleFunc("GET "+termsPath, func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, s.Terms()) })
	mux.HandleFunc("PUT "+termsPath+"/{pattern...}", func(w http.ResponseWriter, r *http.Request) {
		given := Terms{Name: r.PathValue("pattern")}
		d := json.NewDecoder(io.LimitReader(r.Body, maxOrder))
		d.DisallowUnknownFields()
		if err := d.Decode(&given); err != nil {
			http.Error(w, `terms are JSON such as {"access": "open", "price": 0.02, "credit": 0.01}: `+err.Error(), http.StatusBadRequest)
			return
		}
		if given.Name != r.PathValue("pattern") {
			http.Error(w, "the name is another pattern than that of the address", http.StatusBadRequest)
			return
		}
		if err := s.SetTerms(given); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE "+termsPath+"/{pattern...}", func(w http.ResponseWriter, r *http.Request) {
		answerRemoved(w, s.DropTerms(r.PathValue("pattern")), ErrNoTerms, http.StatusInternalServerError)
	})
}
