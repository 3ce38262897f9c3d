package media

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	psdp "github.com/pion/sdp/v3"
)

// Track is one media section of an SDP description (RFC 8866 §5), kept line for line so that what this program does
// not understand still reaches the player.
type Track struct {
	Kind  string   // media type of the m= line: "video", "audio", "application" ...
	Lines []string // from the m= line on, without line ends; what concerns the publisher's own transport is left out
}

// staticTypes are the payload types with a fixed meaning that are still met (RFC 3551 §6).
var staticTypes = map[uint8]string{
	0: "PCMU/8000", 3: "GSM/8000", 4: "G723/8000", 5: "DVI4/8000", 6: "DVI4/16000", 7: "LPC/8000", 8: "PCMA/8000",
	9: "G722/8000", 10: "L16/44100/2", 11: "L16/44100/1", 12: "QCELP/8000", 14: "MPA/90000", 15: "G728/8000",
	16: "DVI4/11025", 17: "DVI4/22050", 18: "G729/8000", 26: "JPEG/90000", 31: "H261/90000", 32: "MPV/90000",
	33: "MP2T/90000", 34: "H263/90000",
}

// PayloadTypes returns the payload types of the m= line, in its order of preference.
func (t *Track) PayloadTypes() []uint8 {
	var pts []uint8
	if len(t.Lines) == 0 {
		return nil
	}
	for i, f := range strings.Fields(t.Lines[0]) {
		if i < 3 {
			continue
		}
		if v, err := strconv.ParseUint(f, 10, 7); err == nil {
			pts = append(pts, uint8(v))
		}
	}
	return pts
}

// Codec returns the encoding name of the first payload type in upper case, such as "H264", "OPUS" or "PCMU", or "".
func (t *Track) Codec() string { return strings.ToUpper(t.rtpmap(0)) }

// ClockRate returns the timestamps a second of the first payload type, or 0 when the section does not say.
func (t *Track) ClockRate() int {
	v, err := strconv.Atoi(t.rtpmap(1))
	if err != nil || v <= 0 {
		return 0
	}
	return v
}

// Channels returns the audio channels of the first payload type; a section that does not say has one.
func (t *Track) Channels() int {
	v, err := strconv.Atoi(t.rtpmap(2))
	if err != nil || v <= 0 {
		return 1
	}
	return v
}

// Format returns gortsplib's understanding of the first payload type, or nil when it has none.
func (t *Track) Format() format.Format {
	pts := t.PayloadTypes()
	if len(pts) == 0 {
		return nil
	}
	md := &psdp.MediaDescription{MediaName: psdp.MediaName{Media: t.Kind}}
	for _, l := range t.Lines {
		if a, ok := strings.CutPrefix(l, "a="); ok {
			k, v, _ := strings.Cut(a, ":")
			md.Attributes = append(md.Attributes, psdp.Attribute{Key: k, Value: v})
		}
	}
	f, err := format.Unmarshal(md, strconv.Itoa(int(pts[0])))
	if err != nil {
		return nil
	}
	return f
}

// rtpmap returns part i of "name/rate/channels" of the first payload type.
func (t *Track) rtpmap(i int) string {
	pts := t.PayloadTypes()
	if len(pts) == 0 {
		return ""
	}
	m := t.attribute("rtpmap", pts[0])
	if m == "" {
		m = staticTypes[pts[0]]
	}
	parts := strings.Split(m, "/")
	if i >= len(parts) {
		return ""
	}
	return strings.TrimSpace(parts[i])
}

// attribute returns the value of "a=key:pt value".
func (t *Track) attribute(key string, pt uint8) string {
	for _, l := range t.Lines {
		v, ok := strings.CutPrefix(l, "a="+key+":")
		if !ok {
			continue
		}
		num, val, _ := strings.Cut(strings.TrimSpace(v), " ")
		if n, err := strconv.Atoi(num); err == nil && n == int(pt) {
			return strings.TrimSpace(val)
		}
	}
	return ""
}

// rate returns the clock rate to reckon with.
func (t *Track) rate() int {
	if r := t.ClockRate(); r > 0 {
		return r
	}
	return defaultRate
}

// match tells how a publisher's tracks go on with those that players already have: route has for each of the publisher's
// the place of the one it continues, or -1 when players lack it. Order and payload types may differ, and so may
// parameter sets, since they come in band too; an AAC configuration may not. ok is false when players would miss a
// video or audio track.
func match(stream, publisher []Track) (route []int, ok bool) {
	route = make([]int, len(publisher))
	for i := range route {
		route[i] = -1
	}
	for to := range stream {
		i := successor(&stream[to], publisher, route)
		if i >= 0 {
			route[i] = to
		} else if k := stream[to].Kind; k == "video" || k == "audio" {
			return nil, false
		}
	}
	return route, true
}

// successor returns which of a publisher's tracks that have no place yet goes on with t, or -1; one with the same payload
// types is preferred.
func successor(t *Track, publisher []Track, route []int) int {
	found := -1
	want, types := t.essence(), t.PayloadTypes()
	for i := range publisher {
		p := &publisher[i]
		pts := p.PayloadTypes()
		switch {
		case route[i] >= 0 || p.essence() != want:
		case slices.Equal(pts, types):
			return i
		case len(pts) == 1 && len(types) == 1 && found < 0:
			found = i
		}
	}
	return found
}

// essence returns what must stay the same for a decoder to go on.
func (t *Track) essence() string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "%s %s %d %d", t.Kind, t.Codec(), t.ClockRate(), t.Channels())
	pts := t.PayloadTypes()
	if len(pts) == 0 {
		return sb.String()
	}
	for kv := range strings.SplitSeq(t.attribute("fmtp", pts[0]), ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(kv), "=")
		switch strings.ToLower(k) {
		case "config", "mode", "sizelength", "indexlength", "indexdeltalength", "packetization-mode", "streamtype":
			fmt.Fprintf(&sb, " %s=%s", strings.ToLower(k), strings.ToLower(v))
		}
	}
	return sb.String()
}

// renumbered returns a track with another payload type in place of its only one.
func (t *Track) renumbered(to uint8) Track {
	pts := t.PayloadTypes()
	if len(pts) != 1 || pts[0] == to {
		return *t
	}
	from, into := strconv.Itoa(int(pts[0])), strconv.Itoa(int(to))
	r := Track{Kind: t.Kind, Lines: slices.Clone(t.Lines)}
	f := strings.Fields(r.Lines[0])
	r.Lines[0] = strings.Join(append(f[:len(f)-1], into), " ")
	for i, l := range r.Lines[1:] {
		key, value, _ := strings.Cut(l, ":")
		switch num, rest, _ := strings.Cut(strings.TrimSpace(value), " "); {
		case num != from:
		case key == "a=rtpmap", key == "a=fmtp", key == "a=rtcp-fb":
			r.Lines[i+1] = key + ":" + into + " " + rest
		}
	}
	if t.attribute("rtpmap", pts[0]) == "" && staticTypes[pts[0]] != "" { // its meaning was in the number
		r.Lines = append(r.Lines, "a=rtpmap:"+into+" "+staticTypes[pts[0]])
	}
	return r
}
