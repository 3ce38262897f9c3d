//go:build linux

// Command players measures what a player costs: it runs the gateway, a relay on gortsplib's Server and the bare system calls
// side by side, each with the same players, and prints a table. See README.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"peergate/integration/bench/players/camera"
)

// options are what the command line says.
type options struct {
	servers    []string
	transports []string
	players    []int
	rounds     int
	duration   time.Duration
	warm       time.Duration
	joining    time.Duration
	format     camera.Format
	gro        bool
	stall      int
	limits     []int
	gateway    string
	json       string
}

func parse(args []string) (options, error) {
	o := options{format: camera.Format{FrameRate: 30, KeyEvery: 30}}
	fs := flag.NewFlagSet("players", flag.ContinueOnError)
	servers := fs.String("servers", "gateway,baseline,floor", "servers to measure, separated by commas")
	transports := fs.String("transports", "udp,tcp", "transports, separated by commas")
	players := fs.String("players", "100,400", "numbers of players for the table, separated by commas; \"\" for no table")
	limits := fs.String("limit", "", "numbers of players to try until more than 0.1 % is lost, ascending, separated by commas")
	fs.IntVar(&o.rounds, "rounds", 3, "how often each is measured; the table has the medians")
	fs.DurationVar(&o.duration, "duration", 8*time.Second, "how long each is measured")
	fs.DurationVar(&o.warm, "warm", 2*time.Second, "from the last player's first picture to the measurement")
	fs.DurationVar(&o.joining, "joining", 2*time.Second, "from the first player's coming to the last one's")
	fs.IntVar(&o.format.Bitrate, "bitrate", 4e6, "`bits` a second of the stream")
	fs.IntVar(&o.format.Payload, "payload", 1400, "`bytes` of a full RTP packet's payload")
	fs.BoolVar(&o.gro, "gro", true, "players take runs of packets over UDP as one datagram (UDP_GRO)")
	fs.IntVar(&o.stall, "stall", 0, "`players` over TCP of the round with one that stalls; 0 for no such round")
	fs.StringVar(&o.gateway, "gateway", "", "`path` of the gateway; \"\" builds it")
	fs.StringVar(&o.json, "json", "", "`file` for the results as JSON")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	var err1, err2 error
	o.servers, o.transports = list(*servers), list(*transports)
	o.players, err1 = numbers(*players)
	o.limits, err2 = numbers(*limits)
	return o, errors.Join(err1, err2, o.check(fs.NArg()))
}

func (o options) check(more int) error {
	err := o.format.Check()
	if more > 0 {
		err = errors.Join(err, errors.New("there are flags only"))
	}
	for _, s := range o.servers {
		if !slices.Contains(contenders, s) {
			err = errors.Join(err, fmt.Errorf("-servers: %q is none of %v", s, contenders))
		}
	}
	for _, t := range o.transports {
		if t != "udp" && t != "tcp" {
			err = errors.Join(err, fmt.Errorf("-transports: %q is neither udp nor tcp", t))
		}
	}
	if o.rounds < 1 || o.duration < time.Second {
		err = errors.Join(err, errors.New("-rounds must be 1 at least, -duration 1s"))
	}
	return err
}

// list splits at commas.
func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func numbers(s string) ([]int, error) {
	var all []int
	for _, f := range list(s) {
		n, err := strconv.Atoi(f)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of players", f)
		}
		all = append(all, n)
	}
	return all, nil
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err == nil {
		err = measure(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "players:", err)
		os.Exit(1)
	}
}

// measure runs everything and prints it.
func measure(ctx context.Context, o options, w io.Writer) error {
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	r := report{Machine: thisMachine(), Format: o.format, GRO: o.gro}
	fmt.Fprintln(w, r.Machine)
	if r.Cells, err = b.table(ctx); err != nil {
		return err
	}
	r.Rows = rows(r.Cells)
	printRows(w, r.Rows)
	if o.stall > 0 {
		cells, err := b.stalls(ctx)
		if err != nil {
			return err
		}
		r.Cells, r.Stalls = append(r.Cells, cells...), stallRows(cells)
		printStalls(w, r.Stalls)
	}
	if len(o.limits) > 0 {
		if r.Limits, err = b.limits(ctx); err != nil {
			return err
		}
		printLimits(w, r.Limits)
	}
	if o.json == "" {
		return nil
	}
	j, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.json, append(j, '\n'), 0o644)
}
