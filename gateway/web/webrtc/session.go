package webrtc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"

	"peergate/media"
)

var (
	errParted  = errors.New("it has said goodbye")
	errLost    = errors.New("the connection is lost")
	errTimeout = errors.New("no connection came about: media must reach webrtc.udp or webrtc.tcp")
)

// session is a player or a publisher.
type session struct {
	srv       *Server
	id        string // a secret
	name      media.Name
	user      string
	remote    string
	since     time.Time
	publisher bool
	pc        *webrtc.PeerConnection
	connected chan struct{}  // closed when media can flow
	over      chan struct{}  // closed when the session is to end
	why       error          // set before over is closed
	once      sync.Once      // of over
	release   func()         // its place
	readers   sync.WaitGroup // which end when the connection is closed
	bytes     atomic.Uint64  // sent to a player, received of a publisher
	run       func(ctx context.Context, ses *session) error
}

// Client is who offers a session.
type Client struct {
	Name   media.Name // of the stream
	User   string
	Remote string // address
	Offer  string // SDP
}

// feature lets the library take part in the exchange of reports.
type feature func(*webrtc.MediaEngine, *interceptor.Registry) error

// connect makes the connection of a session with codecs and features of its own.
func (s *Server) connect(c Client, codecs *webrtc.MediaEngine, features ...feature) (*session, error) {
	settings, release, err := s.reserve()
	if err != nil {
		return nil, err
	}
	var registry interceptor.Registry
	for _, f := range features {
		if err := f(codecs, &registry); err != nil {
			release()
			return nil, err
		}
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(codecs), webrtc.WithSettingEngine(settings), webrtc.WithInterceptorRegistry(&registry))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		release()
		return nil, err
	}
	ses := &session{
		srv: s, name: c.Name, user: c.User, remote: c.Remote, since: time.Now(), pc: pc, release: release,
		connected: make(chan struct{}), over: make(chan struct{}),
	}
	var first sync.Once
	pc.OnConnectionStateChange(func(st webrtc.PeerConnectionState) {
		switch st {
		case webrtc.PeerConnectionStateConnected:
			first.Do(func() { close(ses.connected) })
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			ses.end(errLost)
		}
	})
	return ses, nil
}

// answer settles the codecs and the ways; the answer has all of this side's candidates.
func (ses *session) answer(ctx context.Context) (string, error) {
	a, err := ses.pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrOffer, err)
	}
	gathered := webrtc.GatheringCompletePromise(ses.pc)
	if err := ses.pc.SetLocalDescription(a); err != nil {
		return "", fmt.Errorf("%w: %w", ErrOffer, err)
	}
	select {
	case <-gathered:
		return ses.pc.LocalDescription().SDP, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// end lets the session end.
func (ses *session) end(why error) {
	ses.once.Do(func() {
		ses.why = why
		close(ses.over)
	})
}

// close lets go of what an unused session holds.
func (ses *session) close() {
	ses.end(errParted)
	_ = ses.pc.GracefulClose() // nothing is left to save
	ses.readers.Wait()
	ses.release()
}

// work lets the session's media flow until it ends or ctx does.
func (ses *session) work(ctx context.Context) {
	log := ses.srv.log.With("remote", ses.remote, "stream", ses.name)
	defer ses.srv.leave(ses)
	defer ses.close()
	timer := time.NewTimer(connectTimeout)
	defer timer.Stop()
	select {
	case <-ses.connected:
	case <-timer.C:
		log.Warn("session did not begin", "err", errTimeout)
		return
	case <-ses.over:
		log.Info("session did not begin", "err", ses.why)
		return
	case <-ctx.Done():
		return
	}
	log.Info("session began")
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-ses.over:
			cancel(ses.why)
		case <-ctx.Done():
		}
	})
	err := ses.run(ctx, ses)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	cancel(err)
	watching.Wait()
	log.Info("session ended", "err", err)
}

// Trickle takes further candidates of a client from a fragment of SDP (RFC 8840 §9).
func (s *Server) Trickle(id, fragment string) error {
	ses, err := s.find(id)
	if err != nil {
		return err
	}
	mid := ""
	for l := range strings.Lines(fragment) {
		l = strings.TrimSpace(l)
		if v, ok := strings.CutPrefix(l, "a=mid:"); ok {
			mid = v
		}
		c, ok := strings.CutPrefix(l, "a=candidate:")
		if !ok {
			continue
		}
		m := mid
		if err := ses.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: "candidate:" + c, SDPMid: &m}); err != nil {
			return fmt.Errorf("candidate: %w: %w", ErrOffer, err)
		}
	}
	return nil
}
