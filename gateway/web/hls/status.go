package hls

import (
	"cmp"
	"slices"
	"time"

	"peergate/media"
)

// Status is what the server does.
type Status struct {
	Players int // that have asked within the last seconds
	Bytes   uint64
	Streams []StreamStatus // by name
}

// StreamStatus is a stream of which segments are made.
type StreamStatus struct {
	Name    media.Name
	Source  media.Name // the stream or the rendition that they are made of
	Since   time.Time
	Players int
	Bytes   uint64 // given out
}

// Status returns what the server does now.
func (s *Server) Status() Status {
	s.mu.Lock()
	st := Status{Bytes: s.past}
	muxers := make([]*muxer, 0, len(s.muxers))
	for _, m := range s.muxers {
		muxers = append(muxers, m)
	}
	s.mu.Unlock()
	now := time.Now()
	for _, m := range muxers {
		n := StreamStatus{Name: m.name, Source: m.st.Name(), Since: m.since, Players: m.watchers.count(now), Bytes: m.bytes.Load()}
		st.Players += n.Players
		st.Bytes += n.Bytes
		st.Streams = append(st.Streams, n)
	}
	slices.SortFunc(st.Streams, func(a, b StreamStatus) int { return cmp.Compare(a.Name, b.Name) })
	return st
}
