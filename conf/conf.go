// Package conf holds the settings of a gateway: one struct for each section of gateway.yml, their defaults, and a
// strict reader that reports all faults of a file at once, each with its line, key, value and remedy.
package conf

import (
	"fmt"
	"maps"
	"os"
	"slices"
)

// Config is a whole configuration, as gateway.yml describes it.
type Config struct {
	Log       Log               `yaml:"log"`
	Data      string            `yaml:"data"` // folder of the key and all else that is kept; "" is the system's usual place
	RTSP      RTSP              `yaml:"rtsp"`
	Users     []User            `yaml:"users"`
	Streams   map[string]Stream `yaml:"streams"` // by name
	Overlay   Overlay           `yaml:"overlay"`
	Peers     map[string]Peer   `yaml:"peers"` // by petname
	Ledger    Ledger            `yaml:"ledger"`
	Transcode Transcode         `yaml:"transcode"`
	HLS       HLS               `yaml:"hls"`
	WebRTC    WebRTC            `yaml:"webrtc"`
	API       API               `yaml:"api"`
}

// Default returns the settings of a gateway without a configuration file.
func Default() Config {
	return Config{
		Log:       defaultLog(),
		RTSP:      defaultRTSP(),
		Overlay:   defaultOverlay(),
		Transcode: defaultTranscode(),
		HLS:       defaultHLS(),
		WebRTC:    defaultWebRTC(),
	}
}

// Load reads a file onto the defaults. The error is an Errors when the file could be read.
func Load(path string) (Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return Parse(path, b)
}

// Parse reads the text of a file onto the defaults; the name is for its errors. The error is an Errors.
func Parse(name string, b []byte) (Config, error) {
	d := newDecoder(name)
	c := Default()
	if d.decode(b, &c) {
		c.check(d)
	}
	if err := d.errors(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// Check finds the faults of a configuration that was not read from a file. The error is an Errors.
func Check(c Config) error {
	d := newDecoder("configuration")
	c.check(d)
	return d.errors()
}

// check finds the faults that only the meaning of the settings shows.
func (c *Config) check(f faults) {
	c.Log.check(f)
	c.RTSP.check(f)
	for i := range c.Users {
		c.Users[i].check(f, fmt.Sprintf("users[%d]", i))
	}
	checkNames(f, c.Users)
	for _, name := range sorted(c.Streams) {
		s := c.Streams[name]
		s.check(f, "streams."+name, name)
	}
	c.Overlay.check(f)
	for _, name := range sorted(c.Peers) {
		p := c.Peers[name]
		p.check(f, "peers."+name, name)
	}
	c.checkPetnames(f)
	c.checkRedirects(f)
	c.Ledger.check(f)
	c.Transcode.check(f)
	c.HLS.check(f)
	c.WebRTC.check(f)
	c.API.check(f)
}

// sorted returns the names of a table in order, so that the same faults come in the same order.
func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
