package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// TrackInfo is one entry of an RTP-Info header (RFC 2326 §12.33).
type TrackInfo struct {
	URL       string
	Seq       uint16
	HasSeq    bool
	Timestamp uint32
	HasTime   bool
}

// RTPInfo writes an RTP-Info header.
func RTPInfo(tracks []TrackInfo) string {
	var b []byte
	for i, t := range tracks {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, "url="...)
		b = append(b, t.URL...)
		if t.HasSeq {
			b = append(b, ";seq="...)
			b = strconv.AppendUint(b, uint64(t.Seq), 10)
		}
		if t.HasTime {
			b = append(b, ";rtptime="...)
			b = strconv.AppendUint(b, uint64(t.Timestamp), 10)
		}
	}
	return string(b)
}

// ParseRTPInfo reads an RTP-Info header. A URL may have a comma or a semicolon in its query, and RFC 2326 has no quotes
// for it, so an entry ends only where the next one begins.
func ParseRTPInfo(s string) ([]TrackInfo, error) {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, "url=") {
		return nil, fmt.Errorf("RTP-Info %q does not begin with a url", clip(s))
	}
	var tracks []TrackInfo
	for s != "" {
		entry := s
		s = ""
		if i := nextEntry(entry); i >= 0 {
			entry, s = entry[:i], strings.TrimLeft(entry[i+1:], " \t")
		}
		t, err := parseTrackInfo(strings.TrimRight(entry, " \t"))
		if err != nil {
			return nil, err
		}
		tracks = append(tracks, t)
	}
	return tracks, nil
}

// nextEntry returns the place of the comma before the next entry, or -1.
func nextEntry(s string) int {
	for i := range len(s) {
		if s[i] == ',' && strings.HasPrefix(strings.TrimLeft(s[i+1:], " \t"), "url=") {
			return i
		}
	}
	return -1
}

// parseTrackInfo takes the numbers off the end of an entry.
func parseTrackInfo(entry string) (TrackInfo, error) {
	var t TrackInfo
	rest := strings.TrimPrefix(entry, "url=")
	for {
		i := strings.LastIndexByte(rest, ';')
		k, v, _ := strings.Cut(strings.TrimSpace(rest[i+1:]), "=")
		if i < 0 || k != "seq" && k != "rtptime" {
			break
		}
		bits := 32
		if k == "seq" {
			bits = 16
		}
		n, err := strconv.ParseUint(v, 10, bits)
		if err != nil {
			return t, fmt.Errorf("%s %q of RTP-Info is malformed", k, clip(v))
		}
		if k == "seq" {
			t.Seq, t.HasSeq = uint16(n), true
		} else {
			t.Timestamp, t.HasTime = uint32(n), true
		}
		rest = rest[:i]
	}
	if t.URL = strings.TrimSpace(rest); t.URL == "" {
		return t, errors.New("RTP-Info has an empty url")
	}
	return t, nil
}
