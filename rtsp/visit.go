package rtsp

import (
	"context"
	"net/netip"

	"peergate/media"
	"peergate/rtsp/auth"
)

// Admits decides by the server's rules about somebody who comes by another protocol, with credentials of scheme Basic or
// none: users, and names that are other gateways'.
func (s *Server) Admits(ctx context.Context, action auth.Action, name media.Name, from netip.Addr, authorization string) auth.Decision {
	s.mu.Lock()
	users := s.users
	s.mu.Unlock()
	from = from.Unmap()
	d := users.Allow(ctx, auth.Request{Action: action, Name: string(name), Addr: from, Authorization: authorization})
	if d.Verdict != auth.OK {
		return d
	}
	names := s.settings().names
	switch {
	case action == auth.Publish && names.foreign(name):
		return auth.Decision{Verdict: auth.Forbidden, Reason: string(name) + " is the name of another gateway's stream"}
	case !names.admits(name, from, d.User):
		return auth.Decision{Verdict: auth.Forbidden, Reason: "streams of gateways that are no peers are for this host and for users"}
	}
	return d
}
