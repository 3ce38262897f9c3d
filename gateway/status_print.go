package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"peergate/gateway/web"

	"github.com/spf13/cobra"
)

// statusTimeout is how long the running gateway may take to answer.
const statusTimeout = 10 * time.Second

func newStatus() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "status [gateway.yml]",
		Short: "Tell what the running gateway does",
		Long: `Status asks the gateway that runs on this machine, with the data folder that the configuration
names, for its streams, players, peers and channels: who sends what, who gets it, how far the
owner is, and how late the media come.

Run it as the user that runs the gateway.`,
		Example: `  gateway status
  gateway status --json /etc/peergate/gateway.yml | jq .overlay.peers`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			st, err := askStatus(c.Context(), args)
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(st)
			}
			return printStatus(c.OutOrStdout(), st, time.Now())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print all of it as JSON")
	return c
}

// askStatus asks the gateway that runs with the configuration of the arguments.
func askStatus(ctx context.Context, args []string) (web.Status, error) {
	file, err := configFile(args)
	if err != nil {
		return web.Status{}, err
	}
	cfg, err := loadConfig(file)
	if err != nil {
		return web.Status{}, err
	}
	folder, err := dataFolder(cfg, os.Getenv)
	if err != nil {
		return web.Status{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	return web.Fetch(ctx, folder)
}

// printStatus writes a status as tables.
func printStatus(out io.Writer, st web.Status, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "peergate %s, since %s", st.Version, age(st.Since, now))
	if st.ID != "" {
		fmt.Fprintf(w, ", %s", st.ID)
	}
	fmt.Fprintf(w, "\n%s, %s, %s; in %s, out %s\n", count(st.RTSP.Players, "player"), count(st.RTSP.Publishers, "publisher"),
		count(st.RTSP.Connections, "connection"), size(st.RTSP.BytesIn), size(st.RTSP.BytesOut))
	fmt.Fprintln(w, "\nSTREAM\tFROM\tTRACKS\tREADERS\tBYTES\tLOST\tSINCE")
	for _, s := range st.Streams {
		from := s.Kind + " " + s.Remote
		if !s.Publishing {
			from += " (gone)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\t%s\n", s.Name, from, strings.Join(s.Tracks, ","), s.Subscribers, size(s.Bytes), s.Lost, age(s.Since, now))
	}
	if len(st.RTSP.Sessions) > 0 {
		printSessions(w, st.RTSP.Sessions, now)
	}
	if len(st.WebRTC.Sessions) > 0 {
		printWebRTC(w, st.WebRTC.Sessions, now)
	}
	if len(st.HLS.Streams) > 0 {
		printHLS(w, st.HLS.Streams, now)
	}
	if len(st.Renditions) > 0 {
		printRenditions(w, st.Renditions, now)
	}
	if st.Overlay != nil {
		printOverlay(w, st.Overlay)
	}
	return w.Flush()
}

func printSessions(w io.Writer, all []web.Session, now time.Time) {
	fmt.Fprintln(w, "\nCLIENT\tUSER\tSTREAM\tDOES\tBY\tBYTES\tSKIPPED\tLOST\tSINCE")
	for _, s := range all {
		does := "plays"
		if s.Publisher {
			does = "publishes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", s.Remote, s.User, s.Stream, does, s.Transport, size(s.Bytes), s.Skipped, s.Lost, age(s.Since, now))
	}
}

func printWebRTC(w io.Writer, all []web.WebRTCSession, now time.Time) {
	fmt.Fprintln(w, "\nWEBRTC\tUSER\tSTREAM\tDOES\tBYTES\tSINCE")
	for _, s := range all {
		does := "plays"
		if s.Publisher {
			does = "publishes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Remote, s.User, s.Stream, does, size(s.Bytes), age(s.Since, now))
	}
}

func printHLS(w io.Writer, all []web.HLSStream, now time.Time) {
	fmt.Fprintln(w, "\nHLS\tFROM\tPLAYERS\tBYTES\tSINCE")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", s.Name, s.Source, s.Players, size(s.Bytes), age(s.Since, now))
	}
}

func printRenditions(w io.Writer, all []web.Rendition, now time.Time) {
	fmt.Fprintln(w, "\nRENDITION\tPROCESS\tFRAMES\tSPEED\tRESTARTS\tSINCE\tLAST ERROR")
	for _, r := range all {
		fmt.Fprintf(w, "%s\t%d\t%d\t%.2f\t%d\t%s\t%s\n", r.Name, r.Process, r.Frames, r.Speed, r.Restarts, age(r.Since, now), r.Err)
	}
}

func printOverlay(w io.Writer, o *web.Overlay) {
	printReach(w, &o.Reach)
	fmt.Fprintf(w, "\nPEER\tSTATE\tWAY\tRTT\tADDRESS\tVERSION\n")
	for _, p := range o.Peers {
		switch {
		case p.Connected:
			fmt.Fprintf(w, "%s\tconnected\t%s, %s\t%.1f ms\t%s\t%s\n", p.Name, p.Way, p.Transport, p.RTTMS, p.Remote, p.Version)
		case p.Err != "":
			fmt.Fprintf(w, "%s\tunreachable: %s\n", p.Name, p.Err)
		default:
			fmt.Fprintf(w, "%s\tnot connected\n", p.Name)
		}
	}
	if len(o.Channels) == 0 {
		return
	}
	fmt.Fprintln(w, "\nCHANNEL\tSTATE\tHOPS\tPARENTS\tCHILDREN\tLAG\tIN\tOUT\tREPAIRED\tSKIPPED")
	for _, c := range o.Channels {
		state := c.State
		if c.Why != "" {
			state += ": " + c.Why
		}
		if c.Own {
			state = "own"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%.0f ms\t%s\t%s\t%d\t%d\n", channelName(c), state, c.Depth, list(c.Parents), list(c.Children),
			c.LagMS, size(c.BytesIn), size(c.BytesOut), c.Chunks.Repaired, c.Chunks.Skipped)
	}
	for _, c := range o.Channels {
		if !c.Own || len(c.Children) > 0 {
			printStripes(w, c)
		}
		if len(c.Trackers) > 0 {
			fmt.Fprintf(w, "\n%s: trackers %s\n", channelName(c), list(c.Trackers))
		}
		if c.Own && c.Saved > 0 {
			fmt.Fprintf(w, "\n%s: uplink saved %s, which members had from each other\n", c.Name, size(c.Saved))
		}
	}
}

// printReach writes how others reach this gateway, what is known of it.
func printReach(w io.Writer, r *web.Reach) {
	if r.NAT == "" {
		return
	}
	fmt.Fprintf(w, "\nNAT %s", r.NAT)
	if len(r.Seen) > 0 {
		fmt.Fprintf(w, ", seen at %s", strings.Join(r.Seen, ", "))
	}
	for _, way := range []struct{ name, said string }{{"TCP", r.TCP}, {"QUIC", r.QUIC}} {
		if way.said != "" {
			fmt.Fprintf(w, "; reached over %s: %s", way.name, way.said)
		}
	}
	if len(r.Relays) > 0 {
		fmt.Fprintf(w, "; through %s", strings.Join(r.Relays, ", "))
	}
	fmt.Fprintln(w)
}

// printStripes writes the stripes of a channel; those next to each other that are alike share a line.
func printStripes(w io.Writer, c web.Channel) {
	fmt.Fprintf(w, "\n%s: STRIPES\tPARENT\tBACKUPS\tCHILDREN\tHOPS\n", channelName(c))
	for i := 0; i < len(c.Stripes); {
		s, first := c.Stripes[i], i
		for i < len(c.Stripes) && reflect.DeepEqual(c.Stripes[i], s) {
			i++
		}
		stripes := fmt.Sprint(first)
		if i-1 > first {
			stripes += fmt.Sprintf("-%d", i-1)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\n", stripes, list([]string{s.Parent}), list(s.Backups), list(s.Children), s.Depth)
	}
}

// channelName is what the channel is called here.
func channelName(c web.Channel) string {
	if c.Own {
		return c.Name
	}
	return c.Owner + "/" + c.Name
}

// list joins names; none are a dash.
func list(names []string) string {
	if s := strings.Join(names, ","); s != "" {
		return s
	}
	return "-"
}

// size returns bytes as people read them.
func size(n uint64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	v, i := float64(n), 0
	for v >= 1000 && i < len(units)-1 {
		v /= 1000
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}

// age tells how long ago something was, to the second.
func age(t, now time.Time) string { return now.Sub(t).Truncate(time.Second).String() }
