package main

import (
	"fmt"
	"text/tabwriter"

	"peergate/gateway/web"

	"github.com/spf13/cobra"
)

func newLink() *cobra.Command {
	var petname, remove, file string
	c := &cobra.Command{
		Use:   "link [LINK]",
		Short: "Give a link to the running gateway, or list those it has",
		Long: `Link gives the running gateway the link of somebody else's stream, which "gateway share" has
printed there, and prints the name under which players have the stream here from now on. The
gateway keeps it across restarts; links can also stand in overlay.links of gateway.yml. Without a
link, those that the gateway has are listed.`,
		Example: `  gateway link 'peergate://12D3KooW.../lobby?via=/ip4/192.0.2.7/tcp/8555' --petname hall
  gateway link
  gateway link --remove hall/lobby`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			folder, err := folderFor(file)
			switch {
			case err != nil:
				return err
			case remove != "":
				return web.RemoveLink(c.Context(), folder, remove)
			case len(args) == 0:
				return listLinks(c, folder)
			}
			l, err := web.GiveLink(c.Context(), folder, web.Link{Link: args[0], Petname: petname})
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), l.Path)
			return nil
		},
	}
	c.Flags().StringVar(&petname, "petname", "", "of the owner, the first part of the stream's name here; without it, the owner's ID")
	c.Flags().StringVar(&remove, "remove", "", "forget the link of this name")
	c.Flags().StringVar(&file, "config", "", "the gateway's gateway.yml, by which it is found")
	return c
}

func listLinks(c *cobra.Command, folder string) error {
	all, err := web.FetchLinks(c.Context(), folder)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, l := range all {
		from := ""
		if l.Fixed {
			from = "(gateway.yml)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", l.Path, l.Link, from)
	}
	return w.Flush()
}
