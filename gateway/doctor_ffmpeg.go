package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"peergate/conf"
	"peergate/transcode"
)

// examineFFmpeg looks whether renditions can be made, and by which encoders.
func examineFFmpeg(ctx context.Context, c conf.Transcode) []finding {
	needed := len(c.Profiles) > 0
	tool, err := transcode.Probe(ctx, c)
	if err != nil {
		f := finding{"ffmpeg", fair, err.Error(), "without it there are only the renditions pcma, pcmu and l16"}
		if needed {
			f.Verdict, f.Remedy = bad, "the profiles of the configuration need it"
		}
		return []finding{f}
	}
	all := []finding{{"ffmpeg", good, tool.Version + " at " + tool.Path, ""}}
	need := transcode.Encoders(c)
	for _, e := range slices.Sorted(maps.Keys(need)) {
		if !tool.Encodes(e) {
			all = append(all, finding{"encoder " + e, bad, "ffmpeg lacks it, the profile " + need[e] + " needs it", "install an ffmpeg that has it, or choose another codec"})
		}
	}
	return append(all, examineAccelerators(ctx, c, tool))
}

// examineAccelerators tries the encoders in hardware.
func examineAccelerators(ctx context.Context, c conf.Transcode, tool *transcode.Tool) finding {
	var works []string
	for _, a := range transcode.Accelerators {
		err := tool.Try(ctx, a, c.Device)
		if err == nil {
			works = append(works, a)
		} else if a == c.HWAccel {
			return finding{"hardware encoder", bad, fmt.Sprintf("%s does not work: %v", a, err), "correct transcode.hwaccel and transcode.device, or install its driver"}
		}
	}
	switch {
	case c.HWAccel != "":
		return finding{"hardware encoder", good, c.HWAccel + " works", ""}
	case len(works) > 0:
		return finding{"hardware encoder", good, "these work, transcode.hwaccel can use them: " + strings.Join(works, ", "), ""}
	}
	return finding{"hardware encoder", good, "none works here: software encodes", ""}
}
