package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"peergate/gateway/web"
	"peergate/overlay"
	"peergate/overlay/access"
	"peergate/overlay/p2p"

	"github.com/spf13/cobra"
)

func newChannels() *cobra.Command {
	var file string
	asJSON, table := false, false
	c := &cobra.Command{
		Use:   "channels [PEER | ID | LINK]",
		Short: "List the channels that gateways tell everybody of",
		Long: `Channels asks a gateway for the channels that it lists for everybody (overlay.channels, directory),
or all peers of the running gateway and that one itself. Each owner signs its list. An owner without
a petname gets the one that you choose with "gateway link LINK --petname NAME".`,
		Example: `  gateway channels
  gateway channels hq
  gateway channels 'peergate://12D3KooW.../lobby?via=/ip4/192.0.2.7/tcp/8555' --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			folder, err := folderFor(file)
			if err != nil {
				return err
			}
			var all web.Catalogue
			if table {
				all, err = web.FetchTableChannels(c.Context(), folder)
			} else {
				all, err = web.FetchChannels(c.Context(), folder, strings.Join(args, ""))
			}
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(all)
			}
			return printChannels(c.OutOrStdout(), &all)
		},
	}
	c.Flags().BoolVar(&table, "dht", false, "ask the gateways that the distributed hash table names (overlay.dht)")
	c.Flags().BoolVar(&asJSON, "json", false, "print the channels as JSON")
	c.Flags().StringVar(&file, "config", "", "the gateway's gateway.yml, by which it is found")
	return c
}

// printChannels prints a line for each channel, and the link where its owner has no petname.
func printChannels(out io.Writer, c *web.Catalogue) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, l := range c.Channels {
		state := "off"
		if l.Live {
			state = "live"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Path, state, l.Access, l.Title, l.Language, strings.Join(l.Tags, ", "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range c.Channels {
		if l.Petname == "" {
			fmt.Fprintf(out, "\nTo call the owner of %s by a name: gateway link '%s' --petname NAME\n", l.Name, l.Link)
		}
	}
	for _, s := range c.Silent {
		fmt.Fprintf(out, "%s: %s\n", s.Gateway, s.Err)
	}
	if len(c.Channels) == 0 && len(c.Silent) == 0 {
		fmt.Fprintln(out, "No channels are listed: an owner lists them by directory in overlay.channels.")
	}
	return nil
}

// Channels asks a gateway for the channels that it lists, or all peers, as the API asks for it.
func (g *gateway) Channels(ctx context.Context, who string) (web.Catalogue, error) {
	all := web.Catalogue{Channels: []web.Listed{}, Silent: []web.Silence{}}
	if g.node == nil {
		return all, errNoOverlay
	}
	if who != "" {
		l, err := g.gatewayOf(who)
		if err != nil {
			return all, err
		}
		d, err := g.node.Directory(ctx, l.Owner, l.Addresses())
		if err != nil {
			return all, err
		}
		all.Channels = append(all.Channels, g.listed(l, d)...)
		return all, nil
	}
	g.mu.Lock()
	owners := []overlay.ShareLink{{Owner: g.id.ID}}
	for _, p := range g.conf.Peers {
		owners = append(owners, overlay.ShareLink{Owner: p2p.ID(p.ID)})
	}
	g.mu.Unlock()
	return g.ask(ctx, owners), nil
}

// tableMost is how many gateways of the table are asked.
const tableMost = 50

// TableChannels asks the gateways that the distributed hash table names, as the API asks for it.
func (g *gateway) TableChannels(ctx context.Context) (web.Catalogue, error) {
	if g.node == nil {
		return web.Catalogue{}, errNoOverlay
	}
	places, err := g.node.Directories(ctx, tableMost)
	if err != nil {
		return web.Catalogue{}, err
	}
	var owners []overlay.ShareLink
	for _, p := range places {
		owners = append(owners, overlay.ShareLink{Owner: p.ID, Via: p.Addresses})
	}
	return g.ask(ctx, owners), nil
}

// ask asks gateways for their directories, all at once.
func (g *gateway) ask(ctx context.Context, owners []overlay.ShareLink) web.Catalogue {
	all := web.Catalogue{Channels: []web.Listed{}, Silent: []web.Silence{}}
	var mu sync.Mutex // guards all
	var asking sync.WaitGroup
	for _, at := range owners {
		asking.Go(func() {
			d, err := g.node.Directory(ctx, at.Owner, at.Addresses())
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				all.Silent = append(all.Silent, web.Silence{Gateway: cmp.Or(g.petname(at.Owner), string(at.Owner)), Err: err.Error()})
				return
			}
			all.Channels = append(all.Channels, g.listed(at, d)...)
		})
	}
	asking.Wait()
	slices.SortFunc(all.Channels, func(a, b web.Listed) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(all.Silent, func(a, b web.Silence) int { return cmp.Compare(a.Gateway, b.Gateway) })
	return all
}

// gatewayOf returns the gateway that a petname, an ID or a link means, as a link of whatever channel.
func (g *gateway) gatewayOf(who string) (overlay.ShareLink, error) {
	if strings.Contains(who, "://") {
		return overlay.ParseShareLink(who)
	}
	if p2p.LooksLikeID(who) {
		id, err := p2p.ParseID(who)
		return overlay.ShareLink{Owner: id}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if p, ok := g.conf.Peers[who]; ok {
		return overlay.ShareLink{Owner: p2p.ID(p.ID)}, nil
	}
	for _, l := range g.conf.Overlay.Links {
		if l.Petname == who {
			return overlay.ShareLink{Owner: p2p.ID(l.Owner())}, nil
		}
	}
	return overlay.ShareLink{}, fmt.Errorf("%q is no petname of a peer, no ID and no link", who)
}

// petname returns that of a gateway, or "".
func (g *gateway) petname(id p2p.ID) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, p := range g.conf.Peers {
		if p.ID == string(id) {
			return name
		}
	}
	for _, l := range g.conf.Overlay.Links {
		if l.Petname != "" && l.Owner() == string(id) {
			return l.Petname
		}
	}
	return ""
}

// listed returns the channels of a directory, whose owner is reached as a link says, in the words of the API.
func (g *gateway) listed(at overlay.ShareLink, d *access.Directory) (all []web.Listed) {
	petname := g.petname(at.Owner)
	for _, l := range d.Listings {
		link := overlay.ShareLink{Owner: at.Owner, Name: l.Name, Via: at.Via}
		n := web.Listed{
			Owner: string(at.Owner), Petname: petname, Name: string(l.Name), Path: link.Path(petname), Link: link.String(), Title: l.Title,
			Description: l.Description, Language: l.Language, Tags: l.Tags, Access: l.Access, Live: l.Live,
		}
		if at.Owner == g.id.ID {
			n.Petname, n.Path = "this gateway", n.Name
			if own, _, err := g.node.Share(l.Name); err == nil {
				n.Link = own.String()
			}
		}
		all = append(all, n)
	}
	return all
}

// Upload has a peer count how fast this gateway can send, as the API asks for it.
func (g *gateway) Upload(ctx context.Context) (web.Upload, error) {
	if g.node == nil {
		return web.Upload{}, errNoOverlay
	}
	u, err := g.node.Gauge(ctx)
	return web.Upload{Peer: u.Peer, Rate: u.Rate}, err
}
