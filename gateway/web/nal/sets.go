// Package nal keeps the parameter sets of H.264 and H.265 streams, so that each key picture can begin with them: players over
// HTTP look for them there, but some encoders, such as ffmpeg's RTSP output, have them in the description alone.
package nal

import (
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
)

// Sets are the parameter sets of a track.
type Sets struct {
	kind func(unit []byte) int // which set a unit is, 0 and up; key or other
	sets [][]byte              // nil while unknown
}

// H264 returns the sets of a track of H.264; nil is unknown.
func H264(sps, pps []byte) *Sets { return &Sets{h264Kind, [][]byte{sps, pps}} }

// H265 returns those of one of H.265.
func H265(vps, sps, pps []byte) *Sets { return &Sets{h265Kind, [][]byte{vps, sps, pps}} }

// Kinds of units that are no parameter sets.
const (
	keyUnit   = -1
	otherUnit = -2
)

// h264Kind orders the units of H.264: SPS, PPS.
func h264Kind(unit []byte) int {
	switch h264.NALUType(unit[0] & 0x1f) {
	case h264.NALUTypeSPS:
		return 0
	case h264.NALUTypePPS:
		return 1
	case h264.NALUTypeIDR:
		return keyUnit
	}
	return otherUnit
}

// h265Kind orders the units of H.265: VPS, SPS, PPS.
func h265Kind(unit []byte) int {
	switch h265.NALUType(unit[0] >> 1 & 0x3f) {
	case h265.NALUType_VPS_NUT:
		return 0
	case h265.NALUType_SPS_NUT:
		return 1
	case h265.NALUType_PPS_NUT:
		return 2
	case h265.NALUType_IDR_W_RADL, h265.NALUType_IDR_N_LP, h265.NALUType_CRA_NUT:
		return keyUnit
	}
	return otherUnit
}

// Complete returns the units of a picture without empty ones; a key picture has all parameter sets before it.
func (p *Sets) Complete(units [][]byte) [][]byte {
	units = slices.DeleteFunc(units, func(u []byte) bool { return len(u) == 0 })
	key := false
	missing := slices.Clone(p.sets)
	for _, u := range units {
		switch k := p.kind(u); {
		case k >= 0:
			p.sets[k], missing[k] = u, nil
		case k == keyUnit:
			key = true
		}
	}
	missing = slices.DeleteFunc(missing, func(set []byte) bool { return len(set) == 0 })
	if !key || len(missing) == 0 {
		return units
	}
	return append(missing, units...)
}
