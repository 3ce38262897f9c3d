package conf

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// aPeer is an ID of the right form.
const aPeer = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"

// TestParse reads one value of each type and what a file may leave out.
func TestParse(t *testing.T) {
	change := func(f func(*Config)) Config {
		c := Default()
		f(&c)
		return c
	}
	stream := func(f func(*Stream)) map[string]Stream {
		var s Stream
		s.setDefaults()
		f(&s)
		return map[string]Stream{"cam": s}
	}
	for _, tt := range []struct {
		name, text string
		want       Config
	}{
		{"empty file", "", Default()},
		{"comment only", "# nothing\n", Default()},
		{"explicit document", "---\n", Default()},
		{"empty sections", "rtsp:\nstreams:\npeers: {}\nusers:\noverlay: ~\n", Default()},
		{"text", "log: {level: debug}", change(func(c *Config) { c.Log.Level = "debug" })},
		{"number as text", "rtsp:\n  listen: :8600", change(func(c *Config) { c.RTSP.Listen = ":8600" })},
		{"duration", "rtsp: {open_timeout: 1m30s}", change(func(c *Config) { c.RTSP.OpenTimeout = 90 * time.Second })},
		{"duration without unit", "rtsp: {start_max_age: 0}", change(func(c *Config) { c.RTSP.StartMaxAge = 0 })},
		{"int", "rtsp: {max_connections: 7}", change(func(c *Config) { c.RTSP.MaxConnections = 7 })},
		{"bool", "overlay: {enabled: false}", change(func(c *Config) { c.Overlay.Enabled = false })},
		{"ports", "rtsp: {udp_ports: 8000-8001}", change(func(c *Config) { c.RTSP.UDPPorts.RTP = 8000 })},
		{"delay", "overlay: {delay: 800ms}", change(func(c *Config) { c.Overlay.Delay = Delay(800 * time.Millisecond) })},
		{"delay auto", "overlay: {delay: auto}", Default()},
		{"rate", "overlay: {upload: 2.5 Mbit/s}", change(func(c *Config) { c.Overlay.Upload = 2_500_000 })},
		{"rate zero", "overlay: {upload: 0}", change(func(c *Config) { c.Overlay.Upload = 0 })},
		{"rate auto", "overlay: {upload: auto}", Default()},
		{"list replaces the default", "overlay: {share: [hq/*, '**']}", change(func(c *Config) { c.Overlay.Share = []string{"hq/*", "**"} })},
		{"empty list", "overlay: {share: []}", change(func(c *Config) { c.Overlay.Share = nil })},
		{"list without value", "overlay: {share: }", change(func(c *Config) { c.Overlay.Share = nil })},
		{"stream", "streams: {cam: {source: 'rtsp://10.0.0.2/x', transport: tcp}}", change(func(c *Config) {
			c.Streams = stream(func(s *Stream) { s.Source, s.Transport = Sources{"rtsp://10.0.0.2/x"}, "tcp" })
		})},
		{"stream of defaults", "streams: {cam: }", change(func(c *Config) { c.Streams = stream(func(*Stream) {}) })},
		{"fingerprint with colons", "streams: {cam: {fingerprint: '" + strings.Repeat("ab:", 31) + "ab'}}", change(func(c *Config) {
			c.Streams = stream(func(s *Stream) { s.Fingerprint = strings.Repeat("ab:", 31) + "ab" })
		})},
		{"peer", "peers: {hq: {id: " + aPeer + ", addresses: [hq.example.org:8555, /ip6/::1/udp/1/quic-v1]}}", change(func(c *Config) {
			c.Peers = map[string]Peer{"hq": {aPeer, []string{"hq.example.org:8555", "/ip6/::1/udp/1/quic-v1"}}}
		})},
		{"channels", "overlay: {channels: [{name: 'public/*', access: open, price: 0.02}, {name: x}]}", change(func(c *Config) {
			c.Overlay.Channels = []Channel{{Name: "public/*", Access: AccessOpen, Price: 20_000}, {Name: "x"}}
		})},
		{"links", "overlay: {links: [{link: 'peergate://" + aPeer + "/x?via=h:1', petname: hq}]}", change(func(c *Config) {
			c.Overlay.Links = []Link{{"peergate://" + aPeer + "/x?via=h:1", "hq"}}
		})},
		{"user", "users: [{name: u, password: 1234, read: ['**'], from: [10.1.2.3/8, '::1']}]", change(func(c *Config) {
			c.Users = []User{{Name: "u", Password: "1234", Read: []string{"**"}, From: []Network{
				{netip.MustParsePrefix("10.0.0.0/8")}, {netip.MustParsePrefix("::1/128")},
			}}}
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse("g.yml", []byte(tt.text))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Parse =\n%+v\nwant\n%+v", got, tt.want)
			}
		})
	}
}

// TestLoad reads a file and tells when there is none.
func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.yml")
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Load of no file: %v, want an error that names it", err)
	}
	if err := os.WriteFile(file, []byte("rtsp: {listen: nowhere}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || !strings.HasPrefix(err.Error(), file+":1: rtsp.listen: ") {
		t.Errorf("Load = %v, want a fault of line 1", err)
	}
}
