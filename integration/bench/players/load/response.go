package load

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

var errInterleaving = errors.New("neither an answer nor a packet on the connection")

// response is an answer of the server.
type response struct {
	status int
	lines  []string // of its header
	body   string
}

func (r response) header(name string) string {
	for _, l := range r.lines {
		if k, v, ok := strings.Cut(l, ":"); ok && strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// parseResponse takes the answer at the start of b and returns its size; 0 when more must come first.
func parseResponse(b []byte) (response, int, error) {
	var r response
	if !bytes.HasPrefix(b, []byte("RTSP")[:min(4, len(b))]) {
		return r, 0, errInterleaving
	}
	head, _, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok {
		return r, 0, nil
	}
	r.lines = strings.Split(string(head), "\r\n")
	f := strings.Fields(r.lines[0])
	if len(f) < 2 {
		return r, 0, errInterleaving
	}
	var err error
	if r.status, err = strconv.Atoi(f[1]); err != nil {
		return r, 0, errInterleaving
	}
	n, body := len(head)+4, 0
	if l := r.header("Content-Length"); l != "" {
		if body, err = strconv.Atoi(l); err != nil || body < 0 {
			return r, 0, errInterleaving
		}
	}
	if len(b)-n < body {
		return r, 0, nil
	}
	r.body = string(b[n : n+body])
	return r, n + body, nil
}

// frameHeader is the size of what goes ahead of an interleaved packet (RFC 2326 §10.12).
const frameHeader = 4

// frame returns the size of the interleaved frame at the start of b with its header, 0 when more must come first.
func frame(b []byte) int {
	if len(b) < frameHeader {
		return 0
	}
	if n := frameHeader + (int(b[2])<<8 | int(b[3])); n <= len(b) {
		return n
	}
	return 0
}
