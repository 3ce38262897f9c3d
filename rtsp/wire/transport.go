package wire

import (
	"fmt"
	"strconv"
	"strings"
)

// Transport is one alternative of a Transport header (RFC 2326 §12.39).
type Transport struct {
	Profile     string // "RTP/AVP", "RTP/AVPF", "RTP/SAVP" or "RTP/SAVPF"
	TCP         bool   // lower transport
	Multicast   bool
	Destination string // as it was written: a name in it is never looked up
	Source      string // as it was written
	Client      *Pair  // ports of the client
	Server      *Pair  // ports of the server
	Port        *Pair  // ports of a multicast group
	Interleaved *Pair  // channels
	SSRC        uint32
	HasSSRC     bool
	TTL         int    // 0: not given
	Mode        string // "PLAY" or "RECORD"
	Append      bool
}

// Pair is a range of two ports or channels; of a single one the second is the next.
type Pair struct{ First, Second int }

func (p Pair) String() string { return fmt.Sprintf("%d-%d", p.First, p.Second) }

// ParseTransports reads the alternatives in order of preference. Those that it cannot read are left out: one that is
// unknown does not spoil the others.
func ParseTransports(values []string) []Transport {
	var ts []Transport
	for _, v := range values {
		for _, alt := range splitQuoted(v, ',') {
			if t, err := parseTransport(alt); err == nil {
				ts = append(ts, t)
			}
		}
	}
	return ts
}

func parseTransport(s string) (Transport, error) {
	parts := splitQuoted(s, ';')
	// Without a word about it multicast is the default of §12.39, but no client means it: all ask for ports of their own.
	t := Transport{Mode: "PLAY"}
	profile := strings.ToUpper(strings.TrimSpace(parts[0]))
	if cut, ok := strings.CutSuffix(profile, "/TCP"); ok {
		profile, t.TCP = cut, true
	} else {
		profile = strings.TrimSuffix(profile, "/UDP")
	}
	switch profile {
	case "RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF":
		t.Profile = profile
	default:
		return t, fmt.Errorf("transport %q is unknown", clip(parts[0]))
	}
	for _, p := range parts[1:] {
		k, v, _ := strings.Cut(p, "=")
		if err := t.parameter(strings.ToLower(strings.TrimSpace(k)), unquote(v)); err != nil {
			return t, err
		}
	}
	return t, nil
}

// parameter takes one parameter; unknown ones are ignored.
func (t *Transport) parameter(k, v string) (err error) {
	switch k {
	case "unicast":
		t.Multicast = false
	case "multicast":
		t.Multicast = true
	case "destination":
		t.Destination = v
	case "source":
		t.Source = v
	case "client_port":
		t.Client, err = parsePair(v, 1, 65535)
	case "server_port":
		t.Server, err = parsePair(v, 1, 65535)
	case "port":
		t.Port, err = parsePair(v, 1, 65535)
	case "interleaved":
		t.Interleaved, err = parsePair(v, 0, 255)
	case "ssrc":
		// Some write it in decimal or with a 0x. In a request it is only a wish, so a strange one does no harm.
		if n, err := strconv.ParseUint(v, 16, 32); err == nil {
			t.SSRC, t.HasSSRC = uint32(n), true
		}
	case "ttl":
		var n uint64
		n, err = strconv.ParseUint(v, 10, 8)
		t.TTL = int(n)
	case "mode":
		t.Mode, err = parseMode(v)
	case "append":
		t.Append = true
	}
	return err
}

// parseMode reads a mode, or a list of them of which the first counts.
func parseMode(v string) (string, error) {
	first, _, _ := strings.Cut(v, ",")
	switch m := strings.ToUpper(unquote(first)); m {
	case "PLAY", "RECORD":
		return m, nil
	case "RECEIVE": // what ffmpeg before 0.11 and old live555 publishers say for RECORD
		return "RECORD", nil
	}
	return "", fmt.Errorf("mode %q is unknown", clip(v))
}

func parsePair(v string, least, most int) (*Pair, error) {
	a, b, has := strings.Cut(v, "-")
	first, err := strconv.ParseUint(strings.TrimSpace(a), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("pair %q is malformed", clip(v))
	}
	p := Pair{int(first), min(int(first)+1, most)}
	if has {
		second, err := strconv.ParseUint(strings.TrimSpace(b), 10, 16)
		if err != nil {
			return nil, fmt.Errorf("pair %q is malformed", clip(v))
		}
		p.Second = int(second)
	}
	if p.First < least || p.Second < p.First || p.Second > most {
		return nil, fmt.Errorf("pair %q is not of %d to %d", clip(v), least, most)
	}
	return &p, nil
}

// String writes the transport as an answer has it. The lower transport UDP is not written: QuickTime and old live555
// look for "RTP/AVP;".
func (t Transport) String() string {
	var sb strings.Builder
	sb.WriteString(t.Profile)
	if t.TCP {
		sb.WriteString("/TCP")
	}
	if t.Multicast {
		sb.WriteString(";multicast")
	} else {
		sb.WriteString(";unicast")
	}
	if t.Destination != "" {
		sb.WriteString(";destination=" + quoteIfNeeded(t.Destination))
	}
	if t.Source != "" {
		sb.WriteString(";source=" + quoteIfNeeded(t.Source))
	}
	for _, p := range []struct {
		name string
		pair *Pair
	}{{"interleaved", t.Interleaved}, {"client_port", t.Client}, {"server_port", t.Server}, {"port", t.Port}} {
		if p.pair != nil {
			sb.WriteString(";" + p.name + "=" + p.pair.String())
		}
	}
	if t.TTL > 0 {
		sb.WriteString(";ttl=" + strconv.Itoa(t.TTL))
	}
	if t.HasSSRC {
		fmt.Fprintf(&sb, ";ssrc=%08X", t.SSRC)
	}
	if t.Append {
		sb.WriteString(";append")
	}
	if t.Mode != "" {
		sb.WriteString(`;mode="` + t.Mode + `"`)
	}
	return sb.String()
}
