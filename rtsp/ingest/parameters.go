package ingest

import (
	"bytes"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
)

// parameters are the parameter sets of H.264 or H.265: of each kind the last one that came.
type parameters struct {
	sets  [][]byte                 // by kind; nil: none yet
	kind  func(nalu []byte) int    // of a parameter set; -1: is none
	isKey func(unit [][]byte) bool // whether decoding can begin with a picture
}

// h264Set tells the kind of a parameter set: 0 is a sequence's, 1 a picture's.
func h264Set(nalu []byte) int {
	switch h264.NALUType(nalu[0] & 0x1f) {
	case h264.NALUTypeSPS:
		return 0
	case h264.NALUTypePPS:
		return 1
	}
	return -1
}

// h265Set tells the kind of a parameter set: 0 is the video's, 1 a sequence's, 2 a picture's.
func h265Set(nalu []byte) int {
	switch h265.NALUType(nalu[0] >> 1 & 0x3f) {
	case h265.NALUType_VPS_NUT:
		return 0
	case h265.NALUType_SPS_NUT:
		return 1
	case h265.NALUType_PPS_NUT:
		return 2
	}
	return -1
}

// note keeps the parameter sets of a picture and reports whether all kinds are known.
func (p *parameters) note(unit [][]byte) (all bool) {
	for _, n := range unit {
		if len(n) == 0 {
			continue
		}
		if k := p.kind(n); k >= 0 && !bytes.Equal(n, p.sets[k]) {
			p.sets[k] = bytes.Clone(n)
		}
	}
	for _, s := range p.sets {
		if s == nil {
			return false
		}
	}
	return true
}

// complete returns a picture that decoding can begin with after its parameter sets, which it may lack.
func (p *parameters) complete(unit [][]byte) (completed [][]byte, key bool) {
	whole := make([][]byte, 0, len(unit)+len(p.sets))
	has := make([]bool, len(p.sets))
	for _, n := range unit {
		if len(n) == 0 {
			continue
		}
		if k := p.kind(n); k >= 0 {
			has[k] = true
		}
		whole = append(whole, n)
	}
	p.note(whole)
	if !p.isKey(whole) {
		return whole, false
	}
	var front [][]byte
	for k, s := range p.sets {
		if !has[k] && s != nil {
			front = append(front, s)
		}
	}
	return append(front, whole...), true
}
