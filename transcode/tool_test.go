package transcode

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"peergate/conf"
	"peergate/media"
)

func TestParseVersion(t *testing.T) {
	for _, c := range []struct{ out, version, err string }{
		{"ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026", "5.1.9-0+deb12u1", ""},
		{"ffmpeg version n6.1 Copyright", "n6.1", ""},
		{"ffmpeg version 4.4.2-0ubuntu0.22.04.1 Copyright", "4.4.2-0ubuntu0.22.04.1", ""},
		{"ffmpeg version N-118000-gabcdef Copyright", "N-118000-gabcdef", ""},
		{"ffmpeg version 2026-01-02-git-abcdef-full Copyright", "2026-01-02-git-abcdef-full", ""},
		{"ffmpeg version 4.3.6-0+deb11u1 Copyright", "", "too old: install 4.4"},
		{"ffmpeg version 3.4.11 Copyright", "", "too old"},
		{"avconv version 12", "", "is no ffmpeg"},
		{"", "", "is no ffmpeg"},
	} {
		var tool Tool
		err := tool.parseVersion(c.out)
		switch {
		case c.err == "" && (err != nil || tool.Version != c.version):
			t.Errorf("%q = %q, %v, want %q", c.out, tool.Version, err, c.version)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%q = %v, want %q", c.out, err, c.err)
		}
	}
}

// encoders is a part of what ffmpeg 5.1 answers to -encoders.
const encoders = "Encoders:\n V..... = Video\n A..... = Audio\n ------\n V....D libx264              libx264 H.264 (codec h264)\n A....D aac                  AAC\n"

func TestParseCodecs(t *testing.T) {
	tool := Tool{codecs: make(map[string]bool)}
	tool.parseCodecs("e", encoders)
	if !tool.Encodes("libx264") || !tool.Encodes("aac") || len(tool.codecs) != 2 {
		t.Errorf("encoders = %v", tool.codecs)
	}
}

// FuzzTool feeds what any program may answer.
func FuzzTool(f *testing.F) {
	f.Add("ffmpeg version 5.1.9 Copyright")
	f.Add(encoders)
	f.Fuzz(func(t *testing.T, out string) {
		tool := Tool{codecs: make(map[string]bool)}
		if err := tool.parseVersion(out); err == nil && tool.Version == "" {
			t.Error("a version without a name")
		}
		tool.parseCodecs("e", out)
		for c := range tool.codecs {
			if strings.TrimSpace(c) != c || len(c) < 3 {
				t.Errorf("codec %q", c)
			}
		}
	})
}

// script makes a program of a few lines and returns its path.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestProbe looks at programs that are not there, no ffmpeg, too old, or hang.
func TestProbe(t *testing.T) {
	for _, c := range []struct{ name, path, want string }{
		{"missing", "/nonexistent/ffmpeg", "ffmpeg is missing"},
		{"old", script(t, "echo ffmpeg version 2.8.17 Copyright"), "too old"},
		{"another", script(t, "echo hello"), "is no ffmpeg"},
		{"broken", script(t, "echo no libavcodec.so >&2; exit 127"), "no libavcodec.so"},
	} {
		if _, err := Probe(t.Context(), conf.Transcode{FFmpeg: c.path}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Probe = %v, want %q", c.name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Probe(ctx, conf.Transcode{FFmpeg: script(t, "sleep 60")}); !errors.Is(err, context.Canceled) {
		t.Errorf("Probe of a hanging program = %v, want the context's error", err)
	}
	answers := `case "$3" in -version) echo ffmpeg version 5.1.9;; -encoders) echo "------
 V....D libx264 x";; *) echo "------
 V....D h264 x";; esac`
	tool, err := Probe(t.Context(), conf.Transcode{FFmpeg: script(t, answers)})
	if err != nil {
		t.Fatal(err)
	}
	if !tool.Encodes("libx264") || tool.Encodes("h264") || !tool.decodes("h264") {
		t.Errorf("codecs = %v", tool.codecs)
	}
}

func newTool(major, minor int, codecs ...string) *Tool {
	t := &Tool{Path: "ffmpeg", major: major, minor: minor, codecs: make(map[string]bool)}
	for _, c := range codecs {
		t.codecs[c] = true
	}
	return t
}

// TestRecipe makes ffmpeg's arguments of profiles and tracks.
func TestRecipe(t *testing.T) {
	tool := newTool(5, 1, "e libx264", "e h264_vaapi", "e aac", "d h264", "d pcm_alaw")
	small := conf.Profile{
		Video: conf.ProfileVideo{Codec: "h264", Height: 360, Bitrate: 800_000, GOP: 2e9},
		Audio: conf.ProfileAudio{Codec: "aac", Bitrate: 64_000},
	}
	for _, c := range []struct {
		name    string
		tool    *Tool
		cfg     conf.Transcode
		profile conf.Profile
		tracks  []media.Track
		with    []string // in the arguments
		without string
		err     string
	}{
		{
			name: "video and audio", tool: tool, profile: small, tracks: []media.Track{video, alaw}, cfg: conf.Transcode{Threads: 2},
			with: []string{
				"-threads 2 -rtsp_transport tcp -i FROM", "-map 0:v:0 -c:v libx264", "min(360,ih)", "-x264-params fps=30000/1000", "-force_key_frames source -g 60", "-b:v 800000",
				"-map 0:a:0 -c:a aac", "-b:a 64000", "-fps_mode passthrough", "-f rtsp -rtsp_transport tcp TO",
			},
			without: "-allowed_media_types",
		},
		{name: "no sound there", tool: tool, profile: small, tracks: []media.Track{video}, with: []string{"-allowed_media_types video"}, without: "-map 0:a:0"},
		{name: "quicktime", tool: tool, profile: readyProfiles[quickTime], tracks: []media.Track{video, alaw}, with: []string{"-profile:v baseline", "format=yuv420p"}, without: "-b:v"},
		{
			name: "vaapi", tool: tool, profile: small, tracks: []media.Track{video}, cfg: conf.Transcode{HWAccel: "vaapi", Device: "/dev/dri/card7"},
			with: []string{"-vaapi_device /dev/dri/card7", "format=nv12,hwupload", "-c:v h264_vaapi"}, without: "libx264",
		},
		{name: "older ffmpeg", tool: newTool(4, 4, "e libx264", "d h264"), profile: small, tracks: []media.Track{video}, with: []string{"-vsync passthrough"}, without: "-fps_mode"},
		{name: "copy", tool: tool, profile: conf.Profile{Video: conf.ProfileVideo{Codec: "copy"}}, tracks: []media.Track{video, alaw}, with: []string{"-c:v copy"}, without: "-vf"},
		{name: "no encoder", tool: tool, profile: conf.Profile{Video: conf.ProfileVideo{Codec: "h265"}}, tracks: []media.Track{video}, err: "lacks the encoder libx265"},
		{name: "no decoder", tool: newTool(5, 1, "e libx264"), profile: small, tracks: []media.Track{video}, err: "lacks the decoder h264"},
		{name: "nothing to make", tool: tool, profile: conf.Profile{Audio: small.Audio}, tracks: []media.Track{video}, err: "nothing that the profile is about, its tracks are H264"},
		{name: "unknown", tool: tool, profile: small, tracks: []media.Track{track("video", "m=video 0 RTP/AVP 96", "a=rtpmap:96 DIRAC/90000")}, err: "cannot receive DIRAC"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := newRecipe(c.tool, c.cfg, c.profile, c.tracks)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !errors.Is(err, media.ErrUnsupported) {
					t.Fatalf("newRecipe = %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r.rate = 30
			got := strings.Join(r.args("FROM", "TO"), " ")
			for _, w := range c.with {
				if !strings.Contains(got, w) {
					t.Errorf("arguments lack %q: %s", w, got)
				}
			}
			if c.without != "" && strings.Contains(got, c.without) {
				t.Errorf("arguments have %q: %s", c.without, got)
			}
		})
	}
}

// TestEncoders names what a configuration needs.
func TestEncoders(t *testing.T) {
	need := Encoders(conf.Transcode{Profiles: map[string]conf.Profile{
		"tv": {Video: conf.ProfileVideo{Codec: "h265"}, Audio: conf.ProfileAudio{Codec: "opus"}},
		"as": {Video: conf.ProfileVideo{Codec: "copy"}},
	}})
	want := map[string]string{"libx264": "quicktime", "aac": "aac", "libx265": "tv", "libopus": "opus"}
	if len(need) != len(want) {
		t.Errorf("Encoders = %v, want %v", need, want)
	}
	for e, p := range want {
		if need[e] != p {
			t.Errorf("Encoders has %s for %q, want %q", e, need[e], p)
		}
	}
}

func TestRateOf(t *testing.T) {
	for _, c := range []struct {
		name   string
		stamps []uint32
		want   float64
	}{
		{"25", []uint32{0, 3600, 7200, 10800}, 25},
		{"out of order, over the end", []uint32{4294960000, 4294967200, 4294963600, 3504, 7104}, 25},
		{"a gap", []uint32{0, 3000, 6000, 90000, 93000, 96000}, 30},
		{"too few", []uint32{0, 3000}, usualRate},
		{"slow", []uint32{0, 900000, 1800000}, 1},
	} {
		if got := rateOf(c.stamps, 90000); got < c.want-0.01 || got > c.want+0.01 {
			t.Errorf("%s: %v pictures a second, want %v", c.name, got, c.want)
		}
	}
}
