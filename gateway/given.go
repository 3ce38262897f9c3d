package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"peergate/conf"
)

// given is what the gateway was told over its API, to be kept beside the configuration.
type given struct {
	links    []conf.Link
	channels []conf.Channel
}

// loadGiven reads what was given to an earlier process.
func loadGiven(folder string) (g given, err error) {
	if g.links, err = loadLinks(folder); err != nil {
		return g, err
	}
	g.channels, err = loadTerms(folder)
	return g, err
}

// load reads a file of the data folder; what names what is in it. It is left alone when there is none.
func load(folder, name, what string, v any) error {
	path := filepath.Join(folder, name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %s is damaged: correct or remove it: %w", what, path, err)
	}
	return nil
}

// save writes a file of the data folder, which its user alone can read.
func save(folder, name, what string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(folder, name)
	if err = os.WriteFile(path+".new", append(b, '\n'), 0o600); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("keep the %s: %w", what, err)
	}
	return nil
}

// with returns a configuration with what was given beside its own. What contradicts it is left out.
func (g *given) with(c conf.Config) conf.Config {
	if all := g.added(c); conf.Check(all) == nil {
		return all
	}
	for _, l := range g.links {
		one := given{links: []conf.Link{l}}
		if next := one.added(c); conf.Check(next) == nil {
			c = next
		}
	}
	for _, ch := range slices.Backward(g.channels) {
		one := given{channels: []conf.Channel{ch}}
		if next := one.added(c); conf.Check(next) == nil {
			c = next
		}
	}
	return c
}

// added returns a configuration with all that was given: terms come first, so that they count.
func (g *given) added(c conf.Config) conf.Config {
	c.Overlay.Links = slices.Concat(c.Overlay.Links, g.links)
	c.Overlay.Channels = slices.Concat(g.channels, c.Overlay.Channels)
	return c
}
