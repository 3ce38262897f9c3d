package transcode

import (
	"fmt"
	"strings"

	"peergate/media"
)

// codec is an encoding of audio samples that needs no more than a table.
type codec uint8

const (
	pcmu codec = iota // G.711 mu-law (RFC 3551 §4.5.14)
	pcma              // G.711 A-law
	l16               // 16 bits, signed, most significant byte first (RFC 3551 §4.5.11)
)

// ownProfiles are the profiles that need no ffmpeg.
var ownProfiles = []string{"l16", "pcma", "pcmu"}

// dynamicType is a payload type for formats that have no number of their own (RFC 3551 §3).
const dynamicType = 96

// maxChannels bounds what is converted: one sample of all channels must fit into a packet. Sound desks have up to 64.
const maxChannels = 64

func parseProfile(s string) (codec, bool) {
	switch s {
	case "l16":
		return l16, true
	case "pcma":
		return pcma, true
	case "pcmu":
		return pcmu, true
	}
	return 0, false
}

// parseCodec reads the encoding name of an SDP section.
func parseCodec(s string) (codec, bool) { return parseProfile(strings.ToLower(s)) }

func (c codec) String() string { return [...]string{"PCMU", "PCMA", "L16"}[c] }

// size returns the bytes of a sample.
func (c codec) size() int {
	if c == l16 {
		return 2
	}
	return 1
}

// plan returns the tracks of the rendition and, for those to convert, how.
func plan(base []media.Track, to codec) ([]media.Track, []*converter, error) {
	tracks := make([]media.Track, len(base))
	convert := make([]*converter, len(base))
	var names []string
	found := false
	for i := range base {
		t := &base[i]
		tracks[i] = *t
		names = append(names, t.Codec())
		from, ok := parseCodec(t.Codec())
		if !ok || t.Kind != "audio" || t.ClockRate() == 0 || t.Channels() > maxChannels {
			continue
		}
		found = true
		if from != to {
			tracks[i], convert[i] = planTrack(t, from, to)
		}
	}
	if !found {
		return nil, nil, fmt.Errorf("the stream has no audio in PCMU, PCMA or L16 to convert, its tracks are %s", strings.Join(names, ", "))
	}
	return tracks, convert, nil
}

// planTrack returns a track's section in its new encoding. What the section says of packet times, bandwidth and other
// payload types holds no longer and is left out.
func planTrack(t *media.Track, from, to codec) (media.Track, *converter) {
	in, rate, channels := t.PayloadTypes()[0], t.ClockRate(), t.Channels()
	out := payloadType(to, rate, channels, in)
	rtpmap := fmt.Sprintf("a=rtpmap:%d %s/%d", out, to, rate)
	if channels > 1 {
		rtpmap += fmt.Sprintf("/%d", channels)
	}
	lines := []string{fmt.Sprintf("m=audio 0 RTP/AVP %d", out)}
	mapped := false
	for _, l := range t.Lines[1:] {
		switch key, _, _ := strings.Cut(l, ":"); key {
		case "a=rtpmap", "a=fmtp", "a=ptime", "a=maxptime", "a=rtcp-fb":
			continue
		}
		if strings.HasPrefix(l, "b=") {
			continue
		}
		if strings.HasPrefix(l, "a=") && !mapped { // attributes come last in a section (RFC 8866 §5)
			lines, mapped = append(lines, rtpmap), true
		}
		lines = append(lines, l)
	}
	if !mapped {
		lines = append(lines, rtpmap)
	}
	return media.Track{Kind: t.Kind, Lines: lines}, &converter{from: from, to: to, in: in, out: out, frame: channels * to.size()}
}

// payloadType returns the number of a format: its own (RFC 3551 §6) or the track's, if that is a dynamic one.
func payloadType(c codec, rate, channels int, in uint8) uint8 {
	switch {
	case c == pcmu && rate == 8000 && channels == 1:
		return 0
	case c == pcma && rate == 8000 && channels == 1:
		return 8
	case c == l16 && rate == 44100 && channels == 2:
		return 10
	case c == l16 && rate == 44100 && channels == 1:
		return 11
	case in >= dynamicType:
		return in
	}
	return dynamicType
}
