package hls

import (
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
)

// params keeps the parameter sets of a track, so that each key frame can begin with them: the library must see them in the
// stream, but some encoders, such as ffmpeg's RTSP output, have them in the description alone.
type params struct {
	kind func(unit []byte) int // which set a unit is, 0 and up; key or other
	sets [][]byte              // nil while unknown
}

// Kinds of units that are no parameter sets.
const (
	keyUnit   = -1
	otherUnit = -2
)

func newParams(kind func([]byte) int, sets ...[]byte) *params { return &params{kind, sets} }

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

// complete returns the units of a picture without empty ones; a key picture has all parameter sets before it.
func (p *params) complete(units [][]byte) [][]byte {
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
