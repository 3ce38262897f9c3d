package webrtc

import (
	"slices"
	"time"

	"peergate/media"
)

// Status is what the server does.
type Status struct {
	BytesOut uint64          // sent to players, with that of ended sessions
	Sessions []SessionStatus // the oldest first
}

// SessionStatus is a player or a publisher.
type SessionStatus struct {
	Stream    media.Name
	Publisher bool
	Remote    string
	User      string
	Since     time.Time
	Bytes     uint64 // received of a publisher, sent to a player
}

// Status returns what the server does now.
func (s *Server) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{BytesOut: s.past}
	for _, ses := range s.sessions {
		n := SessionStatus{Stream: ses.name, Publisher: ses.publisher, Remote: ses.remote, User: ses.user, Since: ses.since, Bytes: ses.bytes.Load()}
		if !n.Publisher {
			st.BytesOut += n.Bytes
		}
		st.Sessions = append(st.Sessions, n)
	}
	slices.SortFunc(st.Sessions, func(a, b SessionStatus) int { return a.Since.Compare(b.Since) })
	return st
}
