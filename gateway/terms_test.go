package main

import (
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"peergate/gateway/web"
	"peergate/overlay/p2p"
)

// TestTerms gives terms to a gateway that runs: they come before those of its file, are kept, and are checked like those.
func TestTerms(t *testing.T) {
	text := "overlay: {listen: [/ip4/127.0.0.1/tcp/0], mdns: false, channels: [{name: 'live/*', price: 0.5, directory: {title: Hall}}]}\n"
	folder := t.TempDir()
	id, err := p2p.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	begin := func() *gateway {
		t.Helper()
		g, err := newGateway(config(t, text), folder, id, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	g := begin()
	fixed := web.Terms{Name: "live/*", Access: "listed", Price: 0.5, Directory: &web.Entry{Title: "Hall"}, Fixed: true}
	given := web.Terms{Name: "live/*", Access: "open", Price: 0.25, Credit: 0.000001}
	if err := g.SetTerms(given); err != nil {
		t.Fatal(err)
	}
	given.Directory = fixed.Directory // as before
	for range 2 {
		if all := g.Terms(); !reflect.DeepEqual(all, []web.Terms{given, fixed}) {
			t.Errorf("Terms = %+v", all)
		}
		if c := g.conf.Overlay.Channels[0]; c.Price != 250_000 || c.Credit != 1 {
			t.Errorf("the configuration has %+v", c)
		}
		g = begin()
	}
	for _, c := range []struct {
		terms web.Terms
		want  string
	}{
		{web.Terms{Name: "live/*", Access: "everybody"}, "must be one of listed, open, members"},
		{web.Terms{Name: "x", Price: -1}, "price: is -1, must be a number such as 0.02"},
		{web.Terms{Name: "x", Credit: 0.0000001}, "credit: is 1e-07"},
		{web.Terms{}, "name"},
	} {
		if err := g.SetTerms(c.terms); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("SetTerms(%+v) = %v, want %q", c.terms, err, c.want)
		}
	}
	if err := g.DropTerms("live/*"); err != nil {
		t.Error(err)
	}
	if err := g.DropTerms("live/*"); err != web.ErrNoTerms {
		t.Errorf("DropTerms = %v, want %v", err, web.ErrNoTerms)
	}
	if all := g.Terms(); !reflect.DeepEqual(all, []web.Terms{fixed}) {
		t.Errorf("Terms = %+v, want those of the file alone", all)
	}
}
