package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
)

// maxStatus bounds an answer in bytes: ten thousand sessions of 400 bytes, and as much again.
const maxStatus = 8 << 20

// ErrNotRunning means that no gateway runs with the data folder.
var ErrNotRunning = errors.New("no gateway runs")

// Fetch asks the gateway that runs with a data folder for its status.
func Fetch(ctx context.Context, folder string) (Status, error) {
	path := filepath.Join(folder, socketFile)
	var d net.Dialer
	c := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", path) },
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gateway"+statusPath, nil)
	if err != nil {
		return Status{}, err
	}
	res, err := c.Do(req)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return Status{}, fmt.Errorf("%w with the data folder %s", ErrNotRunning, folder)
	}
	if err != nil {
		return Status{}, fmt.Errorf("ask the gateway: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return Status{}, fmt.Errorf("ask the gateway: it answers %s", res.Status)
	}
	var st Status
	if err := json.NewDecoder(io.LimitReader(res.Body, maxStatus)).Decode(&st); err != nil {
		return Status{}, fmt.Errorf("read the gateway's status: %w", err)
	}
	return st, nil
}
