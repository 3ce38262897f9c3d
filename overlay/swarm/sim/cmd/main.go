// Command cmd runs the swarm's simulator and prints what it measured.
//
//	go run ./overlay/swarm/sim/cmd -members 1000 -loss 0.01 -churn 10m
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"peergate/overlay/swarm/sim"
)

func main() {
	var c sim.Config
	flag.IntVar(&c.Members, "members", 1000, "how many gateways join")
	flag.Uint64Var(&c.Seed, "seed", 1, "repeats a run")
	flag.IntVar(&c.Rate, "rate", 2_000_000, "of the channel, bits a second")
	flag.Float64Var(&c.Owner, "owner", 3, "owner's uplink, multiple of the rate; negative: no limit")
	flag.DurationVar(&c.Ramp, "ramp", 0, "time within which they join; 0: 30 s")
	flag.DurationVar(&c.Length, "length", 0, "measured time; 0: 1 min")
	flag.Float64Var(&c.Loss, "loss", 0, "part of the segments lost on links, which delays")
	flag.Float64Var(&c.Drop, "drop", 0, "part of the pushed chunks lost whole")
	flag.DurationVar(&c.Churn, "churn", 0, "mean life of a member; 0: they stay")
	flag.Float64Var(&c.Crash, "crash", 0, "part of the members that crash at once")
	flag.DurationVar(&c.Roots, "roots", 0, "each so long one of the owner's children dies, and another member comes; 0: none")
	flag.Float64Var(&c.NAT, "nat", 0, "part of the members that cannot be dialled")
	flag.Float64Var(&c.Liars, "liars", 0, "part of the members that lie")
	flag.Float64Var(&c.Handshakes, "handshakes", 1, "round trips to make a connection")
	flag.DurationVar(&c.Settle, "settle", 0, "time after the ramp before measuring; 0: 10 s")
	flag.DurationVar(&c.Queue, "queue", 0, "of a line, at most: what comes later is lost, and sent again; 0: no end")
	flag.Float64Var(&c.Stalled, "stalled", 0, "part of the time for which each machine stands still")
	flag.DurationVar(&c.Stall, "stall", 0, "for how long at a time, in the mean; 0: 50 ms")
	flag.DurationVar(&c.Near, "near", 0, "between two members, one way, at least; 0: 10 ms")
	flag.DurationVar(&c.Far, "far", 0, "and at most; 0: 90 ms")
	uplink := flag.Float64("uplink", 0, "of all members, multiple of the rate; 0: they differ, from none to ten times")
	plot := flag.String("plot", "", "file for a picture of the delays (SVG)")
	flag.Parse()
	if *uplink > 0 {
		c.Uplinks = []sim.Uplink{{Part: 1, Rate: *uplink}}
	}
	began := time.Now()
	r := sim.Run(c)
	r.Print(os.Stdout)
	fmt.Fprintf(os.Stderr, "took %.1f s\n", time.Since(began).Seconds())
	if *plot != "" {
		if err := draw(*plot, &r, c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// draw writes the picture of a run.
func draw(name string, r *sim.Result, c sim.Config) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("%d members, owner %gx, loss %g %%, mean life %v, crash %g %%, NAT %g %%, liars %g %%, seed %d",
		c.Members, c.Owner, 100*c.Loss, c.Churn, 100*c.Crash, 100*c.NAT, 100*c.Liars, c.Seed)
	if err := r.Plot(f, title); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
