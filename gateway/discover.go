package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"peergate/rtsp/onvif"

	"github.com/spf13/cobra"
)

const (
	// probePort is where devices hear probes.
	probePort = "3702"
	// passwordVariable has the cameras' password: arguments are seen by everybody on the machine.
	passwordVariable = "PEERGATE_CAMERA_PASSWORD"
)

func newDiscover() *cobra.Command {
	var user string
	var wait time.Duration
	asJSON := false
	c := &cobra.Command{
		Use:   "discover [address]...",
		Short: "Find cameras in the local network",
		Long: `Discover asks for ONVIF cameras in the networks of this machine, or at the given addresses alone,
and prints the URLs of their streams as entries for gateway.yml.

Most cameras tell their URLs only to a user of theirs: give the name with --user and the password in the
environment variable ` + passwordVariable + `. It is not sent in plain text, and not printed.`,
		Example: `  gateway discover
  ` + passwordVariable + `=secret gateway discover --user viewer
  gateway discover --user viewer 192.168.1.20`,
		RunE: func(c *cobra.Command, args []string) error {
			at, err := deviceAddresses(args)
			if err != nil {
				return err
			}
			all, err := discover(c.Context(), at, wait, user, os.Getenv(passwordVariable))
			if err != nil {
				return fmt.Errorf("discover: %w", err)
			}
			if asJSON {
				return devicesJSON(c.OutOrStdout(), all)
			}
			printDevices(c.OutOrStdout(), all)
			return nil
		},
	}
	c.Flags().StringVar(&user, "user", "", "name of a user of the cameras")
	c.Flags().DurationVar(&wait, "wait", 3*time.Second, "how long to wait for answers")
	c.Flags().BoolVar(&asJSON, "json", false, "print the cameras as JSON")
	return c
}

// deviceAddresses reads addresses with or without a port.
func deviceAddresses(args []string) ([]netip.AddrPort, error) {
	var at []netip.AddrPort
	for _, s := range args {
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			host, port = s, probePort
		}
		a, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
		if err != nil || !a.Addr().Unmap().Is4() {
			return nil, fmt.Errorf("discover: %q is no IPv4 address such as 192.168.1.20", s)
		}
		at = append(at, a)
	}
	return at, nil
}

// discover finds cameras and asks each for its streams.
func discover(ctx context.Context, at []netip.AddrPort, wait time.Duration, user, password string) ([]onvif.Device, error) {
	find, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	all, err := onvif.Find(find, at)
	if err != nil {
		return nil, err
	}
	var asking sync.WaitGroup
	for i := range all {
		asking.Go(func() { all[i].Ask(ctx, user, password) })
	}
	asking.Wait()
	return all, nil
}

// printDevices prints cameras as a section of gateway.yml.
func printDevices(out io.Writer, all []onvif.Device) {
	if len(all) == 0 {
		fmt.Fprintln(out, "# No camera has answered. Some have ONVIF switched off; others are in another network: give their addresses.")
		return
	}
	fmt.Fprintln(out, "# Put the user and password into the URLs, as rtsp://user:password@..., and choose names.\nstreams:")
	for _, d := range all {
		fmt.Fprintf(out, "  # %s: %s\n", d.Address, strings.TrimSpace(d.Name+" "+d.Hardware))
		if d.Err != nil {
			fmt.Fprintf(out, "  # it does not tell its streams: %v (see --user)\n", d.Err)
		}
		for i, s := range d.Streams {
			fmt.Fprintf(out, "  camera-%s-%d:  # %s, %s %dx%d\n    source: %q\n", strings.NewReplacer(".", "-", ":", "-").Replace(d.Address.String()), i+1, s.Profile, s.Codec, s.Width, s.Height, s.URL)
		}
	}
}

// devicesJSON prints cameras for programs.
func devicesJSON(out io.Writer, all []onvif.Device) error {
	type stream struct {
		Profile string `json:"profile"`
		URL     string `json:"url"`
		Codec   string `json:"codec"`
		Width   int    `json:"width"`
		Height  int    `json:"height"`
	}
	type device struct {
		Address  string   `json:"address"`
		Name     string   `json:"name"`
		Hardware string   `json:"hardware"`
		Err      string   `json:"err"` // why it does not tell its streams
		Streams  []stream `json:"streams"`
	}
	list := []device{}
	for _, d := range all {
		j := device{Address: d.Address.String(), Name: d.Name, Hardware: d.Hardware, Streams: []stream{}}
		if d.Err != nil {
			j.Err = d.Err.Error()
		}
		for _, s := range d.Streams {
			j.Streams = append(j.Streams, stream(s))
		}
		list = append(list, j)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(list)
}
