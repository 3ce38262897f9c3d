package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"peergate/conf"
	"peergate/gateway/web"
	"peergate/media"
	"peergate/overlay"
	"peergate/overlay/p2p"
	"peergate/rtsp"
	"peergate/transcode"

	"golang.org/x/sync/errgroup"
)

// gateway is one gateway of this process: a hub, and the parts that put streams into it or take them out.
type gateway struct {
	log        *slog.Logger
	id         p2p.Identity
	data       string // folder
	hub        *media.Hub
	sources    *rtsp.Sources
	renditions *transcode.Pool
	node       *overlay.Node // nil when the overlay is off
	server     *rtsp.Server
	front      *web.Front
	api        *web.Server // nil without a data folder
	since      time.Time

	mu    sync.Mutex  // held while the configuration changes; guards the fields below
	file  conf.Config // as it was read
	given given       // over the API
	conf  conf.Config // both
}

// newGateway puts a gateway together from a verified configuration. Without a data folder nothing is kept or told.
func newGateway(c conf.Config, data string, id p2p.Identity, log *slog.Logger) (*gateway, error) {
	users, err := newUsers(c)
	if err != nil {
		return nil, err
	}
	g := &gateway{log: log, id: id, data: data, hub: media.NewHub(log), since: time.Now(), file: c}
	if data != "" {
		if g.given, err = loadGiven(data); err != nil {
			return nil, err
		}
	}
	c = g.given.with(c)
	g.conf = c
	g.server = rtsp.New(c, data, users, g.hub, log)
	means := rtsp.Means{Listen: c.RTSP.Listen, FFmpeg: c.Transcode.FFmpeg, Server: g.server}
	g.sources = rtsp.NewSources(c.Streams, means, g.hub, log)
	g.renditions = transcode.New(c.Transcode, g.server, g.hub, log)
	openers := []media.Opener{g.sources, g.renditions}
	if c.Overlay.Enabled {
		o := g.overlayOptions(c)
		if c.Overlay.NetworkKey != "" {
			if o.NetworkKey, err = p2p.LoadNetworkKey(c.Overlay.NetworkKey); err != nil {
				return nil, err
			}
		}
		if g.node, err = overlay.New(o, g.hub, log); err != nil {
			return nil, err
		}
		openers = append(openers, g.node)
	}
	g.hub.Use(openers...)
	g.front = web.NewFront(c, guard{g.server}, g.hub, log)
	if data != "" {
		g.api = web.New(c.API, data, g, log)
	}
	return g, nil
}

func (g *gateway) overlayOptions(c conf.Config) overlay.Options {
	return overlay.Options{
		Conf: c.Overlay, Peers: c.Peers, Streams: c.Streams, Identity: g.id, Version: version(), Data: g.data,
		Ledger: c.Ledger, Viewers: g.server.Players,
	}
}

// Run runs all parts until ctx ends and then returns nil. When one fails, all end.
func (g *gateway) Run(ctx context.Context) error {
	grp, ctx := errgroup.WithContext(ctx)
	grp.Go(func() error { return g.sources.Run(ctx) })
	grp.Go(func() error { return g.renditions.Run(ctx) })
	if g.node != nil {
		grp.Go(func() error { return g.node.Run(ctx) })
	}
	grp.Go(func() error { return g.server.Run(ctx) })
	grp.Go(func() error { return g.front.Run(ctx) })
	if g.api != nil {
		grp.Go(func() error { return g.api.Run(ctx) })
	}
	return grp.Wait()
}

// Reconfigure takes over a verified configuration, in which pin has kept what cannot change; the keys of what has changed
// are given. Players whose streams do not change are not disturbed.
func (g *gateway) Reconfigure(c conf.Config, changed []string) error {
	if slices.Contains(changed, "users") { // others would have to log in anew for nothing
		users, err := newUsers(c)
		if err != nil {
			return err
		}
		g.server.Admit(users)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.file = c
	g.spread()
	g.sources.Reconfigure(c.Streams)
	return nil
}

// spread tells the server and the overlay of a configuration with what was given beside it. The mutex is held.
func (g *gateway) spread() {
	g.conf = g.given.with(g.file)
	g.server.Reconfigure(g.conf)
	if g.node != nil {
		g.node.Reconfigure(g.overlayOptions(g.conf))
	}
}

// pin returns a new configuration with the settings of the running one that only a restart can change.
func pin(c, running conf.Config) conf.Config {
	c.Data = running.Data
	c.Log.Format = running.Log.Format
	c.RTSP.Listen = running.RTSP.Listen
	c.RTSP.UDPPorts = running.RTSP.UDPPorts
	c.RTSP.TLS = running.RTSP.TLS
	c.RTSP.Multicast = running.RTSP.Multicast
	c.Overlay.Enabled = running.Overlay.Enabled
	c.Overlay.Listen = running.Overlay.Listen
	c.Overlay.Congestion = running.Overlay.Congestion
	c.Overlay.NetworkKey = running.Overlay.NetworkKey
	c.Overlay.PortMapping = running.Overlay.PortMapping
	c.Overlay.MDNS = running.Overlay.MDNS
	c.Overlay.DHT = running.Overlay.DHT
	c.Overlay.Reachability = running.Overlay.Reachability
	c.Overlay.RelayFor = running.Overlay.RelayFor
	c.Overlay.RelayLimits = running.Overlay.RelayLimits
	c.Ledger = running.Ledger
	c.Transcode = running.Transcode
	c.HLS = running.HLS
	c.WebRTC = running.WebRTC
	c.API = running.API
	return c
}
