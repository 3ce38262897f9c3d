//go:build integration

package integration

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"peergate/integration/lab"
)

// open is what overlay.channels says of streams that everybody may have.
const open = "channels: [{name: 'open/**', access: open}]"

// link has a gateway print the link of a stream.
func link(t *testing.T, g *lab.Gateway, stream string) string {
	t.Helper()
	return strings.TrimSpace(string(lab.Run(t, lab.Patience, lab.Binary(t), "share", stream, g.File())))
}

// TestShareAndPlay proves the way of a link between two gateways that never listed each other: "gateway share" prints it,
// "gateway play" plays it, and ffmpeg decodes every picture of it. What is not open stays where it is.
func TestShareAndPlay(t *testing.T) {
	t.Parallel()
	clip := lab.H264(t)
	a := lab.NewGateway(t, "a")
	a.Overlay = append(a.Overlay, open)
	a.Start()
	lab.Encode(t, clip, a.URL("open/live"))
	lab.Encode(t, clip, a.URL("secret"))
	a.WaitStream("open/live")
	a.WaitStream("secret")
	for _, tt := range []struct {
		name  string
		plays bool
	}{{"open/live", true}, {"secret", false}} {
		began := time.Now()
		env := append(os.Environ(), "XDG_CONFIG_HOME="+t.TempDir())
		p := lab.SpawnEnv(t, env, lab.Binary(t), "play", "--mdns=false", link(t, a, tt.name))
		lab.Eventually(t, lab.Patience, "gateway play prints the URL", func() bool { return strings.Contains(p.Out.String(), "\n") })
		url := strings.TrimSpace(p.Out.String())
		if !tt.plays {
			c, _ := lab.DialURL(t, url)
			if r, err := c.Do("DESCRIBE", url, nil, ""); err != nil || r.Status != 404 {
				t.Errorf("DESCRIBE %s = %d, %v, want 404", url, r.Status, err)
			}
			continue
		}
		out := lab.Run(t, lab.Patience, "ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", url, "-map", "0:v",
			"-frames:v", "1", "-f", "framemd5", "-")
		t.Logf("from the link to the first picture, all programs started: %v", time.Since(began))
		clip.Verify(t, "the first picture", lab.FrameMD5(out), 1)
		out = lab.Run(t, lab.Patience, "ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", url, "-map", "0:v",
			"-frames:v", "60", "-f", "framemd5", "-")
		clip.Verify(t, "ffmpeg", lab.FrameMD5(out), 60)
		p.Signal(syscall.SIGTERM)
		if err := p.Wait(lab.Patience); err != nil {
			t.Errorf("gateway play after SIGTERM: %v", err)
		}
	}
}

// TestLinkOfARunningGateway gives a link to a gateway that runs, which keeps it across a restart until it is removed.
func TestLinkOfARunningGateway(t *testing.T) {
	t.Parallel()
	a, b := lab.NewGateway(t, "a"), lab.NewGateway(t, "b")
	a.Overlay = append(a.Overlay, open)
	a.Start()
	b.Start()
	lab.Encode(t, lab.H264(t), a.URL("open/live"))
	a.WaitStream("open/live")
	give := func(args ...string) string {
		return strings.TrimSpace(string(lab.Run(t, lab.Patience, lab.Binary(t), append([]string{"link", "--config", b.File()}, args...)...)))
	}
	shared := link(t, a, "open/live")
	if path := give(shared, "--petname", "hall"); path != "hall/open/live" {
		t.Errorf("gateway link prints %q, want hall/open/live", path)
	}
	for range 2 {
		p := lab.Play(t, b.URL("hall/open/live"), lab.UDP)
		p.Plays(2 * time.Second)
		p.Flawless()
		p.Stop()
		b.Stop()
		b.Start()
	}
	if list := give(); !strings.Contains(list, shared) || !strings.HasPrefix(list, "hall/open/live") {
		t.Errorf("gateway link lists %q", list)
	}
	give("--remove", "hall/open/live")
	refused(t, b, "hall/open/live")
}

// TestTerms opens a stream to everybody and closes it again while the gateway runs.
func TestTerms(t *testing.T) {
	t.Parallel()
	a, b := lab.NewGateway(t, "a"), lab.NewGateway(t, "b")
	a.Start()
	b.Start()
	lab.Encode(t, lab.H264(t), a.URL("live"))
	a.WaitStream("live")
	terms := func(args ...string) string {
		return string(lab.Run(t, lab.Patience, lab.Binary(t), append([]string{"terms", "--config", a.File()}, args...)...))
	}
	lab.Run(t, lab.Patience, lab.Binary(t), "link", "--config", b.File(), link(t, a, "live"), "--petname", "hall")
	status := func() int {
		c := lab.Dial(t, b.HostPort())
		defer c.Close()
		r, err := c.Do("DESCRIBE", b.URL("hall/live"), nil, "")
		if err != nil {
			t.Fatal(err)
		}
		return r.Status
	}
	if got := status(); got == 200 {
		t.Error("a stranger has a stream that is for listed gateways")
	}
	terms("live", "--access", "open", "--price", "0.02")
	p := lab.Play(t, b.URL("hall/live"), lab.TCP)
	p.Plays(time.Second)
	p.Flawless()
	p.Stop()
	if list := terms(); !strings.Contains(list, "live     open    0.02") {
		t.Errorf("gateway terms lists %q", list)
	}
	b.WaitLog(0, "channel ended", "hall/live")
	terms("live", "--remove")
	if got := status(); got == 200 {
		t.Error("a stranger has a stream that was closed again")
	}
}

// TestChannels has a gateway list a channel, and two others read its directory: a peer, and a stranger that has a link of it,
// gives the owner a petname by what it has read, and plays.
func TestChannels(t *testing.T) {
	t.Parallel()
	a, b, c := lab.NewGateway(t, "a"), lab.NewGateway(t, "b"), lab.NewGateway(t, "c")
	a.Overlay = append(a.Overlay, "channels: [{name: hall, access: open, directory: {title: City hall, language: en, tags: [news, live]}}]")
	a.More = "streams: {hall: {source: \"demo:\"}, secret: {source: \"demo:\"}}\n"
	a.Knows(b)
	b.Knows(a)
	for _, g := range []*lab.Gateway{a, b, c} {
		g.Start()
	}
	channels := func(g *lab.Gateway, args ...string) string {
		return string(lab.Run(t, lab.Patience, lab.Binary(t), append([]string{"channels", "--config", g.File()}, args...)...))
	}
	if got := channels(b); !strings.Contains(got, "a/hall") || !strings.Contains(got, "City hall") || !strings.Contains(got, "news, live") || strings.Contains(got, "secret") {
		t.Errorf("gateway channels at a peer:\n%s", got)
	}
	got := channels(c, link(t, a, "hall"))
	_, rest, _ := strings.Cut(got, "gateway link '")
	listed, _, ok := strings.Cut(rest, "' --petname NAME")
	if !ok || !strings.Contains(got, a.ID+"/hall") {
		t.Fatalf("gateway channels LINK at a stranger:\n%s", got)
	}
	path := strings.TrimSpace(string(lab.Run(t, lab.Patience, lab.Binary(t), "link", listed, "--petname", "town", "--config", c.File())))
	if path != "town/hall" {
		t.Fatalf("gateway link = %q, want town/hall", path)
	}
	lab.Play(t, c.URL(path), lab.TCP).Plays(time.Second)
	if got := channels(c, "town"); !strings.Contains(got, "town/hall") {
		t.Errorf("gateway channels by petname:\n%s", got)
	}
}

// TestTable proves that a link without an address is enough where both sides are in the distributed hash table: here by a third
// gateway that neither lists and that knows none of them.
func TestTable(t *testing.T) {
	t.Parallel()
	a, b, c := lab.NewGateway(t, "a"), lab.NewGateway(t, "b"), lab.NewGateway(t, "c")
	boot := fmt.Sprintf("bootstrap: [%s/p2p/%s]", b.Addresses()[0], b.ID)
	a.Overlay = append(a.Overlay, "channels: [{name: hall, access: open, directory: {title: City hall}}]", "dht: {enabled: true, "+boot+"}")
	a.More = "streams: {hall: {source: \"demo:\", on_demand: false}}\n"
	b.Overlay = append(b.Overlay, "dht: {enabled: true}")
	c.Overlay = append(c.Overlay, "dht: {enabled: true, "+boot+"}", fmt.Sprintf("links: [{link: 'peergate://%s/hall', petname: town}]", a.ID))
	b.Start()
	a.Start()
	c.Start()
	c.WaitStream("town/hall")
	lab.Play(t, c.URL("town/hall"), lab.TCP).Plays(time.Second)
	lab.Eventually(t, lab.Patience, "gateway channels --dht lists the channel", func() bool {
		out := lab.Run(t, lab.Patience, lab.Binary(t), "channels", "--dht", "--config", c.File())
		return strings.Contains(string(out), "City hall")
	})
}
