package overlay

import (
	"time"

	"peergate/overlay/chunk"
)

// held is a chunk that is kept.
type held struct {
	frame   frame
	chunk   *chunk.Chunk
	arrived time.Time
}

// spot is where a chunk belongs.
type spot struct{ epoch, seq uint64 }

// store keeps chunks as the machine says. It is for one goroutine.
type store struct {
	kept  map[spot]held
	epoch uint64 // the greatest
	below uint64 // all of the epoch below are forgotten
	mixed bool   // there may be chunks of earlier epochs
}

func (s *store) init() { s.kept = make(map[spot]held) }

func (s *store) keep(h held) {
	if h.chunk.Epoch > s.epoch {
		s.mixed = len(s.kept) > 0
		s.epoch, s.below = h.chunk.Epoch, h.chunk.Seq
	}
	s.mixed = s.mixed || h.chunk.Epoch < s.epoch
	s.below = min(s.below, h.chunk.Seq)
	s.kept[spot{h.chunk.Epoch, h.chunk.Seq}] = h
}

func (s *store) get(epoch, seq uint64) (held, bool) {
	h, ok := s.kept[spot{epoch, seq}]
	return h, ok
}

// forget drops the chunks of an epoch below a sequence number, and all of earlier epochs.
func (s *store) forget(epoch, below uint64) {
	if epoch == s.epoch && !s.mixed && below >= s.below && below-s.below <= uint64(len(s.kept)) { // the usual case
		for seq := s.below; seq < below; seq++ {
			delete(s.kept, spot{epoch, seq})
		}
		s.below = below
		return
	}
	for at := range s.kept {
		if at.epoch < epoch || at.epoch == epoch && at.seq < below {
			delete(s.kept, at)
		}
	}
	if epoch == s.epoch {
		s.below, s.mixed = max(s.below, below), false
	}
}
