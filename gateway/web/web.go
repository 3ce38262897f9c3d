// Package web is everything a gateway says over HTTP: its status for people and programs, and metrics for Prometheus.
//
//	GET /api/v1/status   a Status as JSON
//	GET /api/v1/ledger/report?by=peer|channel|day&from=&to=   who carried what, a list of Sum
//	GET /api/v1/ledger/disputes?from=&to=                     what was refused, a list of Dispute
//	GET /api/v1/ledger/statement?peer=&from=&to=              a Statement; with owner= this gateway's own of there
//	GET /api/v1/ledger/verify                                 Verified, or an error that says what is wrong
//	GET /metrics         the same as numbers, in Prometheus's text format
//
//	GET    /api/v1/tickets           the tickets that were issued, as a list of Ticket
//	POST   /api/v1/tickets           issues one: a TicketOrder, answered by an IssuedTicket
//	DELETE /api/v1/tickets/{serial}  revokes one
//
//	GET    /api/v1/share?stream=NAME  how a stream is shared, as a Share
//	GET    /api/v1/links              the links of others' streams, as a list of Link
//	POST   /api/v1/links              takes one: a Link, answered by one
//	DELETE /api/v1/links/{path}       forgets one, by the path that plays it
//
// Programs of the same user on the same machine have both at the Unix socket of the data folder. Where the configuration
// sets api.listen, they are also had over TCP by those who send the token of the data folder, as
// "Authorization: Bearer TOKEN".
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"peergate/conf"
)

const (
	// socketFile is the name of the socket in the data folder.
	socketFile = "gateway.sock"
	// maxSocket is the longest path of a socket that all systems take: sun_path has 104 bytes on BSD and macOS, 108 on Linux.
	maxSocket = 103
	// headerTimeout is how long a request may take to come.
	headerTimeout = 10 * time.Second
	// answerTimeout is how long a client may take to read an answer, which is at most some hundred KB.
	answerTimeout = 30 * time.Second
	// partingTime is how long answers that are on their way may take when the server ends.
	partingTime = time.Second
	// dialTimeout bounds finding out whether somebody listens on a socket of this machine.
	dialTimeout = time.Second
	// maxHeader bounds a request's header in bytes.
	maxHeader = 16 << 10
)

// Gateway is what the server tells of.
type Gateway interface {
	// Status returns what the gateway does now. It is called concurrently.
	Status() Status
	Tickets
	Books
	Links
	Sharing
	Gauges
	Directories
}

// Server answers over HTTP.
type Server struct {
	cfg    conf.API
	folder string
	g      Gateway
	log    *slog.Logger
	ready  chan struct{} // closed when all addresses are listened at
	addr   net.Addr      // of TCP; set before ready is closed
}

// New returns a server that does nothing until Run. The socket and the token are in the data folder.
func New(c conf.API, folder string, g Gateway, log *slog.Logger) *Server {
	return &Server{cfg: c, folder: folder, g: g, log: log.With("part", "web"), ready: make(chan struct{})}
}

// Ready is closed when the server listens.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr returns where the server listens for TCP, or nil. It must be called after Ready.
func (s *Server) Addr() net.Addr { return s.addr }

// Run serves until ctx ends and then returns nil; an error means that it could not listen.
func (s *Server) Run(ctx context.Context) error {
	handler := newHandler(s.g)
	servers := make(map[net.Listener]http.Handler)
	if path := filepath.Join(s.folder, socketFile); len(path) > maxSocket {
		s.log.Warn("no socket for gateway status: the path of the data folder is too long", "file", path)
	} else {
		local, err := listenSocket(path)
		if err != nil {
			return err
		}
		defer local.Close() // which removes the file
		servers[local] = handler
	}
	if s.cfg.Listen != "" {
		token, err := loadToken(s.folder)
		if err != nil {
			return err
		}
		var lc net.ListenConfig
		remote, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
		if err != nil {
			return fmt.Errorf("api.listen: %w", err)
		}
		defer remote.Close()
		s.addr = remote.Addr()
		servers[remote] = demand(token, handler)
		s.log.Info("listening", "remote", s.addr.String())
	}
	close(s.ready)
	g, ctx := errgroup.WithContext(ctx)
	for l, h := range servers {
		g.Go(func() error { return s.serve(ctx, l, h) })
	}
	return g.Wait()
}

// serve answers at one address until ctx ends.
func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: answerTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingTime)
		defer cancel()
		if srv.Shutdown(late) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(l)
	if !stop() { // it was ctx
		<-ended
		return nil
	}
	return fmt.Errorf("api: %w", err)
}

// listenSocket listens at a Unix socket that its user alone can connect to. One that a killed gateway left is replaced;
// one at which somebody answers is another gateway with the same data folder, and so with the same key.
func listenSocket(path string) (net.Listener, error) {
	c, err := net.DialTimeout("unix", path, dialTimeout)
	if err == nil {
		c.Close()
		return nil, fmt.Errorf("another gateway runs with the data folder %s: end it, or set another one (data)", filepath.Dir(path))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the socket of a gateway that was killed: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for \"gateway status\" in the data folder: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("keep others from the socket: %w", err)
	}
	return l, nil
}
