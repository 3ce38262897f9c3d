package wire

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// Header is the header of a message, in the order of its lines. Names are compared without regard to case.
type Header []Field

// Field is one line of a header.
type Field struct{ Name, Value string }

// Get returns the value of a header; of several lines of the name, the first.
func (h Header) Get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Has reports whether the header is there.
func (h Header) Has(name string) bool {
	return slices.ContainsFunc(h, func(f Field) bool { return strings.EqualFold(f.Name, name) })
}

// Values returns the values of all lines of the name.
func (h Header) Values(name string) []string {
	var vs []string
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			vs = append(vs, f.Value)
		}
	}
	return vs
}

// Tokens returns the comma-separated tokens of all lines of a header, such as Require.
func (h Header) Tokens(name string) []string {
	var ts []string
	for _, v := range h.Values(name) {
		for _, t := range splitQuoted(v, ',') {
			if t = strings.TrimSpace(t); t != "" {
				ts = append(ts, t)
			}
		}
	}
	return ts
}

// Add adds a line.
func (h *Header) Add(name, value string) { *h = append(*h, Field{name, value}) }

// Set replaces all lines of the name by one.
func (h *Header) Set(name, value string) {
	h.Del(name)
	h.Add(name, value)
}

// Del removes all lines of the name.
func (h *Header) Del(name string) {
	*h = slices.DeleteFunc(*h, func(f Field) bool { return strings.EqualFold(f.Name, name) })
}

// append writes the lines, a Content-Length that fits the body, and the empty line.
func (h Header) append(b []byte, body int) []byte {
	for _, f := range h {
		if body > 0 && strings.EqualFold(f.Name, "Content-Length") {
			continue
		}
		b = append(b, canonical(f.Name)...)
		b = append(b, ": "...)
		b = append(b, clean(f.Value)...)
		b = append(b, "\r\n"...)
	}
	if body > 0 {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(body), 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// canonical returns a name as RFC 2326 §12 spells it. Some clients of the time compare with regard to case: MPlayer's
// RealRTSP looks for "Cseq" and "Session" so. A name that is not of RTSP stays as it is.
func canonical(name string) string {
	switch strings.ToLower(name) {
	case "cseq":
		return "CSeq"
	case "rtp-info":
		return "RTP-Info"
	case "www-authenticate":
		return "WWW-Authenticate"
	case "accept", "accept-encoding", "accept-language", "allow", "authorization", "bandwidth", "blocksize",
		"cache-control", "conference", "connection", "content-base", "content-encoding", "content-language",
		"content-length", "content-location", "content-type", "date", "expires", "from", "host", "if-match",
		"if-modified-since", "last-modified", "location", "proxy-authenticate", "proxy-authorization", "proxy-require",
		"public", "range", "referer", "require", "retry-after", "scale", "server", "session", "speed", "timestamp",
		"transport", "unsupported", "user-agent", "vary", "via":
		return capitals(name)
	}
	return name
}

// capitals writes each word of a name with a capital: "content-base" becomes "Content-Base".
func capitals(name string) string {
	b := bytes.ToLower([]byte(name))
	for i := range b {
		if i == 0 || b[i-1] == '-' {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}

// clean keeps foreign text that is echoed from ending a line.
func clean(v string) string {
	if !strings.ContainsAny(v, "\r\n\x00") {
		return v
	}
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, v)
}

// isToken reports whether b is a token (RFC 2326 §15.1).
func isToken(b []byte) bool {
	return len(b) > 0 && !slices.ContainsFunc(b, func(c byte) bool { return !isTokenByte(c) })
}

func isTokenByte(c byte) bool {
	return c > ' ' && c < 127 && strings.IndexByte(`()<>@,;:\"/[]?={}`, c) < 0
}

// splitQuoted splits at a separator outside of quotes; in them a backslash takes its meaning from the next byte.
func splitQuoted(s string, sep byte) []string {
	var parts []string
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

// clip shortens foreign text for an error.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
