package transcode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/transcode/process"
)

const (
	// oldestMajor and oldestMinor are the oldest ffmpeg that will do: 4.4 has -stats_period and force_key_frames source.
	oldestMajor, oldestMinor = 4, 4
	// probeTimeout bounds the questions to ffmpeg; it answers within 0.1 s, but is first read from a disk that may be slow.
	probeTimeout = 20 * time.Second
)

// Tool is an ffmpeg that was looked at.
type Tool struct {
	Path    string
	Version string // as it names itself
	major   int    // 0 of a development version, which is newer than all
	minor   int
	codecs  map[string]bool // encoders and decoders; "e h264", "d h264"
}

// Probe looks at the ffmpeg of a configuration. The error says that it is missing or too old.
func Probe(ctx context.Context, c conf.Transcode) (*Tool, error) {
	path, err := exec.LookPath(c.FFmpeg)
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("ffmpeg is missing: there is no program %q: install ffmpeg, or set transcode.ffmpeg", c.FFmpeg)
	case err != nil:
		return nil, fmt.Errorf("ffmpeg: %w: set transcode.ffmpeg", err)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	t := &Tool{Path: path, codecs: make(map[string]bool)}
	out, err := ask(ctx, path, "-version")
	if err != nil {
		return nil, err
	}
	if err := t.parseVersion(string(out)); err != nil {
		return nil, err
	}
	for _, q := range []string{"encoders", "decoders"} {
		if out, err = ask(ctx, path, "-"+q); err != nil {
			return nil, err
		}
		t.parseCodecs(q[:1], string(out))
	}
	return t, nil
}

// ask runs ffmpeg with a question and returns the answer.
func ask(ctx context.Context, path string, args ...string) ([]byte, error) {
	runtime.LockOSThread() // Contain wants it
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, path, append([]string{"-hide_banner", "-nostdin"}, args...)...)
	process.Contain(cmd)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s %s: gives no answer: %w", path, args[0], ctx.Err())
	case errors.As(err, &exit) && len(exit.Stderr) > 0:
		first, _, _ := strings.Cut(string(exit.Stderr), "\n")
		return nil, fmt.Errorf("%s %s: %w: %s", path, args[0], err, first)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", path, args[0], err)
	}
	return out, nil
}

// version finds the numbers in "ffmpeg version 5.1.9-0+deb12u1" and "ffmpeg version n6.1".
var version = regexp.MustCompile(`^ffmpeg version (n?(\d{1,3})\.(\d{1,3})\S*|\S+)`)

func (t *Tool) parseVersion(out string) error {
	m := version.FindStringSubmatch(out)
	if m == nil {
		return fmt.Errorf("%s is no ffmpeg: its version is %.60q", t.Path, out)
	}
	t.Version = m[1]
	if m[2] == "" { // a development version, such as N-118000-gabcdef or 2026-01-02-git-abcdef
		return nil
	}
	t.major, _ = strconv.Atoi(m[2]) // at most three digits
	t.minor, _ = strconv.Atoi(m[3])
	if t.major < oldestMajor || t.major == oldestMajor && t.minor < oldestMinor {
		return fmt.Errorf("ffmpeg %s is too old: install %d.%d or later, or set transcode.ffmpeg", t.Version, oldestMajor, oldestMinor)
	}
	return nil
}

// parseCodecs reads the lists of -encoders and -decoders, whose lines are like " V....D libx264   description".
func (t *Tool) parseCodecs(kind, out string) {
	_, list, _ := strings.Cut(out, "------")
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); len(f) >= 2 && len(f[0]) == 6 {
			t.codecs[kind+" "+f[1]] = true
		}
	}
}

// newer reports whether the version is at least the given one.
func (t *Tool) newer(major, minor int) bool {
	return t.major == 0 || t.major > major || t.major == major && t.minor >= minor
}

// Encodes reports whether it has an encoder of that name.
func (t *Tool) Encodes(name string) bool { return t.codecs["e "+name] }

func (t *Tool) decodes(name string) bool { return t.codecs["d "+name] }

// decoders are the names in ffmpeg of the encodings that it can receive by RTP.
var decoders = map[string]string{
	"H264": "h264", "H265": "hevc", "VP8": "vp8", "VP9": "vp9", "JPEG": "mjpeg", "MP4V-ES": "mpeg4", "MPV": "mpeg2video", "H263-1998": "h263",
	"MPEG4-GENERIC": "aac", "MP4A-LATM": "aac", "OPUS": "opus", "VORBIS": "vorbis", "AC3": "ac3", "MPA": "mp3",
	"PCMU": "pcm_mulaw", "PCMA": "pcm_alaw", "L16": "pcm_s16be", "L24": "pcm_s24be", "G722": "adpcm_g722",
}

// check returns an error when ffmpeg cannot read a track or, unless the codec is copied, write it.
func (t *Tool) check(tr *media.Track, encoder string) error {
	d, ok := decoders[tr.Codec()]
	switch {
	case !ok:
		return fmt.Errorf("ffmpeg cannot receive %s: %w", tr.Codec(), media.ErrUnsupported)
	case encoder == conf.Copy:
		return nil
	case !t.decodes(d):
		return fmt.Errorf("ffmpeg at %s lacks the decoder %s: %w", t.Path, d, media.ErrUnsupported)
	case !t.Encodes(encoder):
		return fmt.Errorf("ffmpeg at %s lacks the encoder %s: %w", t.Path, encoder, media.ErrUnsupported)
	}
	return nil
}

// Accelerators are the values of transcode.hwaccel.
var Accelerators = []string{"vaapi", "nvenc", "qsv", "videotoolbox", "v4l2m2m"}

// Try encodes a picture with the H.264 encoder of an accelerator, or of software when it is "".
func (t *Tool) Try(ctx context.Context, hwaccel, device string) error {
	e := encoder{hwaccel, device}
	if !t.Encodes(e.name("h264")) {
		return fmt.Errorf("ffmpeg at %s lacks the encoder %s", t.Path, e.name("h264"))
	}
	args := append([]string{"-v", "error"}, e.open()...)
	args = append(args, "-f", "lavfi", "-i", "color=size=320x240:rate=25", "-frames:v", "1", "-vf", e.filter(0), "-c:v", e.name("h264"), "-f", "null", "-")
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err := ask(ctx, t.Path, args...)
	return err
}
