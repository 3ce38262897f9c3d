package main

import (
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	"peergate/conf"
	"peergate/gateway/web"

	"github.com/spf13/cobra"
)

const (
	// termsFile is the name of the file in the data folder that has the terms which were given while the gateway ran.
	termsFile = "terms.json"
	// maxTerms bounds how many there are.
	maxTerms = 1000
)

// loadTerms reads the terms that were given, none when there is no file.
func loadTerms(folder string) ([]conf.Channel, error) {
	var all []web.Terms
	if err := load(folder, termsFile, "terms", &all); err != nil {
		return nil, err
	}
	var channels []conf.Channel
	for _, t := range all {
		ch, err := channelOf(t)
		if err != nil {
			return nil, fmt.Errorf("terms: %s in the data folder: %w", termsFile, err)
		}
		channels = append(channels, ch)
	}
	return channels, nil
}

func saveTerms(folder string, channels []conf.Channel) error {
	all := []web.Terms{}
	for i := range channels {
		all = append(all, termsOf(&channels[i]))
	}
	return save(folder, termsFile, "terms", all)
}

// channelOf reads terms in the words of the API.
func channelOf(t web.Terms) (ch conf.Channel, err error) {
	ch = conf.Channel{Name: t.Name, Access: t.Access}
	for _, p := range []struct {
		name string
		from float64
		to   *conf.Price
	}{{"price", t.Price, &ch.Price}, {"hourly", t.Hourly, &ch.Hourly}, {"credit", t.Credit, &ch.Credit}} {
		if *p.to, err = conf.ParsePrice(p.from); err != nil {
			return ch, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if d := t.Directory; d != nil {
		ch.Directory = conf.Directory{Title: d.Title, Description: d.Description, Language: d.Language, Tags: d.Tags}
	}
	return ch, nil
}

// termsOf returns terms in the words of the API.
func termsOf(ch *conf.Channel) web.Terms {
	t := web.Terms{Name: ch.Name, Access: ch.Access, Price: ch.Price.Units(), Hourly: ch.Hourly.Units(), Credit: ch.Credit.Units()}
	if t.Access == "" {
		t.Access = conf.AccessListed
	}
	if d := ch.Directory; d.Lists() {
		t.Directory = &web.Entry{Title: d.Title, Description: d.Description, Language: d.Language, Tags: d.Tags}
	}
	return t
}

// Terms returns the terms at which streams are shared, in the words of the API.
func (g *gateway) Terms() []web.Terms {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := []web.Terms{}
	for i := range g.conf.Overlay.Channels {
		t := termsOf(&g.conf.Overlay.Channels[i])
		t.Fixed = i >= len(g.conf.Overlay.Channels)-len(g.file.Overlay.Channels)
		all = append(all, t)
	}
	return all
}

// SetTerms has the gateway share streams by terms from now on.
func (g *gateway) SetTerms(t web.Terms) error {
	if g.node == nil {
		return errNoOverlay
	}
	ch, err := channelOf(t)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.IndexFunc(g.conf.Overlay.Channels, func(c conf.Channel) bool { return c.Name == ch.Name }); i >= 0 && t.Directory == nil {
		ch.Directory = g.conf.Overlay.Channels[i].Directory
	}
	next := g.given
	next.channels = slices.DeleteFunc(slices.Clone(next.channels), func(c conf.Channel) bool { return c.Name == ch.Name })
	if len(next.channels) >= maxTerms {
		return fmt.Errorf("there are terms for %d patterns, which is the most: remove some", maxTerms)
	}
	next.channels = slices.Insert(next.channels, 0, ch)
	all := next.added(g.file)
	if err := errors.Join(conf.Check(all), verify(all)); err != nil {
		return err
	}
	if err := saveTerms(g.data, next.channels); err != nil {
		return err
	}
	g.given = next
	g.spread()
	return nil
}

// DropTerms forgets terms that were given.
func (g *gateway) DropTerms(pattern string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(g.given.channels), func(c conf.Channel) bool { return c.Name == pattern })
	if len(left) == len(g.given.channels) {
		return web.ErrNoTerms
	}
	if err := saveTerms(g.data, left); err != nil {
		return err
	}
	g.given.channels = left
	g.spread()
	return nil
}

func newTerms() *cobra.Command {
	var t web.Terms
	var remove bool
	var file string
	c := &cobra.Command{
		Use:   "terms [PATTERN]",
		Short: "Say at which terms the running gateway shares streams, or list that",
		Long: `Terms has the running gateway share the streams of a pattern at other terms: who may have them,
and what is charged and credited. They come before those in overlay.channels of gateway.yml and are
kept across restarts. Without a pattern, all are listed in the order in which they are looked at.`,
		Example: `  gateway terms 'live/*' --access open --price 0.02 --credit 0.01
  gateway terms
  gateway terms 'live/*' --remove`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			folder, err := folderFor(file)
			switch {
			case err != nil:
				return err
			case len(args) == 0 && c.Flags().NFlag() > 0 && file == "":
				return errors.New("for which streams? Write a name, or a pattern such as live/*")
			case len(args) == 0:
				return listTerms(c, folder)
			case remove:
				return web.RemoveTerms(c.Context(), folder, args[0])
			}
			t.Name = args[0]
			return web.GiveTerms(c.Context(), folder, t)
		},
	}
	c.Flags().StringVar(&t.Access, "access", conf.AccessListed, "who may have them: listed, open or members")
	c.Flags().Float64Var(&t.Price, "price", 0, "for each GB that a gateway with players gets")
	c.Flags().Float64Var(&t.Hourly, "hourly", 0, "for each hour that a player watches")
	c.Flags().Float64Var(&t.Credit, "credit", 0, "for each GB that a gateway gives to others")
	c.Flags().BoolVar(&remove, "remove", false, "forget what was given for the pattern")
	c.Flags().StringVar(&file, "config", "", "the gateway's gateway.yml, by which it is found")
	return c
}

func listTerms(c *cobra.Command, folder string) error {
	all, err := web.FetchTerms(c.Context(), folder)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "streams\taccess\tprice\thourly\tcredit\t")
	for _, t := range all {
		from := ""
		if t.Fixed {
			from = "(gateway.yml)"
		}
		fmt.Fprintf(w, "%s\t%s\t%v\t%v\t%v\t%s\n", t.Name, t.Access, t.Price, t.Hourly, t.Credit, from)
	}
	return w.Flush()
}
