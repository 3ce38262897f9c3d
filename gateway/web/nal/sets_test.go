package nal

import (
	"slices"
	"testing"
)

// TestComplete has parameter sets before each key picture, in their order, and only there.
func TestComplete(t *testing.T) {
	sps, pps, idr, other := []byte{0x67, 1}, []byte{0x68, 1}, []byte{0x65}, []byte{0x41}
	p := H264(nil, []byte{0x68, 9})
	for _, c := range []struct {
		name     string
		in, want [][]byte
	}{
		{"SPS unknown", [][]byte{idr}, [][]byte{{0x68, 9}, idr}},
		{"not a key picture", [][]byte{other}, [][]byte{other}},
		{"complete", [][]byte{sps, pps, idr}, [][]byte{sps, pps, idr}},
		{"none", [][]byte{idr}, [][]byte{sps, pps, idr}},
		{"one", [][]byte{{0x67, 2}, idr}, [][]byte{pps, {0x67, 2}, idr}},
		{"empty unit", [][]byte{{}, other, {}}, [][]byte{other}},
	} {
		if got := p.Complete(c.in); !slices.EqualFunc(got, c.want, slices.Equal[[]byte]) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if k := h265Kind([]byte{0x42, 1}); k != 1 {
		t.Errorf("h265Kind of an SPS = %d", k)
	}
}
