// Package webrtc gives streams to browsers over WebRTC by WHEP (draft-ietf-wish-whep) and takes streams from them by WHIP
// (RFC 9725).
//
//	POST NAME/whep          an SDP offer; the answer is in the body of 201, and where the session is in Location
//	PATCH NAME/whep/ID      further candidates of the client (RFC 8840)
//	DELETE NAME/whep/ID     the end
//
// All media pass one UDP port and, where that does not reach, one TCP port. Pictures of H.264 and H.265 are cut into packets
// anew, since those of RTSP may be too large; all else passes as it is. A player begins with a key picture. Where the
// browser could not play the stream, because of B-frames or AAC, it gets a rendition.
package webrtc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
	"golang.org/x/sync/errgroup"

	"peergate/conf"
	"peergate/media"
)

const (
	// listenAgain is the time between two attempts to get a port that another program has.
	listenAgain = 5 * time.Second
	// openTimeout is how long a player waits for a stream that has to be fetched first.
	openTimeout = 10 * time.Second
	// connectTimeout is how long a session may take from its offer to its connection.
	connectTimeout = 20 * time.Second
	// tcpQueue is how many packets that came over TCP may wait to be read.
	tcpQueue = 64
	// MaxOffer bounds an offer in bytes; those of browsers have 3 to 10 kB.
	MaxOffer = 64 << 10
)

var (
	// ErrBusy means that there are as many sessions as may be, or that the ports are not open yet.
	ErrBusy = errors.New("no session can be had now")
	// ErrOffer means that an offer or a candidate is not understood.
	ErrOffer = errors.New("not understood")
)

// Server has the sessions of players and publishers.
type Server struct {
	cfg   conf.WebRTC
	grace time.Duration // how long players wait for a publisher to return
	hub   *media.Hub
	log   *slog.Logger
	jobs  chan func(context.Context) // from requests to Run

	mu       sync.Mutex            // guards the fields below
	settings *webrtc.SettingEngine // nil while the ports are not open
	sessions map[string]*session   // by their secret IDs
	taken    int                   // sessions that are being made
	past     uint64                // bytes sent to players in sessions that have ended
}

// New returns a server that answers only while Run does. Players of a publisher wait for the grace when it is lost.
func New(c conf.WebRTC, grace time.Duration, hub *media.Hub, log *slog.Logger) *Server {
	return &Server{
		cfg: c, grace: grace, hub: hub, log: log.With("part", "webrtc"), jobs: make(chan func(context.Context)), sessions: make(map[string]*session),
	}
}

// Run serves until ctx ends; then all sessions end.
func (s *Server) Run(ctx context.Context) error {
	closers, err := s.open(ctx)
	if err != nil {
		return nil // ctx has ended
	}
	defer func() {
		for _, c := range closers {
			c()
		}
	}()
	g, ctx := errgroup.WithContext(ctx)
	for {
		select {
		case work := <-s.jobs:
			g.Go(func() error {
				work(ctx)
				return nil // a lost session is not the server's failure
			})
		case <-ctx.Done():
			return g.Wait()
		}
	}
}

// open opens the ports, as soon as they are free. An error means that ctx has ended.
func (s *Server) open(ctx context.Context) (closers []func(), err error) {
	for {
		settings, closers, err := s.listen(ctx)
		if err == nil {
			s.mu.Lock()
			s.settings = settings
			s.mu.Unlock()
			s.log.Info("listening", "remote", s.cfg.UDP+" "+s.cfg.TCP)
			return closers, nil
		}
		for _, c := range closers {
			c()
		}
		s.log.Warn("no WebRTC yet: free the port or change webrtc.udp and webrtc.tcp", "err", err, "redial", listenAgain)
		select {
		case <-time.After(listenAgain):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// listen opens the ports of the media.
func (s *Server) listen(ctx context.Context) (e *webrtc.SettingEngine, closers []func(), err error) {
	e = new(webrtc.SettingEngine)
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.SetIncludeLoopbackCandidate(true) // a browser on this machine
	e.DisableActiveTCP(true)
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6})
	if len(s.cfg.Addresses) > 0 {
		err := e.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{
			External: s.cfg.Addresses, AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteAppend,
		})
		if err != nil {
			return nil, nil, fmt.Errorf("webrtc.addresses: %w", err)
		}
	}
	if s.cfg.UDP != "" {
		mux, err := udpMux(ctx, s.cfg.UDP)
		if err != nil {
			return nil, closers, fmt.Errorf("webrtc.udp: %w", err)
		}
		closers = append(closers, func() { mux.Close() })
		e.SetICEUDPMux(mux)
	}
	if s.cfg.TCP != "" {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", s.cfg.TCP)
		if err != nil {
			return nil, closers, fmt.Errorf("webrtc.tcp: %w", err)
		}
		mux := webrtc.NewICETCPMux(nil, l, tcpQueue)
		closers = append(closers, func() { mux.Close() })
		e.SetICETCPMux(mux)
	}
	return e, closers, nil
}

// udpMux opens a UDP port; without a host, at all addresses of the machine.
func udpMux(ctx context.Context, address string) (ice.UDPMux, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if host == "" {
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, err
		}
		return ice.NewMultiUDPMuxFromPort(n, ice.UDPMuxFromPortWithLoopback(), ice.UDPMuxFromPortWithNetworks(ice.NetworkTypeUDP4, ice.NetworkTypeUDP6))
	}
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	return webrtc.NewICEUDPMux(nil, c), nil
}

// reserve takes the place of a session, until it is released, and returns how to make its connection.
func (s *Server) reserve() (e webrtc.SettingEngine, release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.settings == nil:
		return e, nil, fmt.Errorf("%w: its ports are not open yet", ErrBusy)
	case s.taken >= s.cfg.MaxSessions:
		return e, nil, fmt.Errorf("%w: there are as many as webrtc.max_sessions allows", ErrBusy)
	}
	s.taken++
	return *s.settings, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taken--
	}), nil
}

// begin gives a session its ID and lets it work.
func (s *Server) begin(ctx context.Context, ses *session) error {
	ses.id = rand.Text()
	s.mu.Lock()
	s.sessions[ses.id] = ses
	s.mu.Unlock()
	select {
	case s.jobs <- ses.work:
		return nil
	case <-ctx.Done():
		s.leave(ses)
		return ctx.Err()
	}
}

func (s *Server) leave(ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.sessions[ses.id]; ok {
		delete(s.sessions, ses.id)
		if !ses.publisher {
			s.past += ses.bytes.Load()
		}
	}
}

// find returns the session of an ID.
func (s *Server) find(id string) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ses := s.sessions[id]
	if ses == nil {
		return nil, fmt.Errorf("there is no such session: %w", media.ErrNotFound)
	}
	return ses, nil
}

// End ends a session.
func (s *Server) End(id string) error {
	ses, err := s.find(id)
	if err != nil {
		return err
	}
	ses.end(errParted)
	return nil
}
