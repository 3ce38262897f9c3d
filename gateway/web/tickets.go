package web

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// ticketsPath is where tickets are issued and listed; below it each has its own, by its serial.
	ticketsPath = "/api/v1/tickets"
	// maxOrder bounds what is posted in bytes.
	maxOrder = 16 << 10
)

// ErrNoTicket means that there is no ticket of a serial.
var ErrNoTicket = errors.New("there is no ticket of this serial")

// Tickets issues the tickets of this gateway's members-only channels.
type Tickets interface {
	// IssueTicket returns the ticket's text, which is not kept, and what is kept of it.
	IssueTicket(TicketOrder) (IssuedTicket, error)
	// Tickets returns all that were issued, the newest last.
	Tickets() ([]Ticket, error)
	// RevokeTicket ends a ticket; the error may be ErrNoTicket.
	RevokeTicket(serial string) error
}

// TicketOrder says what ticket to issue.
type TicketOrder struct {
	Gateway  string   `json:"gateway,omitempty"` // ID of whom it is for; "": whoever bears it
	Uses     int      `json:"uses,omitempty"`    // by how many gateways, when it is a bearer's
	Channels []string `json:"channels"`          // patterns
	Seconds  int64    `json:"seconds"`           // until it expires
}

// IssuedTicket is a new ticket.
type IssuedTicket struct {
	Text string `json:"ticket"` // a secret
	Ticket
}

// Ticket is what a gateway knows of a ticket that it has issued.
type Ticket struct {
	Serial   string      `json:"serial"`
	Gateway  string      `json:"gateway,omitempty"`
	Channels []string    `json:"channels"`
	Issued   time.Time   `json:"issued"`
	Expires  time.Time   `json:"expires"`
	Uses     int         `json:"uses,omitempty"`
	Used     []TicketUse `json:"used,omitempty"`
	Revoked  *time.Time  `json:"revoked,omitempty"`
}

// TicketUse is a gateway that uses a bearer's ticket.
type TicketUse struct {
	Gateway string    `json:"gateway"`
	Since   time.Time `json:"since"`
}

// handleTickets answers all that concerns tickets.
func handleTickets(mux *http.ServeMux, t Tickets) {
	mux.HandleFunc("GET "+ticketsPath, func(w http.ResponseWriter, _ *http.Request) {
		all, err := t.Tickets()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answerJSON(w, http.StatusOK, all)
	})
	mux.HandleFunc("POST "+ticketsPath, func(w http.ResponseWriter, r *http.Request) {
		var o TicketOrder
		d := json.NewDecoder(io.LimitReader(r.Body, maxOrder))
		d.DisallowUnknownFields()
		if err := d.Decode(&o); err != nil {
			http.Error(w, "a ticket's order is JSON such as {\"gateway\": \"12D3KooW...\", \"channels\": [\"lobby\"], \"seconds\": 86400}: "+err.Error(), http.StatusBadRequest)
			return
		}
		issued, err := t.IssueTicket(o)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answerJSON(w, http.StatusCreated, issued)
	})
	mux.HandleFunc("DELETE "+ticketsPath+"/{serial}", func(w http.ResponseWriter, r *http.Request) {
		answerRemoved(w, t.RevokeTicket(r.PathValue("serial")), ErrNoTicket, http.StatusBadRequest)
	})
}

// answerRemoved tells whether something was removed: when err is none it was not there, other errors have a status.
func answerRemoved(w http.ResponseWriter, err, none error, status int) {
	switch {
	case errors.Is(err, none):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), status)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// answerJSON answers with a value.
func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the client has gone
}
