package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	// maxAnswer bounds an answer in bytes: ten thousand sessions of 400 bytes, and as much again.
	maxAnswer = 8 << 20
	// maxExcuse bounds the reason that is told of an error.
	maxExcuse = 1000
)

// ErrNotRunning means that no gateway runs with the data folder.
var ErrNotRunning = errors.New("no gateway runs")

// Fetch asks the gateway that runs with a data folder for its status.
func Fetch(ctx context.Context, folder string) (Status, error) {
	var st Status
	err := call(ctx, folder, http.MethodGet, statusPath, nil, &st)
	return st, err
}

// Issue has the gateway that runs with a data folder issue a ticket.
func Issue(ctx context.Context, folder string, o TicketOrder) (IssuedTicket, error) {
	var t IssuedTicket
	err := call(ctx, folder, http.MethodPost, ticketsPath, o, &t)
	return t, err
}

// FetchTickets asks the gateway that runs with a data folder for the tickets that it has issued.
func FetchTickets(ctx context.Context, folder string) ([]Ticket, error) {
	var all []Ticket
	err := call(ctx, folder, http.MethodGet, ticketsPath, nil, &all)
	return all, err
}

// Revoke has the gateway that runs with a data folder revoke a ticket.
func Revoke(ctx context.Context, folder, serial string) error {
	return call(ctx, folder, http.MethodDelete, ticketsPath+"/"+url.PathEscape(serial), nil, nil)
}

// FetchStatement asks the gateway that runs with a data folder for a statement; the query says which.
func FetchStatement(ctx context.Context, folder string, q url.Values) (*Statement, error) {
	s := new(Statement)
	err := call(ctx, folder, http.MethodGet, ledgerPath+"statement?"+q.Encode(), nil, s)
	return s, err
}

// call sends a request to the gateway that runs with a data folder: in as JSON unless it is nil, and reads the answer
// into out.
func call(ctx context.Context, folder, method, path string, in, out any) error {
	socket := filepath.Join(folder, socketFile)
	var d net.Dialer
	c := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) },
	}}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://gateway"+path, body)
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w with the data folder %s", ErrNotRunning, folder)
	}
	if err != nil {
		return fmt.Errorf("ask the gateway: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		why, _ := io.ReadAll(io.LimitReader(res.Body, maxExcuse))
		return fmt.Errorf("the gateway answers %s: %s", res.Status, strings.TrimSpace(string(why)))
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	return nil
}
