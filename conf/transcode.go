package conf

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Transcode is about renditions, streams made from others.
type Transcode struct {
	IdleAfter   time.Duration      `yaml:"idle_after"`   // how long a rendition outlives its last subscriber
	FFmpeg      string             `yaml:"ffmpeg"`       // the program: a path, or a name to look for in PATH
	MaxJobs     int                `yaml:"max_jobs"`     // ffmpeg processes at once
	Threads     int                `yaml:"threads"`      // of each; 0 leaves it to ffmpeg
	Nice        int                `yaml:"nice"`         // how much ffmpeg stands back for others, 0 to 19
	SilentAfter time.Duration      `yaml:"silent_after"` // an ffmpeg that makes nothing for so long is killed
	HWAccel     string             `yaml:"hwaccel"`      // whose encoder to use; "" is software
	Device      string             `yaml:"device"`       // of it; "" is the usual one
	Profiles    map[string]Profile `yaml:"profiles"`     // by what follows the ~
}

// Profile says what ffmpeg makes of a stream. A medium without a codec is left out.
type Profile struct {
	Video  ProfileVideo `yaml:"video"`
	Audio  ProfileAudio `yaml:"audio"`
	Always []string     `yaml:"always"` // streams whose rendition is made always, not only while somebody watches
}

// ProfileVideo is about the pictures of a rendition.
type ProfileVideo struct {
	Codec   string        `yaml:"codec"`   // h264, h265, copy or ""
	Profile string        `yaml:"profile"` // of H.264: baseline, main, high; "" leaves it to the encoder
	Height  int           `yaml:"height"`  // at most, in pixels; 0 is as they come
	Bitrate Rate          `yaml:"bitrate"`
	GOP     time.Duration `yaml:"gop"` // most time between key frames; 0: only where the stream has them
}

// ProfileAudio is about the sound of a rendition.
type ProfileAudio struct {
	Codec   string `yaml:"codec"` // aac, opus, copy or ""
	Bitrate Rate   `yaml:"bitrate"`
}

const (
	// Copy is the codec of a medium that passes as it is.
	Copy = "copy"
	// defaultFFmpeg is how ffmpeg is called.
	defaultFFmpeg = "ffmpeg"
	// maxNice is the most that a process can stand back (nice(2)).
	maxNice = 19
	// maxHeight is that of 8K, twice.
	maxHeight = 8640
)

// ownProfiles are made without ffmpeg.
var ownProfiles = []string{"l16", "pcma", "pcmu"}

func defaultTranscode() Transcode {
	return Transcode{IdleAfter: 10 * time.Second, FFmpeg: defaultFFmpeg, MaxJobs: 4, Nice: 5, SilentAfter: 10 * time.Second}
}

// optional reports a word that is neither "" nor one of the choices.
func optional(f faults, key, v string, choices ...string) {
	if v != "" {
		oneOf(f, key, v, choices...)
	}
}

func (r Rate) checkPositive(f faults, key string) {
	if r == 0 {
		f.fault(key, "is 0, must be auto or a rate such as 800kbit")
	}
}

func (p *Profile) setDefaults() { p.Video.Bitrate, p.Audio.Bitrate = Unlimited, Unlimited }

func (c *Transcode) check(f faults) {
	atLeast(f, "transcode.idle_after", c.IdleAfter, 0)
	if c.FFmpeg == "" {
		f.fault("transcode.ffmpeg", "is empty, must be a path or a name such as ffmpeg")
	}
	atLeast(f, "transcode.max_jobs", c.MaxJobs, 0)
	atLeast(f, "transcode.threads", c.Threads, 0)
	if c.Nice < 0 || c.Nice > maxNice {
		f.fault("transcode.nice", "is %d, must be 0 to %d", c.Nice, maxNice)
	}
	atLeast(f, "transcode.silent_after", c.SilentAfter, time.Second)
	optional(f, "transcode.hwaccel", c.HWAccel, "vaapi", "nvenc", "qsv", "videotoolbox", "v4l2m2m")
	for _, name := range sorted(c.Profiles) {
		p := c.Profiles[name]
		p.check(f, "transcode.profiles."+name, name)
	}
}

func (p *Profile) check(f faults, key, name string) {
	checkName(f, key, name)
	if strings.ContainsAny(name, "~/") {
		f.fault(key, "is no name of a profile: it must not have ~ or /")
	}
	if slices.Contains(ownProfiles, name) {
		f.fault(key, "is made without ffmpeg and cannot be changed: choose another name")
	}
	v, a := &p.Video, &p.Audio
	optional(f, key+".video.codec", v.Codec, "h264", "h265", Copy)
	optional(f, key+".video.profile", v.Profile, "baseline", "main", "high")
	if v.Profile != "" && v.Codec != "h264" {
		f.fault(key+".video.profile", "is of h264 alone: remove it, or set codec to h264")
	}
	if v.Height != 0 && (v.Height < 16 || v.Height > maxHeight || v.Height%2 != 0) {
		f.fault(key+".video.height", "is %d, must be an even number of 16 to %d, or 0", v.Height, maxHeight)
	}
	atLeast(f, key+".video.gop", v.GOP, 0)
	optional(f, key+".audio.codec", a.Codec, "aac", "opus", Copy)
	v.Bitrate.checkPositive(f, key+".video.bitrate")
	a.Bitrate.checkPositive(f, key+".audio.bitrate")
	if v.Codec == "" && a.Codec == "" {
		f.fault(key, "has a codec neither for video nor for audio: nothing would be left")
	}
	for i, s := range p.Always {
		checkName(f, fmt.Sprintf("%s.always[%d]", key, i), s)
	}
}
