package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"peergate/gateway/web"

	"github.com/spf13/cobra"
)

func newTicket() *cobra.Command {
	c := &cobra.Command{
		Use:   "ticket",
		Short: "Say who may watch this gateway's members-only streams",
		Long: `Ticket issues, lists and revokes the tickets of this gateway, which has to be running. A stream
is for members only when overlay.channels of gateway.yml says so (access: members). Its packets
are then sealed: other gateways may carry them, and only those with a ticket are given the keys.

The gateway is found by its data folder: give the same gateway.yml as to "gateway run", and run
the command as the same user.`,
		Example: `  gateway ticket issue --for 12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA
  gateway ticket issue --bearer --uses 10 --channels 'club/*' --expires 7d
  gateway ticket list
  gateway ticket revoke 6f3a09c1d2e4b587`,
	}
	c.AddCommand(newTicketIssue(), newTicketList(), newTicketRevoke())
	return c
}

// ticketFlags say what ticket to issue.
type ticketFlags struct {
	gateway  string
	bearer   bool
	uses     int
	channels []string
	expires  string
}

func newTicketIssue() *cobra.Command {
	f := &ticketFlags{}
	c := &cobra.Command{
		Use:   "issue [gateway.yml]",
		Short: "Issue a ticket and print it",
		Long: `Issue prints a new ticket, which is not kept here: whoever it is for puts it into overlay.tickets
of their gateway.yml. With --for it is worth something to that gateway alone. With --bearer
anybody may use it who has it: treat it as a password. Each gateway that uses it counts once and
keeps its place; after --uses gateways others are refused.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o, err := f.order()
			if err != nil {
				return err
			}
			folder, err := folderOf(args)
			if err != nil {
				return err
			}
			t, err := web.Issue(c.Context(), folder, o)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.ErrOrStderr(), describeTicket(&t.Ticket))
			fmt.Fprintln(c.OutOrStdout(), t.Text)
			return nil
		},
	}
	c.Flags().StringVar(&f.gateway, "for", "", "ID of the gateway that it is for, as \"gateway id\" prints it there")
	c.Flags().BoolVar(&f.bearer, "bearer", false, "for whoever has it")
	c.Flags().IntVar(&f.uses, "uses", 1, "how many gateways may use a --bearer ticket")
	c.Flags().StringSliceVar(&f.channels, "channels", []string{"**"}, "patterns of this gateway's streams that it is for")
	c.Flags().StringVar(&f.expires, "expires", "30d", "how long it is good for, such as 90m, 12h or 30d")
	c.MarkFlagsMutuallyExclusive("for", "bearer")
	c.MarkFlagsOneRequired("for", "bearer")
	return c
}

// order turns the flags into what the API takes.
func (f *ticketFlags) order() (web.TicketOrder, error) {
	d, err := parseLife(f.expires)
	if err != nil {
		return web.TicketOrder{}, fmt.Errorf("--expires: %w", err)
	}
	o := web.TicketOrder{Gateway: f.gateway, Channels: f.channels, Seconds: int64(d / time.Second)}
	if f.bearer {
		if o.Uses = f.uses; o.Uses < 1 {
			return o, errors.New("--uses: must be at least 1")
		}
	}
	return o, nil
}

// parseLife reads a duration, in which 30d is thirty days.
func parseLife(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok && err != nil {
		var n int
		if n, err = strconv.Atoi(days); err == nil && n <= 36500 {
			d = time.Duration(n) * 24 * time.Hour
		}
	}
	if err != nil || d < time.Second {
		return 0, fmt.Errorf("%q is not a time such as 90m, 12h or 30d", s)
	}
	return d, nil
}

func newTicketList() *cobra.Command {
	return &cobra.Command{
		Use:   "list [gateway.yml]",
		Short: "List the tickets that were issued",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			folder, err := folderOf(args)
			if err != nil {
				return err
			}
			all, err := web.FetchTickets(c.Context(), folder)
			if err != nil {
				return err
			}
			return printTickets(c.OutOrStdout(), all, time.Now())
		},
	}
}

func newTicketRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke SERIAL [gateway.yml]",
		Short: "End a ticket",
		Long: `Revoke ends a ticket. Whoever watches by it is given no more keys, and the keys in use are
replaced at once: within ten seconds nothing more can be read. Others see nothing of it.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			folder, err := folderOf(args[1:])
			if err != nil {
				return err
			}
			return web.Revoke(c.Context(), folder, args[0])
		},
	}
}

// folderOf returns the data folder of the gateway that runs with the configuration file of a command line.
func folderOf(args []string) (string, error) {
	file, err := configFile(args)
	if err != nil {
		return "", err
	}
	cfg, err := loadConfig(file)
	if err != nil {
		return "", err
	}
	return dataFolder(cfg, os.Getenv)
}

// folderFor is folderOf for a file that a flag names, "" when it does not.
func folderFor(file string) (string, error) {
	if file == "" {
		return folderOf(nil)
	}
	return folderOf([]string{file})
}

// describeTicket tells of a ticket in a line.
func describeTicket(t *web.Ticket) string {
	who := "gateway " + t.Gateway
	if t.Gateway == "" {
		who = fmt.Sprintf("whoever has it, %d at most", t.Uses)
	}
	return fmt.Sprintf("ticket %s, for %s: %s until %s", t.Serial, who, strings.Join(t.Channels, " "), t.Expires.Local().Format(time.DateTime))
}

// printTickets prints a table of tickets.
func printTickets(out io.Writer, all []web.Ticket, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SERIAL\tSTATE\tEXPIRES\tCHANNELS\tFOR")
	for i := range all {
		t := &all[i]
		state, who := "valid", t.Gateway
		switch {
		case t.Revoked != nil:
			state = "revoked"
		case !now.Before(t.Expires):
			state = "expired"
		}
		if t.Gateway == "" {
			who = fmt.Sprintf("bearer, %d of %d used", len(t.Used), t.Uses)
			for _, u := range t.Used {
				who += " " + u.Gateway
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.Serial, state, t.Expires.Local().Format(time.DateTime), strings.Join(t.Channels, " "), who)
	}
	return w.Flush()
}
