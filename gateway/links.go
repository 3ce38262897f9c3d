package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"peergate/conf"
	"peergate/gateway/web"
	"peergate/media"
	"peergate/overlay"
	"peergate/overlay/p2p"
)

const (
	// linksFile is the name of the file in the data folder that has the links which were given while the gateway ran.
	linksFile = "links.json"
	// maxLinks bounds how many there are.
	maxLinks = 1000
)

// loadLinks reads the links that were given, none when there is no file.
func loadLinks(folder string) ([]conf.Link, error) {
	var all []web.Link
	if err := load(folder, linksFile, "links", &all); err != nil {
		return nil, err
	}
	var links []conf.Link
	for _, l := range all {
		links = append(links, conf.Link{Link: l.Link, Petname: l.Petname})
	}
	return links, nil
}

// saveLinks writes them; a ticket in one is a secret.
func saveLinks(folder string, links []conf.Link) error {
	all := []web.Link{}
	for _, l := range links {
		all = append(all, web.Link{Link: l.Link, Petname: l.Petname})
	}
	return save(folder, linksFile, "links", all)
}

// Share returns the link of a stream, as the API asks for it.
func (g *gateway) Share(stream string) (web.Share, error) {
	if g.node == nil {
		return web.Share{}, errNoOverlay
	}
	name, err := media.ParseName(stream)
	if err != nil {
		return web.Share{}, err
	}
	link, access, err := g.node.Share(name)
	if err != nil {
		return web.Share{}, err
	}
	return web.Share{Link: link.String(), Access: access, Live: g.live(name)}, nil
}

// live tells whether a stream has a publisher, or a source of its own that begins when somebody asks for it.
func (g *gateway) live(name media.Name) bool {
	base, _, _ := strings.Cut(string(name), "~")
	for _, n := range []media.Name{name, media.Name(base)} {
		if st := g.hub.Stream(n); st != nil && st.Stats().Publishing {
			return true
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok := g.conf.Streams[base]
	return ok && !s.Published()
}

// Links returns the links that the gateway has, in the words of the API.
func (g *gateway) Links() []web.Link {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := []web.Link{}
	for i, l := range g.conf.Overlay.Links {
		s, err := overlay.ParseShareLink(l.Link)
		if err != nil {
			continue // it was verified
		}
		all = append(all, web.Link{Link: l.Link, Petname: l.Petname, Path: s.Path(l.Petname), Fixed: i < len(g.file.Overlay.Links)})
	}
	return all
}

// TakeLink has the gateway keep a link; it takes the place of one of the same stream.
func (g *gateway) TakeLink(given web.Link) (web.Link, error) {
	if g.node == nil {
		return given, errNoOverlay
	}
	l, err := overlay.ParseShareLink(given.Link)
	if err != nil {
		return given, err
	}
	if l.Owner == g.id.ID {
		return given, fmt.Errorf("the link is of this gateway itself: its stream is %s here", l.Name)
	}
	taken := conf.Link{Link: l.String(), Petname: given.Petname}
	g.mu.Lock()
	defer g.mu.Unlock()
	next := g.given
	next.links = append(without(next.links, l.Owner, l.Name), taken)
	if len(next.links) > maxLinks {
		return given, fmt.Errorf("there are %d links, which is the most: remove some", maxLinks)
	}
	all := next.added(g.file)
	if err := errors.Join(conf.Check(all), verify(all)); err != nil {
		return given, err
	}
	if err := saveLinks(g.data, next.links); err != nil {
		return given, err
	}
	g.given = next
	g.spread()
	return web.Link{Link: taken.Link, Petname: taken.Petname, Path: l.Path(taken.Petname)}, nil
}

// without returns the links but that of a channel.
func without(links []conf.Link, owner p2p.ID, name media.Name) []conf.Link {
	return slices.DeleteFunc(slices.Clone(links), func(c conf.Link) bool {
		l, err := overlay.ParseShareLink(c.Link)
		return err != nil || l.Owner == owner && l.Name == name
	})
}

// DropLink forgets a link that was given.
func (g *gateway) DropLink(path string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	links := slices.DeleteFunc(slices.Clone(g.given.links), func(c conf.Link) bool {
		l, err := overlay.ParseShareLink(c.Link)
		return err != nil || l.Path(c.Petname) == path
	})
	if len(links) == len(g.given.links) {
		return web.ErrNoLink
	}
	if err := saveLinks(g.data, links); err != nil {
		return err
	}
	g.given.links = links
	g.spread()
	return nil
}
