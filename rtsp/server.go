// Package rtsp serves RTSP 1.0 (RFC 2326) to players and publishers, and brings in the streams of cameras.
//
// A connection (conn) reads messages and serves requests one after another; a session lives beside it, since it may go
// on over another connection. What is sent to players is the business of package delivery.
//
//	client ─► conn ─► request ─► session ─► delivery.Player ─► client         (a player)
//	client ─► conn, UDP socket ─► session ─► media.Publisher                  (a publisher)
package rtsp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"peergate/conf"
	"peergate/media"
	"peergate/rtsp/auth"
	"peergate/rtsp/delivery"
)

const (
	// sweepEvery is how often sessions and connections are looked at: timeouts are of whole seconds.
	sweepEvery = time.Second
	// partingTime is what players and publishers are given to take what was sent to them when the server ends.
	partingTime = time.Second
)

// Server serves RTSP: players read the hub's streams, encoders publish theirs.
type Server struct {
	set        atomic.Pointer[settings]
	hub        *media.Hub
	log        *slog.Logger
	sender     *delivery.Sender
	ready      chan struct{} // closed when it listens
	data       string        // folder of the self-signed certificate
	over       chan *session // whose player has ended by itself; when full, the sweep finds them within a second
	complaints *complaints
	ports      *ports
	versions   *versions

	mu        sync.Mutex // guards the fields below
	users     *auth.Users
	addr      net.Addr
	secure    net.Addr // where it listens with TLS; nil when it does not
	sockets   sockets
	groups    *groups
	conns     map[*conn]struct{}
	lastConn  uint64
	addresses map[netip.Addr]usage
	sessions  map[string]*session
	tunnels   map[tunnelKey]*tunnel
	passes    map[string]*pass // by their secrets
	past      traffic          // of sessions that have ended
	closing   bool             // no connection is taken any more
}

// settings are what can change while the server runs, but for what it listens on.
type settings struct {
	conf.RTSP
	names *names
}

// New returns a server that does nothing until Run. The configuration's RTSP section is its own; streams and peers tell
// which names are not for publishers. The folder is where a self-signed certificate is kept.
func New(c conf.Config, data string, users *auth.Users, hub *media.Hub, log *slog.Logger) *Server {
	log = log.With("part", "rtsp")
	s := &Server{
		hub: hub, log: log, users: users, data: data, ready: make(chan struct{}), over: make(chan *session, 64),
		sender:     delivery.New(delivery.Options{WriteTimeout: c.RTSP.WriteTimeout, StartMaxAge: c.RTSP.StartMaxAge}, log),
		complaints: newComplaints(log), ports: newPorts(), versions: newVersions(),
		conns: make(map[*conn]struct{}), addresses: make(map[netip.Addr]usage),
		sessions: make(map[string]*session), tunnels: make(map[tunnelKey]*tunnel), passes: make(map[string]*pass),
	}
	s.Reconfigure(c)
	return s
}

// Reconfigure takes over limits, timeouts, redirects and the names of peers. Connections and sessions that exist stay;
// what the server listens on it keeps until it is made anew.
func (s *Server) Reconfigure(c conf.Config) {
	s.set.Store(&settings{c.RTSP, newNames(c)})
	s.sender.Reconfigure(delivery.Options{WriteTimeout: c.RTSP.WriteTimeout, StartMaxAge: c.RTSP.StartMaxAge})
}

// settings returns those in force.
func (s *Server) settings() *settings { return s.set.Load() }

// Admit replaces the users. Sessions that exist stay.
func (s *Server) Admit(users *auth.Users) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = users
}

// Ready is closed when the server listens.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr returns where the server listens for RTSP, or nil before it does.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// SecureAddr returns where the server listens with TLS, or nil.
func (s *Server) SecureAddr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secure
}

// Run serves until ctx ends; then players get their RTCP BYE, and it returns nil.
func (s *Server) Run(ctx context.Context) error {
	var lc net.ListenConfig
	cfg := s.settings()
	plain, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("rtsp: %w", err)
	}
	defer plain.Close()
	sk, err := openSockets(plain.Addr().(*net.TCPAddr), cfg.UDPPorts)
	if err != nil {
		return err
	}
	defer sk.close()
	gs, err := openGroups(cfg.Multicast, s.sender, s.log)
	if err != nil {
		return err
	}
	defer gs.close()
	secure, err := s.listenTLS(ctx)
	if err != nil {
		return err
	}
	defer secure.close()
	s.open(plain.Addr(), secure, sk, gs)

	g, ctx := errgroup.WithContext(ctx)
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	sent := make(chan struct{})
	g.Go(func() error {
		defer close(sent)
		return s.sender.Run(sending)
	})
	g.Go(func() error { return s.accept(ctx, g, plain, nil) })
	if secure != nil {
		g.Go(func() error { return s.accept(ctx, g, secure.listener, secure) })
		g.Go(func() error { return secure.watch(ctx) })
	}
	for _, p := range sk {
		g.Go(func() error { s.receive(p.rtp, false); return nil })
		g.Go(func() error { s.receive(p.rtcp, true); return nil })
	}
	for _, c := range gs.listeners() {
		g.Go(func() error { gs.hear(c); return nil })
	}
	g.Go(func() error { s.sweep(ctx); return nil })
	g.Go(func() error {
		<-ctx.Done()
		plain.Close()
		secure.close()
		s.part()
		s.flush()
		stop()
		<-sent
		s.hangUp() // what still receives ends with its socket
		sk.close()
		gs.close()
		return nil
	})
	return g.Wait()
}

func (s *Server) open(addr net.Addr, secure *secureListener, sk sockets, gs *groups) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addr, s.sockets, s.groups = addr, sk, gs
	if secure != nil {
		s.secure = secure.listener.Addr()
	}
	close(s.ready)
	s.log.Info("listening", "remote", addr.String())
}

// accept takes connections until the listener is closed.
func (s *Server) accept(ctx context.Context, g *errgroup.Group, l net.Listener, secure *secureListener) error {
	for {
		nc, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil: // out of file descriptors, most likely
			s.log.Warn("connection not taken", "err", err)
			select {
			case <-time.After(sweepEvery):
			case <-ctx.Done():
				return nil
			}
			continue
		}
		c, err := s.admit(nc)
		if err != nil {
			s.complaints.about(addrPort(nc.RemoteAddr()), "", "connection refused", err)
			nc.Close()
			continue
		}
		g.Go(func() error {
			defer s.dismiss(c)
			c.begin(ctx, secure)
			return nil
		})
	}
}

// sweep ends what nobody uses any more, and does what is due from time to time.
func (s *Server) sweep(ctx context.Context) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			for _, ses := range s.allSessions() {
				ses.tick(now)
			}
			for _, c := range s.allConns() {
				c.tick(now)
			}
			s.complaints.tick(now)
		case ses := <-s.over:
			ses.tick(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// part says good-bye to all sessions.
func (s *Server) part() {
	for _, ses := range s.allSessions() {
		ses.end(errServerEnds)
	}
}

// flush gives clients the time to take what was sent to them.
func (s *Server) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), partingTime)
	defer cancel()
	for _, c := range s.allConns() {
		_ = c.flush(ctx) // it ends in any case
	}
}

// hangUp closes all connections and lets no more in.
func (s *Server) hangUp() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	for _, c := range s.allConns() {
		c.close()
	}
}

func (s *Server) allSessions() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*session, 0, len(s.sessions))
	for _, ses := range s.sessions {
		all = append(all, ses)
	}
	return all
}

func (s *Server) allConns() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	return all
}

// session returns the session of an ID, or nil.
func (s *Server) session(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}
