package rtsp

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"peergate/media"
)

// paramsWait is how long a description is held back for parameter sets that the publisher did not describe. Encoders
// send them with every key frame, most of which come every second or two; players would rather wait than fail.
const paramsWait = 2 * time.Second

// paramSets are the parameter sets of a track by the type of their NAL unit.
type paramSets struct {
	codec string
	units map[byte][]byte
}

// neededSets returns a collection for a track whose description lacks its parameter sets, or nil: then players that do
// not look for them in the stream, such as QuickTime, could not begin.
func neededSets(t *media.Track) *paramSets {
	codec := t.Codec()
	lacks := func(keys ...string) bool {
		return !slices.ContainsFunc(t.Lines, func(l string) bool {
			return strings.HasPrefix(l, "a=fmtp:") && slices.ContainsFunc(keys, func(k string) bool { return strings.Contains(l, k+"=") })
		})
	}
	if codec == "H264" && lacks("sprop-parameter-sets") || codec == "H265" && lacks("sprop-sps", "sprop-pps", "sprop-vps") {
		return &paramSets{codec: codec, units: make(map[byte][]byte)}
	}
	return nil
}

// types are those of the NAL units that a decoder needs (RFC 6184 §8.1, RFC 7798 §7.1).
func (p *paramSets) types() []byte {
	if p.codec == "H264" {
		return []byte{7, 8}
	}
	return []byte{32, 33, 34}
}

func (p *paramSets) complete() bool { return len(p.units) == len(p.types()) }

// take looks for parameter sets in the payload of a packet.
func (p *paramSets) take(b []byte) {
	switch {
	case len(b) < 3:
	case p.codec == "H264" && b[0]&0x1f == 24: // STAP-A
		p.takeAll(b[1:])
	case p.codec == "H265" && b[0]>>1&0x3f == 48: // aggregation packet
		p.takeAll(b[2:])
	default:
		p.add(b)
	}
}

// takeAll walks units that each follow their 16-bit size.
func (p *paramSets) takeAll(b []byte) {
	for len(b) > 2 {
		n := int(b[0])<<8 | int(b[1])
		if b = b[2:]; n > len(b) {
			return
		}
		p.add(b[:n])
		b = b[n:]
	}
}

func (p *paramSets) add(unit []byte) {
	if len(unit) < 4 {
		return
	}
	t := unit[0] & 0x1f
	if p.codec == "H265" {
		t = unit[0] >> 1 & 0x3f
	}
	if slices.Contains(p.types(), t) {
		p.units[t] = unit
	}
}

// fmtp returns the format parameters that describe the sets.
func (p *paramSets) fmtp() []string {
	b64 := func(t byte) string { return base64.StdEncoding.EncodeToString(p.units[t]) }
	if p.codec == "H265" {
		return []string{"sprop-vps=" + b64(32), "sprop-sps=" + b64(33), "sprop-pps=" + b64(34)}
	}
	return []string{
		"profile-level-id=" + strings.ToUpper(hex.EncodeToString(p.units[7][1:4])),
		"sprop-parameter-sets=" + b64(7) + "," + b64(8),
	}
}

// apply returns the track with its parameter sets described; the rest of its lines stays as it is.
func (p *paramSets) apply(t media.Track) media.Track {
	pts := t.PayloadTypes()
	if !p.complete() || len(pts) == 0 {
		return t
	}
	prefix := fmt.Sprintf("a=fmtp:%d ", pts[0])
	lines := slices.Clone(t.Lines)
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, prefix) })
	if i < 0 {
		params := p.fmtp()
		if p.codec == "H264" {
			params = append([]string{"packetization-mode=1"}, params...)
		}
		at := 1 + slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "a=rtpmap:") })
		return media.Track{Kind: t.Kind, Lines: slices.Insert(lines, max(at, 1), prefix+strings.Join(params, "; "))}
	}
	for _, param := range p.fmtp() {
		if key, _, _ := strings.Cut(param, "="); !strings.Contains(lines[i], key+"=") {
			lines[i] = strings.TrimRight(lines[i], "; ") + "; " + param
		}
	}
	return media.Track{Kind: t.Kind, Lines: lines}
}

// describedTracks returns the tracks of a stream with the parameter sets that their publisher did not describe, once
// they have come; after paramsWait it returns what is known.
func describedTracks(ctx context.Context, st *media.Stream) []media.Track {
	tracks := st.Tracks()
	sets := make([]*paramSets, len(tracks))
	missing := 0
	for i := range tracks {
		if sets[i] = neededSets(&tracks[i]); sets[i] != nil {
			missing++
		}
	}
	if missing == 0 {
		return tracks
	}
	collectSets(ctx, st, sets)
	tracks = slices.Clone(tracks)
	for i, p := range sets {
		if p != nil {
			tracks[i] = p.apply(tracks[i])
		}
	}
	return tracks
}

// collectSets reads the stream until all sets are complete.
func collectSets(ctx context.Context, st *media.Stream, sets []*paramSets) {
	ctx, cancel := context.WithTimeout(ctx, paramsWait)
	defer cancel()
	sub := st.Subscribe(media.SubscribeOptions{FromKey: true})
	defer sub.Close()
	wanting := func(p *paramSets) bool { return p != nil && !p.complete() }
	for slices.ContainsFunc(sets, wanting) {
		ps, err := sub.Next(ctx)
		if err != nil {
			return
		}
		for i := range ps {
			if p := &ps[i]; !p.Report && p.Track < len(sets) && sets[p.Track] != nil {
				sets[p.Track].take(p.Payload())
			}
		}
	}
}
