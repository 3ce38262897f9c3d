package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"peergate/conf"
	"peergate/overlay/p2p"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// statusEvery is the time between two status lines of the demonstration.
const statusEvery = 5 * time.Second

func newDemo() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show three gateways on this machine",
		Long: `Demo runs three gateways in this process, on loopback addresses, chained: the first publishes
a clip that is inside the program in an endless loop, the second fetches it from the first over
the overlay, and the third, which knows the second only, through the second.

It prints the URL of the stream at each of them, to be played by VLC, ffplay, mpv or any other
player, and a status line every few seconds. It needs no other program, no configuration and no
network, takes free ports when the usual ones are taken, and leaves nothing behind.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log, _ := newLog(conf.Log{Level: "warn", Format: "text"}, c.ErrOrStderr())
			d, err := newDemonstration(log)
			if err != nil {
				return err
			}
			ends := make(chan os.Signal, 2)
			signal.Notify(ends, os.Interrupt, syscall.SIGTERM)
			defer signal.Stop(ends)
			return serve(c.Context(), ends, log, func(ctx context.Context) error { return d.run(ctx, c.OutOrStdout()) })
		},
	}
}

// demonstration is three gateways in a chain.
type demonstration struct{ sites [3]*site }

// site is one of the gateways, with what the demonstration tells of it.
type site struct {
	name     string
	url      string
	shows    string
	id       p2p.Identity
	rtsp     int // port
	overlay  int // port
	settings string
	*gateway
}

// newDemonstration puts the three gateways together; their keys are in memory alone.
func newDemonstration(log *slog.Logger) (*demonstration, error) {
	d := new(demonstration)
	var ports freePorts
	for i, name := range []string{"first", "second", "third"} {
		s := &site{name: name}
		var err error
		if s.id, err = p2p.NewIdentity(); err != nil {
			return nil, err
		}
		if s.rtsp, err = ports.take(8554 + 10*i); err != nil {
			return nil, err
		}
		if s.overlay, err = ports.take(8555 + 10*i); err != nil {
			return nil, err
		}
		d.sites[i] = s
	}
	first, second, third := d.sites[0], d.sites[1], d.sites[2]
	first.settings = "streams: {demo: {source: \"demo:\", on_demand: false}}\n" + peers(second.known())
	second.settings = peers(first.reached(), third.known())
	third.settings = peers(second.reached())
	first.url, first.shows = first.at("demo"), "the clip where it is published"
	second.url, second.shows = second.at("first/demo"), "the same after one hop"
	third.url, third.shows = third.at(string(first.id.ID)+"/demo"), "the same after two hops, by the first gateway's ID"
	for _, s := range d.sites {
		if err := s.build(log.WithGroup(s.name)); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// at returns the URL of a stream at this gateway.
func (s *site) at(name string) string { return fmt.Sprintf("rtsp://127.0.0.1:%d/%s", s.rtsp, name) }

// known is this gateway in a section peers: it may come, but nobody dials it.
func (s *site) known() string { return fmt.Sprintf("  %s: {id: %s}\n", s.name, s.id.ID) }

// reached is this gateway in a section peers, with its addresses.
func (s *site) reached() string {
	return fmt.Sprintf("  %s: {id: %s, addresses: [%s]}\n", s.name, s.id.ID, strings.Join(s.addresses(), ", "))
}

func (s *site) addresses() []string {
	return []string{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", s.overlay), fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", s.overlay)}
}

func peers(list ...string) string { return "peers:\n" + strings.Join(list, "") }

// build makes the gateway from a configuration such as a file has.
func (s *site) build(log *slog.Logger) error {
	text := fmt.Sprintf("rtsp: {listen: \"127.0.0.1:%d\"}\nhls: {listen: \"\"}\nwebrtc: {listen: \"\"}\noverlay: {listen: [%s], mdns: false}\n%s", s.rtsp, strings.Join(s.addresses(), ", "), s.settings)
	c, err := parseConfig(s.name, []byte(text))
	if err != nil {
		return err
	}
	s.gateway, err = newGateway(c, "", s.id, log)
	return err
}

// run runs the gateways until ctx ends; it tells the URLs when all can be played, and how they are from time to time.
func (d *demonstration) run(ctx context.Context, out io.Writer) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range d.sites {
		g.Go(func() error { return s.Run(ctx) })
	}
	g.Go(func() error {
		for _, s := range d.sites {
			select {
			case <-s.server.Ready():
			case <-ctx.Done():
				return nil
			}
		}
		d.introduce(out)
		d.report(ctx, out)
		return nil
	})
	return g.Wait()
}

func (d *demonstration) introduce(out io.Writer) {
	fmt.Fprint(out, "Peergate: three gateways on this machine, in a chain. Each has the same clip, with the time, a\n"+
		"frame counter, and a beep and a flash every second:\n\n")
	for _, s := range d.sites {
		fmt.Fprintf(out, "  %s\n      %s gateway: %s\n", s.url, s.name, s.shows)
	}
	fmt.Fprint(out, "\nOpen them side by side in VLC (Media, Open Network Stream), ffplay or mpv: the frame counters tell\n"+
		"how far one is behind another. Ctrl-C ends the demonstration.\n\n")
}
