package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"peergate/media"
)

// meter counts what came into a gateway's hub: streams come and go, so it adds up what each has grown by.
type meter struct {
	seen map[*media.Stream]uint64 // bytes at the last look
}

// grown returns the bytes that the hub's streams got since the last look.
func (m *meter) grown(h *media.Hub) (n uint64) {
	now := make(map[*media.Stream]uint64)
	for _, s := range h.Streams() {
		b := s.Stats().Bytes
		n += b - m.seen[s]
		now[s] = b
	}
	m.seen = now
	return n
}

// reading is how a gateway is.
type reading struct {
	name           string
	players, peers int
	hops           int     // of the farthest stream that it fetches; 0: none
	in, out        float64 // Mbit/s: media that came in; what went out to players and peers
}

// line makes a status line.
func line(after time.Duration, all []reading) string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "%4ds", int(after/time.Second))
	for _, r := range all {
		fmt.Fprintf(&sb, " | %s: %s, %s", r.name, count(r.players, "player"), count(r.peers, "peer"))
		if r.hops > 0 {
			fmt.Fprintf(&sb, ", %s", count(r.hops, "hop"))
		}
		fmt.Fprintf(&sb, ", in %.2f out %.2f Mbit/s", r.in, r.out)
	}
	return sb.String()
}

// report writes a status line from time to time until ctx ends.
func (d *demonstration) report(ctx context.Context, out io.Writer) {
	t := time.NewTicker(statusEvery)
	defer t.Stop()
	begin := time.Now()
	var meters [len(d.sites)]meter
	var sent [len(d.sites)]uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		all := make([]reading, len(d.sites))
		for i, s := range d.sites {
			r, bytes := s.read()
			r.in = mbit(meters[i].grown(s.hub), statusEvery)
			r.out = mbit(bytes-sent[i], statusEvery)
			all[i], sent[i] = r, bytes
		}
		fmt.Fprintln(out, line(time.Since(begin), all))
	}
}

// read looks at a gateway; bytes are those that it has sent.
func (s *site) read() (r reading, bytes uint64) {
	rtsp, overlay := s.server.Status(), s.node.Status()
	r = reading{name: s.name, players: rtsp.Players}
	for _, p := range overlay.Peers {
		if p.Connected {
			r.peers++
		}
	}
	for _, c := range overlay.Channels {
		if !c.Own {
			r.hops = max(r.hops, c.Swarm.Depth)
		}
	}
	return r, rtsp.BytesOut + overlay.Out
}

// mbit turns bytes in a time into Mbit/s.
func mbit(bytes uint64, d time.Duration) float64 { return float64(bytes) * 8 / 1e6 / d.Seconds() }
