package rtsp

import (
	"slices"
	"time"

	"peergate/media"
	"peergate/rtsp/delivery"
)

// Status tells what the server does.
type Status struct {
	Players, Publishers, Connections int
	BytesIn, BytesOut                uint64 // of RTP and RTCP, since the server began
	Sessions                         []SessionStatus
}

// SessionStatus tells about a session.
type SessionStatus struct {
	ID, Stream, Remote, User string
	Since                    time.Time
	Publisher                bool
	Transport                string         // "udp", "tcp" or "multicast"
	Bytes                    uint64         // received from a publisher
	Sent                     delivery.Stats // to a player
}

// traffic counts bytes of RTP and RTCP.
type traffic struct{ in, out uint64 }

func (t *traffic) add(o traffic) {
	t.in += o.in
	t.out += o.out
}

// Status returns what the server does now, the sessions by their age.
func (s *Server) Status() Status {
	all := s.allSessions()
	s.mu.Lock()
	sum, conns := s.past, len(s.conns)
	s.mu.Unlock()
	st := Status{Connections: conns}
	for _, ses := range all {
		ss := ses.status()
		if ss.Publisher {
			st.Publishers++
		} else {
			st.Players++
		}
		sum.add(traffic{ss.Bytes, ss.Sent.Bytes})
		st.Sessions = append(st.Sessions, ss)
	}
	st.BytesIn, st.BytesOut = sum.in, sum.out
	slices.SortFunc(st.Sessions, func(a, b SessionStatus) int { return a.Since.Compare(b.Since) })
	return st
}

// Players returns how many players have a session for a stream.
func (s *Server) Players(name media.Name) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ses := range s.sessions {
		if ses.name == name && ses.announce == nil {
			n++
		}
	}
	return n
}

func (ses *session) status() SessionStatus {
	ss := SessionStatus{
		ID: ses.id, Stream: string(ses.name), Remote: ses.remote.Addr().String(), User: ses.user, Since: ses.created,
		Publisher: ses.announce != nil, Bytes: ses.bytes.Load(),
	}
	ses.mu.Lock()
	player := ses.player
	if len(ses.legs) > 0 {
		ss.Transport = ses.legs[0].kind()
	}
	ses.mu.Unlock()
	if player != nil {
		ss.Sent = player.Stats()
	}
	return ss
}

// kind names the way of a leg's packets.
func (l *leg) kind() string {
	switch {
	case l.group != nil:
		return "multicast"
	case l.conn != nil:
		return "tcp"
	}
	return "udp"
}
