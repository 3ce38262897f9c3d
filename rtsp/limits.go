package rtsp

import (
	"errors"
	"net"
	"net/netip"
)

var (
	errServerEnds     = errors.New("the server ends")
	errTooMany        = errors.New("rtsp.max_connections are open")
	errSlow           = errors.New("a message was not ended within rtsp.header_timeout")
	errNoPost         = errors.New("the tunnel's POST has not come within rtsp.header_timeout")
	errTooManyAddress = errors.New("rtsp.max_per_address connections of this address are open")
)

// admit takes a connection into the table unless there are too many.
func (s *Server) admit(nc net.Conn) (*conn, error) {
	remote, local := addrPort(nc.RemoteAddr()), addrPort(nc.LocalAddr())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, errServerEnds
	}
	if len(s.conns) >= s.settings().MaxConnections {
		return nil, errTooMany
	}
	if s.addresses[remote.Addr()].conns >= s.settings().MaxPerAddress {
		return nil, errTooManyAddress
	}
	s.lastConn++
	c := newConn(s, s.lastConn, nc, remote, local)
	s.conns[c] = struct{}{}
	s.count(remote.Addr(), usage{conns: 1})
	return c, nil
}

// usage is what a client's address has of the server.
type usage struct{ conns, sessions int }

// count adds to the usage of an address. The lock is held.
func (s *Server) count(a netip.Addr, more usage) {
	n := s.addresses[a]
	n.conns += more.conns
	n.sessions += more.sessions
	if n == (usage{}) {
		delete(s.addresses, a)
		return
	}
	s.addresses[a] = n
}

// dismiss takes a connection that has ended out of the table.
func (s *Server) dismiss(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.count(c.remote.Addr(), usage{conns: -1})
}

// enter takes a session into the table unless its address has too many.
func (s *Server) enter(ses *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := ses.remote.Addr()
	if s.addresses[a].sessions >= s.settings().MaxSessions {
		r := refuse(503, "rtsp.max_sessions sessions of this address exist")
		r.header.Add("Retry-After", "10")
		return r
	}
	s.sessions[ses.id] = ses
	s.count(a, usage{sessions: 1})
	return nil
}

// leave takes a session out of the table and keeps its counts.
func (s *Server) leave(ses *session, t traffic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[ses.id] == ses {
		delete(s.sessions, ses.id)
		s.count(ses.remote.Addr(), usage{sessions: -1})
	}
	s.past.add(t)
}

// addrPort returns the address of a TCP or UDP connection; an IPv4 address is always one of 4 bytes.
func addrPort(a net.Addr) netip.AddrPort {
	if a, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		return plain(a.AddrPort())
	}
	return netip.AddrPort{}
}

func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
