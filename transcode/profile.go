package transcode

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"peergate/conf"
	"peergate/media"
)

// quickTime is what QuickTime Player, also that of Mac OS X before 10.9, plays over RTSP: H.264 baseline and AAC-LC.
const quickTime = "quicktime"

// readyProfiles are had without configuration, which may replace them.
var readyProfiles = map[string]conf.Profile{
	quickTime: {
		Video: conf.ProfileVideo{Codec: "h264", Profile: "baseline", Bitrate: conf.Unlimited, GOP: 2 * time.Second},
		Audio: conf.ProfileAudio{Codec: "aac", Bitrate: 128_000},
	},
	"opus": {
		Video: conf.ProfileVideo{Codec: conf.Copy, Bitrate: conf.Unlimited},
		Audio: conf.ProfileAudio{Codec: "opus", Bitrate: 96_000},
	},
	"webrtc": {
		Video: conf.ProfileVideo{Codec: "h264", Profile: "baseline", Bitrate: conf.Unlimited, GOP: 2 * time.Second},
		Audio: conf.ProfileAudio{Codec: "opus", Bitrate: 96_000},
	},
	"aac": {
		Video: conf.ProfileVideo{Codec: conf.Copy, Bitrate: conf.Unlimited},
		Audio: conf.ProfileAudio{Codec: "aac", Bitrate: 128_000},
	},
}

// profile returns one that ffmpeg makes.
func (p *Pool) profile(name string) (conf.Profile, bool) {
	if c, ok := p.cfg.Profiles[name]; ok {
		return c, true
	}
	c, ok := readyProfiles[name]
	return c, ok
}

// names lists the profiles for whoever asks for another.
func (p *Pool) names() string {
	all := append(slices.Collect(maps.Keys(p.cfg.Profiles)), ownProfiles...)
	all = append(all, slices.Collect(maps.Keys(readyProfiles))...)
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// Encoders returns the encoders that a configuration's profiles need, and for each the first profile that does.
func Encoders(c conf.Transcode) map[string]string {
	need := make(map[string]string)
	profiles := maps.Clone(readyProfiles)
	maps.Copy(profiles, c.Profiles)
	for _, name := range slices.Sorted(maps.Keys(profiles)) {
		p := profiles[name]
		for _, e := range []string{encoder{c.HWAccel, c.Device}.name(p.Video.Codec), audioEncoder(p.Audio.Codec)} {
			if e != "" && e != conf.Copy {
				need[e] = cmp.Or(need[e], name)
			}
		}
	}
	return need
}

// newRecipe returns how to make a profile of tracks. A medium that the stream lacks is left out, unless nothing is left.
func newRecipe(t *Tool, c conf.Transcode, profile conf.Profile, tracks []media.Track) (*recipe, error) {
	r := &recipe{tool: t, encoder: encoder{c.HWAccel, c.Device}, profile: profile, threads: c.Threads}
	var names []string
	for i := range tracks {
		tr := &tracks[i]
		names = append(names, cmp.Or(tr.Codec(), tr.Kind))
		var err error
		switch {
		case tr.Kind == "video" && !r.video && profile.Video.Codec != "":
			r.video, err = true, t.check(tr, r.encoder.name(profile.Video.Codec))
		case tr.Kind == "audio" && !r.audio && profile.Audio.Codec != "":
			r.audio, err = true, t.check(tr, audioEncoder(profile.Audio.Codec))
		}
		if err != nil {
			return nil, err
		}
	}
	if !r.audio && !r.video {
		return nil, fmt.Errorf("the stream has nothing that the profile is about, its tracks are %s: %w", strings.Join(names, ", "), media.ErrUnsupported)
	}
	return r, nil
}
