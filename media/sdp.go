package media

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// maxSDP bounds a description in bytes; real ones have 300 to 3,000.
	maxSDP = 64 << 10
	// maxTracks bounds the media sections of a description; a camera has one to five.
	maxTracks = 16
)

// Description is an SDP description (RFC 8866) cut into the parts this program handles.
type Description struct {
	Session  []string // lines before the first m= line
	Tracks   []Track  // its media sections
	Controls []string // the a=control value of each track, or "" (RFC 2326 §C.1.1)
}

// ParseSDP reads a description as real cameras and encoders write it: any line end, unknown lines kept. The error
// names the line.
func ParseSDP(b []byte) (Description, error) {
	var d Description
	if len(b) > maxSDP {
		return d, fmt.Errorf("sdp: has %d bytes, at most %d are allowed", len(b), maxSDP)
	}
	for i, l := range strings.FieldsFunc(string(b), func(r rune) bool { return r == '\r' || r == '\n' }) {
		l = strings.TrimRight(l, " \t\x00")
		if l == "" {
			continue
		}
		if len(l) < 2 || l[1] != '=' {
			return Description{}, fmt.Errorf("sdp: line %d: %q is not of the form x=value", i+1, clip(l))
		}
		if err := d.line(l); err != nil {
			return Description{}, fmt.Errorf("sdp: line %d: %w", i+1, err)
		}
	}
	if len(d.Tracks) == 0 {
		return Description{}, errors.New("sdp: has no media section (m= line)")
	}
	return d, nil
}

// line takes one line into the description.
func (d *Description) line(l string) error {
	if strings.HasPrefix(l, "m=") {
		if len(d.Tracks) == maxTracks {
			return fmt.Errorf("more than %d media sections", maxTracks)
		}
		t, err := parseMedia(l)
		if err != nil {
			return err
		}
		d.Tracks = append(d.Tracks, t)
		d.Controls = append(d.Controls, "")
		return nil
	}
	last := len(d.Tracks) - 1
	if last < 0 {
		d.Session = append(d.Session, l)
		return nil
	}
	if c, ok := strings.CutPrefix(l, "a=control:"); ok {
		d.Controls[last] = strings.TrimSpace(c)
		return nil
	}
	if !ownTransport(l) {
		d.Tracks[last].Lines = append(d.Tracks[last].Lines, l)
	}
	return nil
}

// parseMedia reads an m= line and takes the publisher's port and keying out of it.
func parseMedia(l string) (Track, error) {
	f := strings.Fields(l[2:])
	if len(f) < 4 {
		return Track{}, fmt.Errorf("%q lacks a port, a protocol or a payload type", clip(l))
	}
	switch f[2] {
	case "RTP/AVP", "RTP/AVPF":
	case "RTP/SAVP":
		f[2] = "RTP/AVP"
	case "RTP/SAVPF":
		f[2] = "RTP/AVPF"
	default:
		return Track{}, fmt.Errorf("media over %q cannot be carried, only RTP/AVP can", clip(f[2]))
	}
	for _, pt := range f[3:] {
		// "smart/1/90000" is what some LG cameras write for a payload type.
		if _, err := strconv.ParseUint(pt, 10, 7); err != nil && !strings.HasPrefix(pt, "smart/") {
			return Track{}, fmt.Errorf("payload type %q is not a number of 0 to 127", clip(pt))
		}
	}
	f[1] = "0"
	return Track{Kind: f[0], Lines: []string{"m=" + strings.Join(f, " ")}}, nil
}

// ownTransport tells whether a line of a media section concerns only the publisher's own transport.
func ownTransport(l string) bool {
	for _, p := range []string{"c=", "k=", "a=crypto:", "a=key-mgmt:", "a=setup:", "a=fingerprint:", "a=candidate:", "a=ice-"} {
		if strings.HasPrefix(l, p) {
			return true
		}
	}
	return false
}

// MarshalTracks writes the media sections alone, as a channel descriptor carries them: ParseSDP reads them back.
func MarshalTracks(tracks []Track) []byte {
	var b []byte
	for i := range tracks {
		for _, l := range tracks[i].Lines {
			b = append(append(b, l...), "\r\n"...)
		}
	}
	return b
}

// clip shortens foreign text for an error.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
