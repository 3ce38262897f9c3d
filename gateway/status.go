package main

import (
	"time"

	"peergate/gateway/web"
	"peergate/gateway/web/hls"
	"peergate/gateway/web/webrtc"
	"peergate/overlay"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"
	"peergate/rtsp"
	"peergate/transcode"
)

// Status tells what the gateway does now, in the words of the API.
func (g *gateway) Status() web.Status {
	st := web.Status{Version: version(), Since: g.since, Streams: g.streams(), RTSP: rtspStatus(g.server.Status()), HLS: hlsStatus(g.front.HLS()), WebRTC: webrtcStatus(g.front.WebRTC()), Renditions: renditions(g.renditions.Status())}
	if g.node != nil {
		st.ID = string(g.id.ID)
		o := overlayStatus(g.node.Status())
		st.Overlay = &o
	}
	return st
}

func (g *gateway) streams() []web.Stream {
	all := []web.Stream{}
	for _, s := range g.hub.Streams() {
		n, o := s.Stats(), s.Origin()
		w := web.Stream{
			Name: string(s.Name()), Kind: o.Kind, Remote: o.Remote, Publishing: n.Publishing, Since: n.Since,
			Subscribers: n.Subscribers, Packets: n.Packets, Bytes: n.Bytes, Lost: n.Lost, Tracks: []string{},
		}
		for _, t := range s.Tracks() {
			codec := t.Codec()
			if codec == "" {
				codec = t.Kind
			}
			w.Tracks = append(w.Tracks, codec)
		}
		all = append(all, w)
	}
	return all
}

func renditions(all []transcode.Status) []web.Rendition {
	w := []web.Rendition{}
	for _, r := range all {
		w = append(w, web.Rendition{
			Name: string(r.Name), Base: string(r.Base), Process: r.Process, Since: r.Since, Restarts: r.Restarts, Frames: r.Frames,
			Speed: r.Speed, Err: r.Err,
		})
	}
	return w
}

func rtspStatus(r rtsp.Status) web.RTSP {
	w := web.RTSP{
		Players: r.Players, Publishers: r.Publishers, Connections: r.Connections, BytesIn: r.BytesIn, BytesOut: r.BytesOut,
		Sessions: []web.Session{},
	}
	for _, s := range r.Sessions {
		ws := web.Session{
			Stream: s.Stream, Publisher: s.Publisher, Remote: s.Remote, User: s.User, Since: s.Since, Transport: s.Transport, Bytes: s.Bytes,
		}
		if !s.Publisher {
			n := s.Sent
			ws.Bytes, ws.Packets, ws.Skipped, ws.Lost = n.Bytes, n.Packets, n.Skipped, n.Lost
			ws.LagMS, ws.JitterMS, ws.RTTMS = ms(n.Lag), ms(n.Jitter), ms(n.RTT)
		}
		w.Sessions = append(w.Sessions, ws)
	}
	return w
}

func hlsStatus(h hls.Status) web.HLS {
	w := web.HLS{Players: h.Players, BytesOut: h.Bytes, Streams: []web.HLSStream{}}
	for _, s := range h.Streams {
		w.Streams = append(w.Streams, web.HLSStream{Name: string(s.Name), Source: string(s.Source), Since: s.Since, Players: s.Players, Bytes: s.Bytes})
	}
	return w
}

func webrtcStatus(s webrtc.Status) web.WebRTC {
	w := web.WebRTC{BytesOut: s.BytesOut, Sessions: []web.WebRTCSession{}}
	for _, n := range s.Sessions {
		w.Sessions = append(w.Sessions, web.WebRTCSession{
			Stream: string(n.Stream), Publisher: n.Publisher, Remote: n.Remote, User: n.User, Since: n.Since, Bytes: n.Bytes,
		})
	}
	return w
}

func overlayStatus(o overlay.Status) web.Overlay {
	w := web.Overlay{BytesIn: o.In, BytesOut: o.Out, Accounts: o.Accounts, Peers: []web.Peer{}, Channels: []web.Channel{}}
	names := petnames{o.ID: "this gateway"}
	for _, p := range o.Peers {
		names[p.ID] = p.Name
		w.Peers = append(w.Peers, web.Peer{
			Name: p.Name, ID: p.ID, Connected: p.Connected, Remote: p.Remote, Way: p.Way, Transport: p.Transport,
			Version: p.Version, RTTMS: ms(p.RTT), Err: p.Err,
		})
	}
	w.Reach = reachStatus(o.Reach, names)
	for _, c := range o.Channels {
		w.Channels = append(w.Channels, channelStatus(c, names))
	}
	return w
}

func reachStatus(r p2p.Reach, names petnames) web.Reach {
	w := web.Reach{
		NAT: string(r.NAT), Seen: some(r.Seen), TCP: r.TCP, QUIC: r.UDP, Mapped: some(r.Mapped), Relays: []string{}, BytesFor: r.Relayed,
	}
	for _, id := range r.Relays {
		w.Relays = append(w.Relays, names.of(swarm.ID(id)))
	}
	return w
}

func channelStatus(c overlay.ChannelStatus, names petnames) web.Channel {
	n := c.Swarm
	w := web.Channel{
		Owner: c.Owner, Name: string(c.Name), Own: c.Own, As: []string{}, State: n.State.String(),
		Parents: some(c.Parents), Children: some(c.Children), Trackers: some(c.Trackers), Depth: n.Depth, Stripes: []web.Stripe{},
		BytesIn: c.In, BytesOut: c.Out, Spare: c.Spare, Saved: c.Saved, Rate: n.Rate, Slots: n.Slots, Used: n.Used, LagMS: ms(n.Lag), DelayMS: ms(n.Delay),
		Chunks: web.Chunks{
			Received: n.Received, Duplicates: n.Duplicates, Stale: n.Stale, Pushed: n.Pushed, Asked: n.Asked, Repaired: n.Repaired,
			Given: n.Given, Dropped: n.Dropped, Released: n.Released, Skipped: n.Skipped, Skips: n.Skips, Switches: n.Switches, Shed: n.Shed,
		},
	}
	if n.State == swarm.Waiting {
		w.Why = n.Why.String()
	}
	for _, name := range c.As {
		w.As = append(w.As, string(name))
	}
	for _, s := range n.Stripes {
		w.Stripes = append(w.Stripes, web.Stripe{
			Parent: names.of(s.Parent), Backups: names.all(s.Backups), Children: names.all(s.Children), Depth: s.Depth,
		})
	}
	return w
}

// petnames are the names of gateways by their IDs.
type petnames map[string]string

// of returns the petname of a gateway, or the end of its ID.
func (p petnames) of(id swarm.ID) string {
	if name, ok := p[string(id)]; ok {
		return name
	}
	return p2p.ID(id).Short()
}

func (p petnames) all(ids []swarm.ID) []string {
	all := []string{}
	for _, id := range ids {
		all = append(all, p.of(id))
	}
	return all
}

// some returns the list, never nil: JSON has no null for lists.
func some(list []string) []string { return append([]string{}, list...) }

// ms returns a duration in milliseconds.
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
