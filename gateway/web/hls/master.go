package hls

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/bluenviron/gohlslib/v2/pkg/codecparams"
	"github.com/bluenviron/gohlslib/v2/pkg/codecs"
	"github.com/bluenviron/gohlslib/v2/pkg/playlist"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"peergate/conf"
)

const (
	// playlistType is the media type of all playlists (RFC 8216 §4).
	playlistType = "application/vnd.apple.mpegurl"
	// version is that of the playlists: the one that has Low-Latency HLS and skips.
	version = 9
	// leastRate is the bit rate that is claimed before anything was measured.
	leastRate = 100_000
)

// form is what a stream is like, for the list of what a player can choose from.
type form struct {
	codecs        []string // as in RFC 6381
	width, height int      // in pixels; 0 without video
	rate          int      // bits a second
}

// describe notes what the stream is like now. It is for work alone, since writing changes the codecs.
func (m *muxer) describe() {
	m.fresh = false
	f := form{rate: leastRate}
	for _, t := range m.tracks {
		f.codecs = append(f.codecs, codecparams.Marshal(t.lib.Codec))
	}
	f.width, f.height = size(m.tracks[0].lib.Codec)
	if d := m.tracks[0].line.at().Seconds(); d > 0 {
		f.rate = max(f.rate, int(float64(8*m.muxed)/max(d, 1)))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.form = f
}

// size returns that of the pictures, or 0 when it is unknown.
func size(c codecs.Codec) (width, height int) {
	switch c := c.(type) {
	case *codecs.H264:
		var sps h264.SPS
		if sps.Unmarshal(c.SPS) == nil {
			return sps.Width(), sps.Height()
		}
	case *codecs.H265:
		var sps h265.SPS
		if sps.Unmarshal(c.SPS) == nil {
			return sps.Width(), sps.Height()
		}
	case *codecs.AV1:
		var sh av1.SequenceHeader
		if sh.Unmarshal(c.SequenceHeader) == nil {
			return sh.Width(), sh.Height()
		}
	}
	return 0, 0
}

// serveMaster lists the stream and its renditions.
func (m *muxer) serveMaster(w http.ResponseWriter) error {
	m.mu.Lock()
	f := m.form
	m.mu.Unlock()
	_, sound := m.find(false)
	_, pictures := m.find(true)
	pl := &playlist.Multivariant{Version: version, IndependentSegments: true}
	add(pl, f, "", m.tracks[0].video(), sound && pictures, 0)
	if _, _, ok := m.name.Rendition(); !ok && pictures {
		for _, name := range slices.Sorted(maps.Keys(m.srv.profiles)) {
			p := m.srv.profiles[name]
			if r, ok := rendition(f, p); ok {
				add(pl, r, "../"+path.Base(string(m.name))+"~"+name+"/", true, sound && p.Audio.Codec != "", len(pl.Renditions))
			}
		}
	}
	b, err := pl.Marshal()
	if err != nil {
		return fmt.Errorf("%s: playlist: %w", m.name, err)
	}
	w.Header().Set("Content-Type", playlistType)
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(b) // the player has gone
	return nil
}

// add puts a variant into a list: one of pictures, with the sound in a playlist of its own, or one of sound.
func add(pl *playlist.Multivariant, f form, folder string, pictures, soundToo bool, group int) {
	v := &playlist.MultivariantVariant{Bandwidth: f.rate + f.rate/4, AverageBandwidth: &f.rate, Codecs: f.codecs, URI: folder + audio}
	if pictures {
		v.URI = folder + video
	}
	if f.width > 0 {
		v.Resolution = fmt.Sprintf("%dx%d", f.width, f.height)
	}
	if soundToo {
		uri := folder + audio
		v.Audio = fmt.Sprintf("sound%d", group)
		pl.Renditions = append(pl.Renditions, &playlist.MultivariantRendition{
			Type: playlist.MultivariantRenditionTypeAudio, GroupID: v.Audio, Name: "sound", Autoselect: true, Default: true, URI: &uri,
		})
	}
	pl.Variants = append(pl.Variants, v)
}

// The codecs of renditions, as high as ffmpeg's encoders go by themselves at the sizes that they are made for.
var renditionCodecs = map[string]string{
	"h264": "avc1.640028", "h264 high": "avc1.640028", "h264 main": "avc1.4d4028", "h264 baseline": "avc1.42e028", "h265": "hvc1.1.6.L120.90",
	"aac": "mp4a.40.2", "opus": "opus",
}

// rendition returns what a profile makes of a stream; ok is false when that is nothing smaller to choose from.
func rendition(of form, p conf.Profile) (f form, ok bool) {
	v := &p.Video
	if v.Codec == "" || v.Codec == conf.Copy || v.Bitrate <= 0 || int(v.Bitrate) >= of.rate || of.height == 0 {
		return form{}, false
	}
	f = form{rate: int(v.Bitrate) + max(0, int(p.Audio.Bitrate)), width: of.width, height: of.height}
	if v.Height > 0 && v.Height < of.height {
		f.width, f.height = of.width*v.Height/of.height&^1, v.Height
	}
	f.codecs = []string{renditionCodecs[strings.TrimSpace(v.Codec+" "+v.Profile)]}
	if c, ok := renditionCodecs[p.Audio.Codec]; ok && len(of.codecs) > 1 {
		f.codecs = append(f.codecs, c)
	}
	return f, true
}
