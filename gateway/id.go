package main

import (
	"fmt"
	"os"

	"peergate/overlay/p2p"

	"github.com/spf13/cobra"
)

func newID() *cobra.Command {
	return &cobra.Command{
		Use:   "id [gateway.yml]",
		Short: "Print this gateway's ID and addresses",
		Long: `Id prints the ID of this gateway and the addresses at which others reach its overlay, in
the form that they put into the section "peers" of their gateway.yml, under a petname
of their choice. The ID stands for the gateway's key, which is made at first use and kept in
the data folder, readable by its user alone: run id as the user that runs the gateway.

The addresses are those of this machine's network interfaces. Behind a router that translates
addresses, write the router's address instead and forward the port to this machine.`,
		Example: `  gateway id
  gateway id /etc/peergate/gateway.yml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			file, err := configFile(args)
			if err != nil {
				return err
			}
			cfg, err := loadConfig(file)
			if err != nil {
				return err
			}
			folder, err := dataFolder(cfg, os.Getenv)
			if err != nil {
				return err
			}
			id, err := p2p.LoadIdentity(folder)
			if err != nil {
				return err
			}
			addrs, err := p2p.Announce(cfg.Overlay.Listen)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			fmt.Fprintf(out, "id: %s\n", id.ID)
			if len(addrs) > 0 {
				fmt.Fprintln(out, "addresses:")
			}
			for _, a := range addrs {
				fmt.Fprintf(out, "  - %s\n", a)
			}
			return nil
		},
	}
}
