package web

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"peergate/conf"
	"peergate/gateway/web/hls"
	"peergate/gateway/web/webrtc"
	"peergate/media"
)

const (
	// listenAgain is the time between two attempts to get a port that another program has.
	listenAgain = 5 * time.Second
	// idleTimeout is how long a connection may be silent between two requests of a player, which come once a segment.
	idleTimeout = time.Minute
)

// Front is what players meet over HTTP.
type Front struct {
	cfg    conf.Config
	guard  Guard
	hls    *hls.Server    // nil when it is off
	webrtc *webrtc.Server // likewise
	log    *slog.Logger
}

// NewFront returns a front that does nothing until Run.
func NewFront(c conf.Config, guard Guard, hub *media.Hub, log *slog.Logger) *Front {
	f := &Front{cfg: c, guard: guard, log: log.With("part", "web")}
	if c.HLS.Listen != "" {
		f.hls = hls.New(c.HLS, c.Transcode.Profiles, hub, log)
	}
	if c.WebRTC.Listen != "" {
		f.webrtc = webrtc.New(c.WebRTC, c.RTSP.PublisherGrace, hub, log)
	}
	return f
}

// Run serves until ctx ends and then returns nil. A port that another program has does not end it: it is tried again.
func (f *Front) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if f.hls != nil {
		g.Go(func() error { return f.hls.Run(ctx) })
		g.Go(func() error { return f.at(ctx, "hls.listen", f.cfg.HLS.Listen) })
	}
	if f.webrtc != nil {
		g.Go(func() error { return f.webrtc.Run(ctx) })
		g.Go(func() error { return f.at(ctx, "webrtc.listen", f.cfg.WebRTC.Listen) })
	}
	return g.Wait()
}

// HLS tells what players of HLS do.
func (f *Front) HLS() hls.Status {
	if f.hls == nil {
		return hls.Status{}
	}
	return f.hls.Status()
}

// WebRTC tells what players and publishers over WebRTC do.
func (f *Front) WebRTC() webrtc.Status {
	if f.webrtc == nil {
		return webrtc.Status{}
	}
	return f.webrtc.Status()
}

// at serves at an address, which the setting names, as soon as it is free.
func (f *Front) at(ctx context.Context, setting, address string) error {
	var lc net.ListenConfig
	for {
		l, err := lc.Listen(ctx, "tcp", address)
		if err == nil {
			return f.serve(ctx, setting, &limited{Listener: l, taken: make(map[string]int)})
		}
		if ctx.Err() != nil {
			return nil
		}
		f.log.Warn("not listening, the rest of the gateway works: free the port or change the setting",
			"setting", setting, "remote", address, "err", err, "redial", listenAgain)
		select {
		case <-time.After(listenAgain):
		case <-ctx.Done():
			return nil
		}
	}
}

// serve answers at one address until ctx ends; then requests that wait are ended, too.
func (f *Front) serve(ctx context.Context, setting string, l net.Listener) error {
	f.log.Info("listening", "setting", setting, "remote", l.Addr().String())
	srv := &http.Server{
		Handler: f, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(f.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	var ending sync.WaitGroup
	defer ending.Wait()
	ending.Add(1)
	stop := context.AfterFunc(ctx, func() {
		defer ending.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingTime)
		defer cancel()
		if srv.Shutdown(late) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(l)
	if stop() {
		ending.Done()
		return fmt.Errorf("%s: %w", setting, err)
	}
	return nil
}
