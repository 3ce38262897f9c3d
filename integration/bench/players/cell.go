//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"peergate/integration/bench/players/camera"
	"peergate/integration/bench/players/load"
)

const (
	// joinWithin is how long players may take to have a picture after the last one has come.
	joinWithin = 10 * time.Second
	// arriveWithin is how long a packet may be on its way before it counts as lost.
	arriveWithin = time.Second
	// leastGap is the least time between two players' coming: they should not stand in each other's way.
	leastGap = 2 * time.Millisecond
)

// cell is one measurement to make, and its result.
type cell struct {
	Server    string `json:"server"`
	Transport string `json:"transport"`
	Players   int    `json:"players"`
	Stalled   int    `json:"stalled,omitempty"` // players among them that read nothing
	Round     int    `json:"round"`

	CPU       float64 `json:"cpu_us_per_packet"` // of the server, in microseconds
	Cores     float64 `json:"server_cores"`      // that the server kept busy
	Reading   float64 `json:"generator_cores"`   // that the readers kept busy
	Packets   uint64  `json:"packets"`           // delivered in the time of the measurement
	Loss      float64 `json:"loss"`              // share of 1
	Faults    uint64  `json:"faults"`            // packets out of order, twice or wrong
	Left      int     `json:"left"`              // players that were dropped
	Why       string  `json:"why,omitempty"`     // the first of them
	P50       float64 `json:"latency_p50_ms"`
	P99       float64 `json:"latency_p99_ms"`
	Worst     float64 `json:"latency_worst_p99_ms"` // of the player that fares worst, last packets of frames
	JoinP50   float64 `json:"join_p50_ms"`
	JoinP99   float64 `json:"join_p99_ms"`
	Joined    int     `json:"joined"`    // players that had a whole key frame
	Keyed     float64 `json:"key_first"` // share of them whose first packet started it
	Memory    float64 `json:"rss_kb_per_player"`
	Resident  int     `json:"rss_kb"` // of the server with all players
	LoadAfter float64 `json:"load_average"`
}

func (c *cell) udp() bool { return c.Transport == "udp" }

// bench runs measurements.
type bench struct {
	o options
	p *programs
}

func newBench(ctx context.Context, o options) (*bench, error) {
	p, err := build(ctx, o)
	if err != nil {
		return nil, err
	}
	return &bench{o: o, p: p}, nil
}

func (b *bench) close() { os.RemoveAll(b.p.dir) }

// run makes one measurement.
func (b *bench) run(ctx context.Context, c cell) (cell, error) {
	crowd, err := load.New(load.Options{UDP: c.udp(), GRO: b.o.gro})
	if err != nil {
		return c, err
	}
	ctx, stop := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return crowd.Run(ctx) })
	g.Go(func() error {
		defer stop()
		r := &round{bench: b, cell: &c, crowd: crowd}
		if c.Server == floor {
			return r.floor(ctx)
		}
		return r.relay(ctx, g)
	})
	if err := g.Wait(); err != nil {
		return c, fmt.Errorf("%s, %d players over %s: %w", c.Server, c.Players, c.Transport, err)
	}
	fmt.Fprintf(os.Stderr, "%s\n", c.line())
	return c, nil
}

// round is a measurement while it is made.
type round struct {
	*bench
	*cell
	crowd  *load.Load
	server *process
	sent   func() (uint32, error) // number of the next packet
	single int                    // KB of memory with one player
}

// relay measures a server that has the stream from a publisher.
func (r *round) relay(ctx context.Context, g *errgroup.Group) error {
	server, host, err := r.p.relay(ctx, r.Server)
	if err != nil {
		return err
	}
	defer r.stop(server)
	r.server = server
	cam := camera.New(host, "bench", r.o.format)
	filming, cut := context.WithCancel(ctx)
	defer cut()
	g.Go(func() error { return cam.Run(filming) })
	select {
	case <-cam.Live():
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := wait(ctx, time.Second); err != nil {
		return err
	}
	r.sent = func() (uint32, error) { return cam.Sent(), nil }
	if err := r.join(ctx, cam.URL()); err != nil {
		return err
	}
	return r.measure(ctx)
}

// join brings the players, evenly spread over time so that they come at all ages of the key frame. The first one comes
// alone: what a stream costs that somebody watches is not the others' to bear.
func (r *round) join(ctx context.Context, url string) error {
	if err := r.crowd.Join(url, false); err != nil {
		return err
	}
	if err := r.await(ctx, 1); err != nil {
		return err
	}
	if err := wait(ctx, time.Second); err != nil {
		return err
	}
	var err error
	if r.single, err = r.server.memory(); err != nil {
		return err
	}
	tick := time.NewTicker(max(r.o.joining/time.Duration(r.Players), leastGap))
	defer tick.Stop()
	for i := 1; i < r.Players; i++ {
		if err := r.crowd.Join(url, i <= r.Stalled); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// await waits until so many players have a picture, for a while: those that have none by then are lost packets. The error
// is that none has.
func (r *round) await(ctx context.Context, players int) error {
	for deadline := time.Now().Add(joinWithin); ; {
		n, err := r.crowd.Playing()
		if n >= players || n > 0 && time.Now().After(deadline) {
			return nil
		}
		if n == 0 && err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("no player has a picture")
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// floor measures the system calls alone.
func (r *round) floor(ctx context.Context) error {
	server, addr, err := r.p.startFloor(*r.cell, r.o)
	if err != nil {
		return err
	}
	defer r.stop(server)
	r.server = server
	for range r.Players {
		at, err := r.crowd.Listen(addr)
		if err != nil {
			return err
		}
		if !r.udp() {
			continue
		}
		if _, err := fmt.Fprintln(server.in, at); err != nil {
			return err
		}
	}
	r.sent = func() (uint32, error) {
		n, err := r.crowd.Newest()
		return n + 1, err
	}
	return r.measure(ctx)
}

// measure waits until all players play, and measures.
func (r *round) measure(ctx context.Context) error {
	if err := r.await(ctx, r.Players-r.Stalled); err != nil {
		return err
	}
	if err := wait(ctx, r.o.warm); err != nil {
		return err
	}
	from, err := r.sent()
	if err != nil {
		return err
	}
	if err := r.crowd.Begin(from); err != nil {
		return err
	}
	before, err := r.meter()
	if err != nil {
		return err
	}
	if err := wait(ctx, r.o.duration); err != nil {
		return err
	}
	after, err := r.meter()
	if err != nil {
		return err
	}
	to, err := r.sent()
	if err != nil {
		return err
	}
	if err := r.crowd.End(to); err != nil {
		return err
	}
	if err := wait(ctx, arriveWithin); err != nil {
		return err
	}
	s, err := r.crowd.Summary()
	if err != nil {
		return err
	}
	r.note(before, after)
	r.sum(&s)
	return nil
}

// stop ends the server and prints what it complained of.
func (r *round) stop(p *process) {
	if said := p.stop(); said != "" {
		fmt.Fprintf(os.Stderr, "%s says:\n%s", r.Server, said)
	}
}

// reading is what the meters show at one time.
type reading struct {
	at            time.Time
	server, crowd time.Duration // of processor
	packets       uint64
	memory        int // KB
}

func (r *round) meter() (m reading, err error) {
	var errs [4]error
	m.packets, errs[0] = r.crowd.Packets()
	m.server, errs[1] = r.server.use()
	m.crowd, errs[2] = r.crowd.Use()
	m.memory, errs[3] = r.server.memory()
	m.at = time.Now()
	return m, errors.Join(errs[:]...)
}

// note writes down what the server used.
func (r *round) note(before, after reading) {
	c, took := r.cell, after.at.Sub(before.at).Seconds()
	used := (after.server - before.server).Seconds()
	if c.Packets = after.packets - before.packets; c.Packets > 0 {
		c.CPU = used * 1e6 / float64(c.Packets)
	}
	c.Cores = used / took
	c.Reading = (after.crowd - before.crowd).Seconds() / took
	c.Resident = after.memory
	if c.Server != floor && c.Players > 1 {
		c.Memory = float64(after.memory-r.single) / float64(r.Players-1)
	}
	c.LoadAfter = loadAverage()
}

// sum writes down what the players found.
func (r *round) sum(s *load.Summary) {
	c := r.cell
	c.Loss, c.Faults, c.Left, c.Why, c.Joined = s.Loss(), s.Faults, s.Left, s.Err, s.Joined
	c.P50, c.P99, c.Worst = ms(s.Delay.Percentile(0.5)), ms(s.Delay.Percentile(0.99)), ms(s.Worst)
	if s.Joined > 0 {
		c.Keyed = float64(s.Keyed) / float64(s.Joined)
	}
	if c.Server != floor {
		c.JoinP50, c.JoinP99 = ms(s.Join.Percentile(0.5)), ms(s.Join.Percentile(0.99))
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
