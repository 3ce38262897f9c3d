package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ledgerPath is below what who carried what is had.
const ledgerPath = "/api/v1/ledger/"

// ErrAsk means that a question cannot be answered because of what is asked.
var ErrAsk = errors.New("bad question")

// Amount is an amount in billionths of the unit in which the owner gives prices. In JSON it is a decimal number.
type Amount int64

// billion is in how many parts an Amount divides the unit.
const billion = 1_000_000_000

// String returns the amount as a decimal number without needless zeros.
func (a Amount) String() string {
	sign, n := "", uint64(a)
	if a < 0 {
		sign, n = "-", uint64(-a)
	}
	whole, part := n/billion, n%billion
	if part == 0 {
		return sign + strconv.FormatUint(whole, 10)
	}
	return sign + strconv.FormatUint(whole, 10) + "." + strings.TrimRight(fmt.Sprintf("%09d", part), "0")
}

// MarshalJSON writes a decimal number.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalJSON reads a decimal number of at most nine decimals.
func (a *Amount) UnmarshalJSON(b []byte) error {
	text, negative := strings.CutPrefix(string(b), "-")
	whole, part, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole+(part + "000000000")[:9], 10, 64)
	if err != nil || len(part) > 9 {
		return fmt.Errorf("%q is no amount", b)
	}
	if negative {
		n = -n
	}
	*a = Amount(n)
	return nil
}

// Sum is what was carried and got, of a gateway, a channel or a day.
type Sum struct {
	Peer    string  `json:"peer,omitempty"`    // petname, or ID
	ID      string  `json:"id,omitempty"`      // of the gateway
	Channel string  `json:"channel,omitempty"` // name of the stream
	Day     string  `json:"day,omitempty"`     // in UTC
	Carried int64   `json:"carried_bytes"`     // given to others; by channel and day without what the owner gave
	Given   int64   `json:"given_bytes"`       // by the owner, by channel and day
	Got     int64   `json:"got_bytes"`
	Watched int64   `json:"watched_bytes"` // of what was got, that for which somebody watched
	Minutes float64 `json:"viewing_minutes"`
	Charge  Amount  `json:"charge"`
	Credit  Amount  `json:"credit"`
	Refused int64   `json:"refused_bytes"`
}

// Dispute is something that was refused or noted.
type Dispute struct {
	Entry      int64     `json:"entry"` // of the ledger: there is what proves it
	At         time.Time `json:"at"`
	Reason     string    `json:"reason"`
	Detail     string    `json:"detail"`
	Channel    string    `json:"channel"`
	Sender     string    `json:"sender"` // who handed it in
	Uploader   string    `json:"uploader"`
	Downloader string    `json:"downloader"`
	Bytes      int64     `json:"refused_bytes"`
}

// Statement is what one gateway is charged and credited.
type Statement struct {
	Peer     string    `json:"peer"`
	ID       string    `json:"id"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Total    Sum       `json:"total"`
	Balance  Amount    `json:"balance"` // charge less credit: what the gateway owes
	Channels []Sum     `json:"channels"`
	Proofs   []Proof   `json:"proofs"` // the newest receipts
	Head     string    `json:"head"`   // of the ledger that holds them
}

// Proof is a receipt as the ledger has it.
type Proof struct {
	Entry   int64     `json:"entry"`
	At      time.Time `json:"at"`
	Hash    string    `json:"hash"`
	Receipt []byte    `json:"receipt"` // signed by its downloader
	Bytes   int64     `json:"credited_bytes"`
	Refused int64     `json:"refused_bytes"`
}

// Verified is what a whole ledger was found to hold.
type Verified struct {
	Owner    string `json:"owner"`
	Entries  int64  `json:"entries"`
	Receipts int64  `json:"receipts"`
	Leases   int64  `json:"leases"`
	Disputes int64  `json:"disputes"`
	Head     string `json:"head"`
}

// Books is who carried what of a gateway's streams. An error that wraps ErrAsk is the asker's fault.
type Books interface {
	// LedgerReport sums up by peer, channel or day.
	LedgerReport(ctx context.Context, by string, from, to time.Time) ([]Sum, error)
	// LedgerDisputes returns what was refused.
	LedgerDisputes(ctx context.Context, from, to time.Time) ([]Dispute, error)
	// LedgerStatement returns the statement of a peer, or, when an owner is named, this gateway's own of there.
	LedgerStatement(ctx context.Context, peer, owner string, from, to time.Time) (*Statement, error)
	// LedgerVerify reads all of it.
	LedgerVerify(ctx context.Context) (*Verified, error)
}

// handleLedger answers for a gateway's books.
func handleLedger(mux *http.ServeMux, b Books) {
	handle := func(what string, f func(ctx context.Context, r *http.Request, from, to time.Time) (any, error)) {
		mux.HandleFunc("GET "+ledgerPath+what, func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			from, to, err := Period(q.Get("from"), q.Get("to"), time.Now())
			var answer any
			if err == nil {
				answer, err = f(r.Context(), r, from, to)
			}
			if err != nil {
				code := http.StatusInternalServerError
				if errors.Is(err, ErrAsk) {
					code = http.StatusBadRequest
				}
				http.Error(w, err.Error(), code)
				return
			}
			answerJSON(w, http.StatusOK, answer)
		})
	}
	handle("report", func(ctx context.Context, r *http.Request, from, to time.Time) (any, error) {
		return b.LedgerReport(ctx, r.URL.Query().Get("by"), from, to)
	})
	handle("disputes", func(ctx context.Context, _ *http.Request, from, to time.Time) (any, error) {
		return b.LedgerDisputes(ctx, from, to)
	})
	handle("statement", func(ctx context.Context, r *http.Request, from, to time.Time) (any, error) {
		return b.LedgerStatement(ctx, r.URL.Query().Get("peer"), r.URL.Query().Get("owner"), from, to)
	})
	handle("verify", func(ctx context.Context, _ *http.Request, _, _ time.Time) (any, error) { return b.LedgerVerify(ctx) })
}

// Period reads a time from which and one before which something was: days in UTC such as 2026-05-01, or times such as
// 2026-05-01T12:00:00Z. Without the first it is the beginning, without the second now.
func Period(from, to string, now time.Time) (begin, end time.Time, err error) {
	begin, end = time.UnixMilli(0), now.Add(time.Second)
	for _, t := range []struct {
		text string
		to   *time.Time
	}{{from, &begin}, {to, &end}} {
		if t.text == "" {
			continue
		}
		if *t.to, err = time.Parse(time.DateOnly, t.text); err == nil {
			continue
		}
		if *t.to, err = time.Parse(time.RFC3339, t.text); err != nil {
			return begin, end, fmt.Errorf("%w: %q is no time: write a day such as 2026-05-01 or a time such as 2026-05-01T12:00:00Z", ErrAsk, t.text)
		}
	}
	return begin, end, nil
}
