package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"peergate/conf"
	"peergate/overlay/p2p"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

func newRun() *cobra.Command {
	return &cobra.Command{
		Use:   "run [gateway.yml]",
		Short: "Run a gateway",
		Long: `Run runs a gateway until SIGINT or SIGTERM ends it, which takes a few seconds: players and
peers are told. A second signal ends it at once.

Without a file it reads gateway.yml in this folder, or takes the defaults if there is none: RTSP
at port 8554, anybody may read, and publishing needs no password from this machine and is
refused from elsewhere. gateway.yml, as it is shipped, has all settings with their defaults.

A changed file is taken over at once, also on SIGHUP: it is checked whole, an invalid one changes
nothing, and players whose streams did not change stay. The log, on standard error, tells what
changed and what needs a restart.`,
		Example: `  gateway run
  gateway run /etc/peergate/gateway.yml
  ffmpeg -re -i film.mp4 -c copy -f rtsp rtsp://127.0.0.1:8554/film   # an encoder
  ffplay rtsp://127.0.0.1:8554/film                                   # a player`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			file, err := configFile(args)
			if err != nil {
				return err
			}
			return run(c.Context(), file, c.ErrOrStderr())
		},
	}
}

// run runs a gateway and its reloading until a signal ends them.
func run(ctx context.Context, file string, logTo io.Writer) error {
	text, err := readConfig(file)
	if err != nil {
		return err
	}
	cfg, err := parseConfig(file, text)
	if err != nil {
		return err
	}
	log, level := newLog(cfg.Log, logTo)
	g, err := prepare(cfg, log)
	if err != nil {
		return err
	}
	r := &reloader{file: file, text: text, running: cfg, log: log.With("part", "gateway")}
	r.apply = func(c conf.Config, changed []string) error {
		if err := g.Reconfigure(c, changed); err != nil {
			return err
		}
		level.Set(c.Log.SlogLevel())
		return nil
	}
	r.log.Info("gateway begins", "peer", string(g.id.ID), "file", file)
	if len(cfg.Users) == 0 {
		r.log.Info("no users are listed: anybody may read, and publish from this machine")
	}
	ends, hup := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(ends, os.Interrupt, syscall.SIGTERM)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(ends)
	defer signal.Stop(hup)
	return serve(ctx, ends, r.log, func(ctx context.Context) error {
		grp, ctx := errgroup.WithContext(ctx)
		grp.Go(func() error { return explain(g.Run(ctx)) })
		grp.Go(func() error { return r.Run(ctx, hup) })
		return grp.Wait()
	})
}

// prepare loads the gateway's key and puts the gateway together.
func prepare(cfg conf.Config, log *slog.Logger) (*gateway, error) {
	folder, err := dataFolder(cfg, os.Getenv)
	if err != nil {
		return nil, err
	}
	id, err := p2p.LoadIdentity(folder)
	if err != nil {
		return nil, err
	}
	return newGateway(cfg, folder, id, log)
}

// explain adds a remedy to errors that nearly everybody meets once.
func explain(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: another program, perhaps another gateway, has this port: end it, or change the port in gateway.yml", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: this machine has no such address: correct it in gateway.yml", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: ports below 1024 need rights, see docs/operations.md", err)
	}
	return err
}
