package rtsp

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"peergate/media"
	"peergate/rtsp/auth"
)

// passQuery precedes the secret of a pass in a URL.
const passQuery = "pass="

// passUser is who holds a pass, in the log and in the status.
const passUser = "this gateway"

// pass lets one connection of this host do one thing with one stream, whatever users may: it is for programs that the
// gateway itself starts. Its secret is good no more once a connection has used it.
type pass struct {
	action  auth.Action
	name    media.Name
	publish func([]media.Track) (*media.Publisher, error) // takes the place of the hub's
	conn    uint64                                        // that uses it; 0: none yet. Guarded by Server.mu
}

// ReadPass returns a URL by which one connection of this host may read a stream, until revoke is called. It waits until
// the server listens.
func (s *Server) ReadPass(ctx context.Context, name media.Name) (address string, revoke func(), err error) {
	return s.issue(ctx, &pass{action: auth.Read, name: name})
}

// PublishPass returns a URL by which one connection of this host may publish a stream, also one of another gateway's
// name, until revoke is called. What it announces is given to publish.
func (s *Server) PublishPass(ctx context.Context, name media.Name, publish func([]media.Track) (*media.Publisher, error)) (address string, revoke func(), err error) {
	return s.issue(ctx, &pass{action: auth.Publish, name: name, publish: publish})
}

func (s *Server) issue(ctx context.Context, p *pass) (address string, revoke func(), err error) {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
	at, ok := s.Addr().(*net.TCPAddr)
	if !ok {
		return "", nil, errors.New("rtsp: does not listen at a TCP address")
	}
	local := at.AddrPort()
	if local.Addr().IsUnspecified() {
		local = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), local.Port())
	}
	secret := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passes[secret] = p
	u := url.URL{Scheme: "rtsp", Host: local.String(), Path: "/" + string(p.name), RawQuery: passQuery + secret}
	return u.String(), func() { s.revoke(secret) }, nil
}

func (s *Server) revoke(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.passes, secret)
}

// pass returns that of a request, or nil. The first connection to show it is the one it is good for.
func (q *request) pass(action auth.Action, name media.Name) *pass {
	secret, ok := strings.CutPrefix(q.url.Query, passQuery)
	from := q.conn.remote.Addr().Unmap()
	if !ok || !from.IsLoopback() && from != q.conn.local.Addr().Unmap() {
		return nil
	}
	s := q.conn.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.passes[secret]
	if p == nil || p.action != action || p.name != name || p.conn != 0 && p.conn != q.conn.id {
		return nil
	}
	p.conn = q.conn.id
	return p
}
