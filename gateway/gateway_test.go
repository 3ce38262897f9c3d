package main

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"peergate/conf"
	"peergate/overlay/p2p"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtp"
)

// live is a gateway that runs until the test ends.
type live struct {
	*gateway
	t   *testing.T
	cfg conf.Config
}

// loopback is the beginning of a configuration for tests: ports are those that are free.
const loopback = "rtsp: {listen: '127.0.0.1:0'}\noverlay: {listen: [/ip4/127.0.0.1/tcp/0], mdns: false}\nhls: {listen: '127.0.0.1:0'}\nwebrtc: {listen: ''}\n"

func newLive(t *testing.T, text string) *live {
	t.Helper()
	l := &live{t: t, cfg: config(t, loopback+text)}
	id, err := p2p.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if l.gateway, err = newGateway(l.cfg, t.TempDir(), id, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	select {
	case <-l.server.Ready():
	case <-time.After(patience):
		t.Fatal("the gateway does not listen")
	}
	return l
}

func config(t *testing.T, text string) conf.Config {
	t.Helper()
	c, err := parseConfig("gateway.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// reconfigure takes over another configuration as a reload does.
func (l *live) reconfigure(text string) {
	l.t.Helper()
	c := pin(config(l.t, loopback+text), l.cfg)
	if err := l.Reconfigure(c, conf.Diff(l.cfg, c)); err != nil {
		l.t.Fatal(err)
	}
	l.cfg = c
}

// describe asks for a stream; the error is nil when it is there.
func (l *live) describe(name string) error {
	l.t.Helper()
	c, _, err := l.ask(name)
	c.Close()
	return err
}

func (l *live) ask(name string) (*gortsplib.Client, *description.Session, error) {
	l.t.Helper()
	u, err := base.ParseURL("rtsp://" + l.server.Addr().String() + "/" + name)
	if err != nil {
		l.t.Fatal(err)
	}
	tcp := gortsplib.TransportTCP
	c := &gortsplib.Client{Scheme: u.Scheme, Host: u.Host, Transport: &tcp, ReadTimeout: patience}
	if err := c.Start2(); err != nil {
		l.t.Fatal(err)
	}
	d, _, err := c.Describe(u)
	return c, d, err
}

// viewer is a player that counts packets, and gaps in their sequence numbers.
type viewer struct{ packets, gaps atomic.Int64 }

func (l *live) play(name string) *viewer {
	l.t.Helper()
	c, d, err := l.ask(name)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(c.Close)
	if err := c.SetupAll(d.BaseURL, d.Medias); err != nil {
		l.t.Fatal(err)
	}
	v := new(viewer)
	last := make(map[*description.Media]uint16)
	c.OnPacketRTPAny(func(m *description.Media, _ format.Format, p *rtp.Packet) {
		if n, ok := last[m]; ok && p.SequenceNumber != n+1 {
			v.gaps.Add(1)
		}
		last[m] = p.SequenceNumber
		v.packets.Add(1)
	})
	if _, err := c.Play(nil); err != nil {
		l.t.Fatal(err)
	}
	return v
}

// goesOn waits for a second's packets of the clip.
func (v *viewer) goesOn(t *testing.T) {
	t.Helper()
	until := v.packets.Load() + 60
	eventually(t, "the player goes on", func() bool { return v.packets.Load() >= until })
	if n := v.gaps.Load(); n > 0 {
		t.Errorf("the player saw %d gaps", n)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("never: %s", what)
		}
	}
}

// TestReconfigure changes a running gateway in many ways under a player, which notices nothing.
func TestReconfigure(t *testing.T) {
	l := newLive(t, "streams: {a: {source: 'demo:'}, b: {source: 'demo:'}}\n")
	v := l.play("a")
	v.goesOn(t)
	if err := l.describe("c"); err == nil {
		t.Error("there is a stream c")
	}

	l.reconfigure("streams: {a: {source: 'demo:'}, c: {source: 'demo:'}}\n")
	if err := l.describe("c"); err != nil {
		t.Errorf("the new stream: %v", err)
	}
	if err := l.describe("b"); err == nil {
		t.Error("the removed stream is still there")
	}

	const peer = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
	l.reconfigure("streams: {a: {source: 'demo:'}}\npeers: {hq: {id: " + peer + ", addresses: ['127.0.0.1:9']}}\n")
	if got := l.node.Status().Peers; len(got) != 1 || got[0].Name != "hq" {
		t.Errorf("peers %+v, want hq", got)
	}

	l.reconfigure("streams: {a: {source: 'demo:'}}\nusers: [{name: u, password: p, read: ['**']}]\n")
	if err := l.describe("a"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("DESCRIBE without password: %v, want 401", err)
	}
	if got := l.node.Status().Peers; len(got) != 0 {
		t.Errorf("peers %+v, want none", got)
	}
	v.goesOn(t)
	if n := l.server.Status().Players; n != 1 {
		t.Errorf("%d players, want 1", n)
	}
}

// TestPin keeps exactly the settings that only a restart changes.
func TestPin(t *testing.T) {
	running := conf.Default()
	c := config(t, `
data: /elsewhere
log: {level: debug, format: json}
rtsp: {listen: ':1', udp_ports: 8000-8001, session_timeout: 9s, write_timeout: 9s, start_max_age: 9s, max_connections: 9, multicast: {ttl: 9}}
overlay: {enabled: false, listen: [], share: [x], upload: 0, congestion: system}
users: [{name: any, read: ['**']}]
streams: {a: }
peers: {hq: {id: 12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA}}
transcode: {idle_after: 9s}
api: {listen: ':9'}
`)
	pinned := pin(c, running)
	check := func(what string, got []string, want string) {
		t.Helper()
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s\nwant %s", what, s, want)
		}
	}
	check("changed", conf.Diff(running, pinned),
		"log.level rtsp.session_timeout rtsp.write_timeout rtsp.start_max_age rtsp.max_connections users streams.a overlay.share overlay.upload peers.hq")
	check("with a restart only", conf.Diff(pinned, c), "log.format data rtsp.listen rtsp.udp_ports "+
		"rtsp.multicast.ttl overlay.enabled overlay.listen overlay.congestion transcode.idle_after api.listen")
}

// TestPortInUse proves that a gateway whose port is taken ends with what to do about it.
func TestPortInUse(t *testing.T) {
	l := newLive(t, "")
	c := config(t, "overlay: {enabled: false, listen: []}\nrtsp: {listen: '"+l.server.Addr().String()+"'}\n")
	g, err := newGateway(c, t.TempDir(), p2p.Identity{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := explain(g.Run(t.Context())); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("Run = %v", err)
	}
}
