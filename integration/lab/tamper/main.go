//go:build integration

// Command tamper is a gateway that lies: of the chunks it hands on it changes a byte, after a while in which it is honest.
// It is started like "gateway run gateway.yml".
package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay"
	"peergate/overlay/p2p"
	"peergate/rtsp"
	"peergate/rtsp/auth"
)

// honest is how many chunks are handed on as they are: enough for a player to begin.
const honest = 100

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	c, err := conf.Load(os.Args[len(os.Args)-1])
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	id, err := p2p.LoadIdentity(c.Data)
	if err != nil {
		return err
	}
	users, err := auth.New(nil, auth.Options{})
	if err != nil {
		return err
	}
	hub := media.NewHub(log)
	node, err := overlay.New(overlay.Options{Conf: c.Overlay, Peers: c.Peers, Identity: id, Data: c.Data}, hub, log)
	if err != nil {
		return err
	}
	hub.Use(node)
	var handed atomic.Int64
	node.Spoil(func(chunk []byte) []byte {
		n := int(handed.Add(1))
		if n <= honest {
			return chunk
		}
		lie := bytes.Clone(chunk)
		lie[n*31%len(lie)] ^= 1 << (n % 8) // anywhere: header, packets, signature
		return lie
	})
	server := rtsp.New(c, c.Data, users, hub, log)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return node.Run(ctx) })
	g.Go(func() error { return server.Run(ctx) })
	return g.Wait()
}
