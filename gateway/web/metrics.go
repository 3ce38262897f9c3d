package web

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// newRegistry has the gateway's metrics and those of its process.
func newRegistry(g Gateway) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(newCollector(g), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// metric describes a number that is read from a status.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newMetric(kind prometheus.ValueType, name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("peergate_"+name, help, labels, nil), kind}
}

// collector turns the status of a gateway into metrics whenever it is asked, so that nothing is counted twice.
type collector struct {
	g Gateway

	info, began                                            metric
	players, publishers, connections, rtspBytes            metric
	hlsPlayers, hlsStreams, hlsBytes                       metric
	rtcPlayers, rtcPublishers, rtcBytes                    metric
	subscribers, publishing, packets, bytes, lost          metric
	peers, connected, rtt, overlayBytes, accounts          metric
	renditions, speed, frames, restarts                    metric
	depth, lag, children, slots, used, chunks, channelByte metric
}

func newCollector(g Gateway) *collector {
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	return &collector{
		g: g,

		info:  newMetric(gauge, "info", "1; the labels tell the version and the gateway's ID.", "version", "id"),
		began: newMetric(gauge, "start_time_seconds", "When the gateway began, in seconds since 1970."),

		players:     newMetric(gauge, "rtsp_players", "Sessions that play."),
		publishers:  newMetric(gauge, "rtsp_publishers", "Sessions that publish."),
		connections: newMetric(gauge, "rtsp_connections", "RTSP connections."),
		rtspBytes:   newMetric(counter, "rtsp_bytes_total", "Bytes of RTP and RTCP from publishers (in) and to players (out).", "direction"),

		hlsPlayers: newMetric(gauge, "hls_players", "Players of HLS that have asked within the last 10 s."),
		hlsStreams: newMetric(gauge, "hls_streams", "Streams of which segments are made."),
		hlsBytes:   newMetric(counter, "hls_bytes_total", "Bytes of playlists and segments given out."),

		rtcPlayers:    newMetric(gauge, "webrtc_players", "Players over WebRTC (WHEP)."),
		rtcPublishers: newMetric(gauge, "webrtc_publishers", "Publishers over WebRTC (WHIP)."),
		rtcBytes:      newMetric(counter, "webrtc_bytes_total", "Bytes of media to players over WebRTC, without headers."),

		subscribers: newMetric(gauge, "stream_subscribers", "Who reads the stream in this gateway: players, peers, renditions.", "stream"),
		publishing:  newMetric(gauge, "stream_publishing", "1 while the stream has a publisher.", "stream"),
		packets:     newMetric(counter, "stream_packets_total", "Packets published.", "stream"),
		bytes:       newMetric(counter, "stream_bytes_total", "Bytes of packets published.", "stream"),
		lost:        newMetric(counter, "stream_lost_packets_total", "Packets that the publisher's sequence numbers show to be missing.", "stream"),

		renditions: newMetric(gauge, "transcode_renditions", "Renditions that ffmpeg makes."),
		speed:      newMetric(gauge, "transcode_speed", "Speed of ffmpeg, of the media's clock: 1 keeps up; 0 when unknown.", "stream"),
		frames:     newMetric(counter, "transcode_frames_total", "Pictures that ffmpeg has made.", "stream"),
		restarts:   newMetric(counter, "transcode_restarts_total", "How often ffmpeg was begun anew.", "stream"),

		peers:        newMetric(gauge, "overlay_peers", "Peers that are listed."),
		connected:    newMetric(gauge, "overlay_peer_connected", "1 while the peer is connected.", "peer"),
		rtt:          newMetric(gauge, "overlay_peer_rtt_seconds", "Round trip to the peer; 0 when unknown.", "peer"),
		accounts:     newMetric(counter, "accounts_bytes_total", "Bytes sent of receipts, and of letters to owners and their replies."),
		overlayBytes: newMetric(counter, "overlay_bytes_total", "Bytes on streams to peers, before encryption.", "direction"),

		depth:       newMetric(gauge, "channel_depth", "Hops to the channel's owner; -1 without a parent.", "owner", "channel"),
		lag:         newMetric(gauge, "channel_lag_seconds", "Time from the owner to here, median.", "owner", "channel"),
		children:    newMetric(gauge, "channel_children", "Gateways that get the channel from here.", "owner", "channel"),
		slots:       newMetric(gauge, "channel_slots", "Children and stripes that could be served.", "owner", "channel"),
		used:        newMetric(gauge, "channel_slots_used", "Of them, those that are.", "owner", "channel"),
		channelByte: newMetric(counter, "channel_bytes_total", "Bytes of chunks; spare: of those in, what came late or again; saved: what members had from each other.", "owner", "channel", "direction"),
		chunks:      newMetric(counter, "channel_chunks_total", "Chunks by what became of them.", "owner", "channel", "event"),
	}
}

// Describe sends nothing: streams and peers come and go, so the metrics are not known beforehand.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the metrics of the present status.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	st := c.g.Status()
	send := func(m metric, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, v, labels...)
	}
	send(c.info, 1, st.Version, st.ID)
	send(c.began, float64(st.Since.UnixMilli())/1000)
	send(c.players, float64(st.RTSP.Players))
	send(c.publishers, float64(st.RTSP.Publishers))
	send(c.connections, float64(st.RTSP.Connections))
	send(c.rtspBytes, float64(st.RTSP.BytesIn), "in")
	send(c.rtspBytes, float64(st.RTSP.BytesOut), "out")
	send(c.hlsPlayers, float64(st.HLS.Players))
	send(c.hlsStreams, float64(len(st.HLS.Streams)))
	send(c.hlsBytes, float64(st.HLS.BytesOut))
	players, publishers := st.WebRTC.players()
	send(c.rtcPlayers, float64(players))
	send(c.rtcPublishers, float64(publishers))
	send(c.rtcBytes, float64(st.WebRTC.BytesOut))
	for _, s := range st.Streams {
		send(c.subscribers, float64(s.Subscribers), s.Name)
		send(c.publishing, truth(s.Publishing), s.Name)
		send(c.packets, float64(s.Packets), s.Name)
		send(c.bytes, float64(s.Bytes), s.Name)
		send(c.lost, float64(s.Lost), s.Name)
	}
	send(c.renditions, float64(len(st.Renditions)))
	for _, r := range st.Renditions {
		send(c.speed, r.Speed, r.Name)
		send(c.frames, float64(r.Frames), r.Name)
		send(c.restarts, float64(r.Restarts), r.Name)
	}
	if st.Overlay != nil {
		c.overlay(st.Overlay, send)
	}
}

func (c *collector) overlay(o *Overlay, send func(m metric, v float64, labels ...string)) {
	send(c.peers, float64(len(o.Peers)))
	send(c.overlayBytes, float64(o.BytesIn), "in")
	send(c.overlayBytes, float64(o.BytesOut), "out")
	send(c.accounts, float64(o.Accounts))
	for _, p := range o.Peers {
		send(c.connected, truth(p.Connected), p.Name)
		send(c.rtt, p.RTTMS/1000, p.Name)
	}
	for _, ch := range o.Channels {
		send(c.depth, float64(ch.Depth), ch.Owner, ch.Name)
		send(c.lag, ch.LagMS/1000, ch.Owner, ch.Name)
		send(c.children, float64(len(ch.Children)), ch.Owner, ch.Name)
		send(c.slots, float64(ch.Slots), ch.Owner, ch.Name)
		send(c.used, float64(ch.Used), ch.Owner, ch.Name)
		send(c.channelByte, float64(ch.BytesIn), ch.Owner, ch.Name, "in")
		send(c.channelByte, float64(ch.BytesOut), ch.Owner, ch.Name, "out")
		send(c.channelByte, float64(ch.Spare), ch.Owner, ch.Name, "spare")
		send(c.channelByte, float64(ch.Saved), ch.Owner, ch.Name, "saved")
		for event, n := range ch.Chunks.events() {
			send(c.chunks, float64(n), ch.Owner, ch.Name, event)
		}
	}
}

// events names the counters.
func (c *Chunks) events() map[string]uint64 {
	return map[string]uint64{
		"received": c.Received, "duplicate": c.Duplicates, "stale": c.Stale, "pushed": c.Pushed, "asked": c.Asked,
		"repaired": c.Repaired, "given": c.Given, "dropped": c.Dropped, "released": c.Released, "skipped": c.Skipped,
	}
}

// truth is 1 for true.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
