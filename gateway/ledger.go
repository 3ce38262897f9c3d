package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"peergate/gateway/web"

	"github.com/spf13/cobra"
)

func newLedger() *cobra.Command {
	c := &cobra.Command{
		Use:   "ledger",
		Short: "Tell who carried what of this gateway's streams",
		Long: `Ledger tells what other gateways got of this gateway's streams and what they gave to others,
as they have acknowledged to each other, and what follows from the prices in overlay.channels.

It reads the ledger itself, whether the gateway runs or not: run it as the user that runs the
gateway. Times are days in UTC such as 2026-05-01, or such as 2026-05-01T12:00:00Z; what is
at --to itself does not count any more.`,
	}
	c.AddCommand(newReport(), newStatement(), newDispute(), newVerify())
	return c
}

// period are the flags for a time.
type period struct{ from, to string }

func (p *period) flags(c *cobra.Command) {
	c.Flags().StringVar(&p.from, "from", "", "first day or time; without it, the beginning")
	c.Flags().StringVar(&p.to, "to", "", "day or time before which; without it, now")
}

// style is the flag for the form of the output.
type style string

func (f *style) flag(c *cobra.Command) {
	c.Flags().StringVar((*string)(f), "format", "table", "table, csv or json")
}

// check tells whether it is one.
func (f style) check() error {
	switch f {
	case "table", "csv", "json":
		return nil
	}
	return fmt.Errorf("--format is %q, must be table, csv or json", string(f))
}

// withBooks opens the ledger for a command.
func withBooks(c *cobra.Command, args []string, f func(ctx context.Context, b *books) error) error {
	file, err := configFile(args)
	if err != nil {
		return err
	}
	b, err := openBooks(c.Context(), file)
	if err != nil {
		return err
	}
	defer b.close()
	return f(c.Context(), b)
}

func newReport() *cobra.Command {
	var p period
	var f style
	by := "peer"
	c := &cobra.Command{
		Use:   "report [gateway.yml]",
		Short: "Sum up by peer, channel or day",
		Example: `  gateway ledger report
  gateway ledger report --by day --from 2026-05-01 --to 2026-06-01 --format csv /etc/peergate/gateway.yml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			from, to, err := web.Period(p.from, p.to, time.Now())
			if err == nil {
				err = f.check()
			}
			if err != nil {
				return err
			}
			return withBooks(c, args, func(ctx context.Context, b *books) error {
				all, err := b.report(ctx, by, from, to)
				if err != nil {
					return err
				}
				return printSums(c.OutOrStdout(), f, by, all)
			})
		},
	}
	c.Flags().StringVar(&by, "by", by, "peer, channel or day")
	p.flags(c)
	f.flag(c)
	return c
}

func newDispute() *cobra.Command {
	var p period
	var f style
	c := &cobra.Command{
		Use:   "dispute [gateway.yml]",
		Short: "Tell what was refused and why",
		Long: `Dispute lists what the ledger has refused or noted: when, why, who handed it in, between whom
it was, and how many bytes were not credited. The number of the entry names the place in the
ledger that keeps what proves it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			from, to, err := web.Period(p.from, p.to, time.Now())
			if err == nil {
				err = f.check()
			}
			if err != nil {
				return err
			}
			return withBooks(c, args, func(ctx context.Context, b *books) error {
				all, err := b.disputes(ctx, from, to)
				if err != nil {
					return err
				}
				return printDisputes(c.OutOrStdout(), f, all)
			})
		},
	}
	p.flags(c)
	f.flag(c)
	return c
}

func newVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify [gateway.yml]",
		Short: "Check the whole ledger",
		Long: `Verify reads the ledger from its first entry to its last: each is chained to the one before by
its hash, each receipt and lease is signed, and the tables from which reports are made say the
same. The exit code is 1 when something was changed, with the first entry that is wrong.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return withBooks(c, args, func(ctx context.Context, b *books) error {
				v, err := b.verify(ctx)
				if err != nil {
					return err
				}
				fmt.Fprintf(c.OutOrStdout(), "the ledger of %s is whole: %d entries, %d receipts, %d leases, %d disputes; it ends with %s\n",
					v.Owner, v.Entries, v.Receipts, v.Leases, v.Disputes, v.Head)
				return nil
			})
		},
	}
}

func newStatement() *cobra.Command {
	var p period
	var f style
	owner := ""
	c := &cobra.Command{
		Use:   "statement PEER [gateway.yml]",
		Short: "Tell what a peer is charged and credited, with proofs",
		Long: `Statement tells what a gateway, by its petname or ID, is charged and credited, for each channel,
and the balance, with the newest receipts that prove it in the form json.

With --owner it is this gateway's own statement in the ledger of another one: the running
gateway asks for it over the overlay, in a letter signed with its key.`,
		Example: `  gateway ledger statement studio
  gateway ledger statement --owner hq`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			from, to, err := web.Period(p.from, p.to, time.Now())
			if err == nil {
				err = f.check()
			}
			if err != nil {
				return err
			}
			if owner != "" {
				s, err := askStatement(c.Context(), args, owner, &p)
				if err != nil {
					return err
				}
				return printStatement(c.OutOrStdout(), f, s)
			}
			if len(args) == 0 {
				return fmt.Errorf("say whose statement, or --owner: see \"gateway help ledger statement\"")
			}
			return withBooks(c, args[1:], func(ctx context.Context, b *books) error {
				s, err := b.statement(ctx, args[0], from, to)
				if err != nil {
					return err
				}
				return printStatement(c.OutOrStdout(), f, s)
			})
		},
	}
	c.Flags().StringVar(&owner, "owner", "", "petname or ID of the gateway whose ledger to ask for this gateway's own statement")
	p.flags(c)
	f.flag(c)
	return c
}

// askStatement has the running gateway ask an owner.
func askStatement(ctx context.Context, args []string, owner string, p *period) (*web.Statement, error) {
	file, err := configFile(args)
	if err != nil {
		return nil, err
	}
	cfg, err := loadConfig(file)
	if err != nil {
		return nil, err
	}
	folder, err := dataFolder(cfg, os.Getenv)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*statusTimeout)
	defer cancel()
	q := url.Values{"owner": {owner}, "from": {p.from}, "to": {p.to}}
	return web.FetchStatement(ctx, folder, q)
}
