package transcode

import (
	"fmt"
	"math"
	"strconv"

	"peergate/conf"
)

// encoder is who encodes video: an accelerator and its device, or software.
type encoder struct{ hwaccel, device string }

// usualDevice is the first graphics processor of Linux.
const usualDevice = "/dev/dri/renderD128"

// name returns ffmpeg's name of the encoder of a codec.
func (e encoder) name(codec string) string {
	switch {
	case codec == "", codec == conf.Copy:
		return codec
	case e.hwaccel == "" && codec == "h265":
		return "libx265"
	case e.hwaccel == "":
		return "libx264"
	case codec == "h265":
		return "hevc_" + e.hwaccel
	}
	return "h264_" + e.hwaccel
}

// open returns the arguments, before those of the input, that open the device.
func (e encoder) open() []string {
	device := e.device
	if device == "" {
		device = usualDevice
	}
	switch e.hwaccel {
	case "vaapi":
		return []string{"-vaapi_device", device}
	case "qsv":
		if e.device == "" {
			return []string{"-init_hw_device", "qsv=hw", "-filter_hw_device", "hw"}
		}
		return []string{"-init_hw_device", "qsv=hw,child_device=" + device, "-filter_hw_device", "hw"}
	}
	return nil
}

// filter returns what pictures go through: scaling to a height that they exceed, with even sizes, as 4:2:0 needs them.
func (e encoder) filter(height int) string {
	scale := "scale=trunc(iw/2)*2:trunc(ih/2)*2"
	if height > 0 {
		scale = fmt.Sprintf("scale=-2:'trunc(min(%d,ih)/2)*2'", height)
	}
	switch e.hwaccel {
	case "vaapi":
		return scale + ",format=nv12,hwupload"
	case "qsv":
		return scale + ",format=nv12"
	}
	return scale + ",format=yuv420p"
}

// tuning returns the arguments that make an encoder begin a closed group of pictures where it is told to and send a
// picture as soon as it has it.
func (e encoder) tuning(codec string, rate float64) []string {
	// ffmpeg guesses the rate of the pictures from a few packets, and shares out the bits by it. Once 88 of 100 pictures
	// were repeats of the 12 key frames, most likely by a guess far too high: so the encoder is told the rate.
	fps := fmt.Sprintf("fps=%d/1000", int(math.Round(1000*rate)))
	switch {
	case e.hwaccel == "" && codec == "h265":
		return []string{"-preset", "ultrafast", "-tune", "zerolatency", "-forced-idr", "1", "-x265-params", fps + ":scenecut=0:open-gop=0:log-level=error"}
	case e.hwaccel == "":
		return []string{"-preset", "veryfast", "-tune", "zerolatency", "-forced-idr", "1", "-sc_threshold", "0", "-x264-params", fps}
	case e.hwaccel == "nvenc":
		return []string{"-tune", "ll", "-forced-idr", "1", "-no-scenecut", "1", "-bf", "0"}
	case e.hwaccel == "qsv":
		return []string{"-forced_idr", "1", "-async_depth", "1", "-bf", "0"}
	case e.hwaccel == "videotoolbox":
		return []string{"-realtime", "1", "-bf", "0"}
	case e.hwaccel == "vaapi":
		return []string{"-bf", "0"}
	}
	return nil
}

// profile returns the name that an encoder has for a profile of H.264.
func (e encoder) profile(name string) string {
	if name == "baseline" && (e.hwaccel == "vaapi" || e.hwaccel == "v4l2m2m") {
		return "constrained_baseline"
	}
	return name
}

// recipe is all that ffmpeg needs to know.
type recipe struct {
	tool         *Tool
	encoder      encoder
	profile      conf.Profile
	video, audio bool // there are such tracks to make
	rate         float64
	threads      int
}

// longestGOP stands, in pictures, for key frames only where the stream has them.
const longestGOP = 100_000

// args returns ffmpeg's arguments.
func (r *recipe) args(from, to string) []string {
	a := []string{
		"-hide_banner", "-nostdin", "-nostats", "-v", "error", "-progress", "pipe:1", "-stats_period", "0.5",
		"-fflags", "nobuffer",
	}
	if r.profile.Video.Codec == conf.Copy {
		a = append(a, "-analyzeduration", "500000") // the muxer must know the size of the pictures
	} else {
		a = append(a, "-probesize", "32", "-fpsprobesize", "0") // the SDP says enough: 0.2 s to the first picture, not 0.9 s
	}
	if r.threads > 0 {
		a = append(a, "-threads", strconv.Itoa(r.threads))
	}
	if r.video && r.profile.Video.Codec != conf.Copy {
		a = append(a, r.encoder.open()...)
	}
	switch {
	case !r.audio:
		a = append(a, "-allowed_media_types", "video")
	case !r.video:
		a = append(a, "-allowed_media_types", "audio")
	}
	a = append(a, "-rtsp_transport", "tcp", "-i", from)
	if r.video {
		a = append(a, r.videoArgs()...)
	}
	if r.audio {
		a = append(a, r.audioArgs()...)
	}
	if r.threads > 0 {
		a = append(a, "-threads", strconv.Itoa(r.threads))
	}
	// A track that is silent must not hold up the other for ffmpeg's 10 s.
	return append(a, "-max_interleave_delta", "200000", "-flush_packets", "1", "-f", "rtsp", "-rtsp_transport", "tcp", to)
}

func (r *recipe) videoArgs() []string {
	v := &r.profile.Video
	a := []string{"-map", "0:v:0", "-c:v", r.encoder.name(v.Codec)}
	if v.Codec == conf.Copy {
		return a
	}
	a = append(a, r.encoder.tuning(v.Codec, r.rate)...)
	a = append(a, "-vf", r.encoder.filter(v.Height), "-force_key_frames", "source", "-g", strconv.Itoa(r.group()),
		"-enc_time_base", "1:90000") // RTP's, since that of a guessed rate may be too coarse
	if r.tool.newer(5, 1) {
		a = append(a, "-fps_mode", "passthrough")
	} else {
		a = append(a, "-vsync", "passthrough")
	}
	if v.Profile != "" {
		a = append(a, "-profile:v", r.encoder.profile(v.Profile))
	}
	if v.Bitrate > 0 {
		rate := strconv.FormatInt(int64(v.Bitrate), 10)
		a = append(a, "-b:v", rate, "-maxrate", rate, "-bufsize", rate)
	}
	return a
}

// group returns the most pictures from one key frame to the next. Encoders count from the last key frame, which is the
// stream's own in all its renditions, so that all have theirs at the same pictures.
func (r *recipe) group() int {
	if r.profile.Video.GOP == 0 {
		return longestGOP
	}
	return max(1, int(math.Round(r.profile.Video.GOP.Seconds()*r.rate)))
}

// audioEncoder returns ffmpeg's name of the encoder of a codec.
func audioEncoder(codec string) string {
	if codec == "opus" {
		return "libopus"
	}
	return codec
}

func (r *recipe) audioArgs() []string {
	p := &r.profile.Audio
	a := []string{"-map", "0:a:0", "-c:a", audioEncoder(p.Codec)}
	if p.Codec == conf.Copy {
		return a
	}
	a = append(a, "-af", "aresample=async=1") // what was lost on the way is filled with silence
	if p.Bitrate > 0 {
		a = append(a, "-b:a", strconv.FormatInt(int64(p.Bitrate), 10))
	}
	return a
}
