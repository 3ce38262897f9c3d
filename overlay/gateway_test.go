package overlay

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/p2p"
)

const testTimeout = 20 * time.Second

// discard is a log for what is not looked at.
var discard = slog.New(slog.DiscardHandler)

// gateway is a hub with a node, over real sockets of loopback.
type gateway struct {
	t    testing.TB
	name string
	id   p2p.Identity
	hub  *media.Hub
	node *Node
	o    Options
	log  *journal

	cancel context.CancelFunc
	gone   chan struct{}
}

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// newGateway makes a gateway that does not run yet.
func newGateway(t testing.TB, name string) *gateway {
	t.Helper()
	id, err := p2p.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	c := conf.Default().Overlay
	c.MDNS = false // tests stay on this machine
	c.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	c.IdleAfter = 300 * time.Millisecond
	c.Delay = conf.Delay(2 * time.Second) // a busy machine stalls for longer than a network
	return &gateway{
		t: t, name: name, id: id, log: new(journal),
		o: Options{Conf: c, Peers: make(map[string]conf.Peer), Identity: id, Data: t.TempDir(), Version: "test"},
	}
}

// knows lists peers with the addresses at which they listen now.
func (g *gateway) knows(peers ...*gateway) *gateway {
	for _, p := range peers {
		g.knowsAt(p, p.addresses()...)
	}
	return g
}

// knowsAt lists a peer with addresses, perhaps none.
func (g *gateway) knowsAt(p *gateway, addresses ...string) *gateway {
	g.o.Peers[p.name] = conf.Peer{ID: string(p.id.ID), Addresses: addresses}
	return g
}

func (g *gateway) addresses() []string {
	g.t.Helper()
	if g.node == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(g.t.Context(), testTimeout)
	defer cancel()
	addrs, err := g.node.host.Addrs(ctx)
	if err != nil {
		g.t.Fatal(err)
	}
	return addrs
}

// start runs the gateway. After stop it can be started again, at the same addresses.
func (g *gateway) start() *gateway {
	g.t.Helper()
	h := slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug})
	g.hub = media.NewHub(discard)
	node, err := New(g.o, g.hub, slog.New(h))
	if err != nil {
		g.t.Fatal(err)
	}
	g.node = node
	g.hub.Use(node)
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel, g.gone = cancel, make(chan struct{})
	gone := g.gone
	go func() {
		defer close(gone)
		if err := node.Run(ctx); err != nil {
			g.t.Errorf("Run of %s = %v", g.name, err)
		}
	}()
	g.t.Cleanup(g.stop)
	g.o.Conf.Listen = g.addresses()
	return g
}

func (g *gateway) stop() {
	g.t.Helper()
	var status Status
	if g.t.Failed() {
		status = g.node.Status()
	}
	g.cancel()
	select {
	case <-g.gone:
	case <-time.After(testTimeout):
		g.t.Fatalf("%s does not stop", g.name)
	}
	if g.t.Failed() && testing.Verbose() {
		g.t.Logf("status of %s: %+v\nlog:\n%s", g.name, status, g.log)
		g.log = new(journal)
	}
}

// open opens a stream within the test's time.
func (g *gateway) open(name media.Name) (*media.Stream, error) {
	ctx, cancel := context.WithTimeout(g.t.Context(), testTimeout)
	defer cancel()
	return g.hub.Open(ctx, name)
}

// h264 is a video track, opus one of sound.
var (
	h264 = media.Track{Kind: "video", Lines: []string{
		"m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=1",
	}}
	opus = media.Track{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 97", "a=rtpmap:97 opus/48000/2"}}
)

// camera publishes pictures of three packets, 100 a second, of which every 25th is a key picture.
type camera struct {
	pub  *media.Publisher
	seq  uint16
	time uint32
	n    int
}

// film publishes a stream until the test ends or stop is called; then it waits a second for another publisher.
func (g *gateway) film(name media.Name, tracks ...media.Track) (stop func()) {
	g.t.Helper()
	if len(tracks) == 0 {
		tracks = []media.Track{h264}
	}
	pub, err := g.hub.Publish(name, tracks, media.Origin{Kind: "publish", Remote: "test", Linger: time.Second})
	if err != nil {
		g.t.Fatal(err)
	}
	c := &camera{pub: pub}
	done, gone := make(chan struct{}), make(chan struct{})
	var once sync.Once
	stop = func() {
		once.Do(func() { close(done) })
		<-gone
		pub.Close()
	}
	go func() {
		defer close(gone)
		t := time.NewTicker(10 * time.Millisecond)
		defer t.Stop()
		for {
			c.picture()
			select {
			case <-t.C:
			case <-done:
				return
			}
		}
	}()
	g.t.Cleanup(stop)
	return stop
}

func (c *camera) picture() {
	for i := range 3 {
		b := make([]byte, 900)
		b[0], b[1], b[12] = 0x80, 96, 0x41
		if c.n%25 == 0 && i == 0 {
			b[12] = 0x65
		}
		if i == 2 {
			b[1] |= 0x80
		}
		b[2], b[3] = byte(c.seq>>8), byte(c.seq)
		b[4], b[5], b[6], b[7] = byte(c.time>>24), byte(c.time>>16), byte(c.time>>8), byte(c.time)
		b[8], b[11] = 1, 7
		copy(b[100:], fmt.Sprintf("picture %d packet %d", c.n, i))
		_ = c.pub.WriteRTP(0, b, time.Now())
		c.seq++
	}
	c.n++
	c.time += 900
}

// viewer reads a stream and checks that packets come in order.
type viewer struct {
	t   testing.TB
	st  *media.Stream
	sub *media.Subscription
	seq map[int]uint16
	got int
	gap int // packets missing in between
}

func (g *gateway) view(name media.Name) *viewer {
	g.t.Helper()
	st, err := g.open(name)
	if err != nil {
		g.t.Fatalf("Open %s at %s = %v", name, g.name, err)
	}
	v := &viewer{t: g.t, st: st, sub: st.Subscribe(media.SubscribeOptions{FromKey: true}), seq: make(map[int]uint16)}
	g.t.Cleanup(v.sub.Close)
	return v
}

// watch reads at least n packets; it fails the test when they do not come.
func (v *viewer) watch(n int) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), testTimeout)
	defer cancel()
	for n > 0 {
		pkts, err := v.sub.Next(ctx)
		if err != nil {
			v.t.Fatalf("Next of %s after %d packets = %v", v.st.Name(), v.got, err)
		}
		for i := range pkts {
			if pkts[i].Report {
				continue
			}
			v.take(&pkts[i])
			n--
		}
	}
}

func (v *viewer) take(p *media.Packet) {
	v.t.Helper()
	if v.got == 0 && !p.Key {
		v.t.Errorf("%s begins without a key packet", v.st.Name())
	}
	if last, ok := v.seq[p.Track]; ok {
		d := int16(p.Sequence() - last)
		if d <= 0 {
			v.t.Errorf("%s: packet %d comes after %d", v.st.Name(), p.Sequence(), last)
		}
		v.gap += int(d) - 1
	}
	v.seq[p.Track] = p.Sequence()
	v.got++
}

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	within(t, testTimeout, what, ok)
}

// within waits for so long until ok holds.
func within(t *testing.T, patience time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		<-tick.C
	}
}

// chain makes three gateways: c knows only the middle one's address, a does not list c.
func chain(t testing.TB) (a, b, c *gateway) {
	t.Helper()
	a, b, c = newGateway(t, "a"), newGateway(t, "b"), newGateway(t, "c")
	a.knowsAt(b).start()
	b.knows(a).knowsAt(c).start()
	c.knows(b).knowsAt(a).start()
	return a, b, c
}
