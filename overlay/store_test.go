package overlay

import (
	"slices"
	"testing"

	"peergate/overlay/chunk"
)

func TestStore(t *testing.T) {
	var s store
	s.init()
	keep := func(epoch uint64, seqs ...uint64) {
		for _, seq := range seqs {
			s.keep(held{chunk: &chunk.Chunk{Epoch: epoch, Seq: seq}})
		}
	}
	check := func(what string, epoch uint64, want ...uint64) {
		t.Helper()
		var got []uint64
		for seq := range uint64(100) {
			if h, ok := s.get(epoch, seq); ok && h.chunk.Seq == seq {
				got = append(got, seq)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: epoch %d holds %v, want %v", what, epoch, got, want)
		}
	}
	keep(1, 10, 11, 12, 14)
	s.forget(1, 12)
	check("forget", 1, 12, 14)
	keep(1, 5) // late
	s.forget(1, 13)
	check("forget after a late one", 1, 14)
	keep(2, 0, 1, 90)
	check("next epoch", 1, 14)
	s.forget(2, 1)
	check("forget in the next epoch", 1)
	check("forget in the next epoch", 2, 1, 90)
	s.forget(2, 91)
	if len(s.kept) != 0 {
		t.Errorf("%d chunks are left", len(s.kept))
	}
}
