//go:build integration

// Package hops measures what a hop of the overlay costs: delay, time to the first picture, processor and memory.
package hops

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"peergate/integration/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

const (
	frameRate  = 30
	packetSize = 1200 // bytes of payload
	keyEvery   = 30   // pictures
	clockRate  = 90000
)

const sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=bench\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n" +
	"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" +
	"a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==; profile-level-id=42C01E\r\n" +
	"a=control:track0\r\n"

// camera publishes pictures of its own making, each with its number, and remembers when the last packet of each was sent.
type camera struct {
	p       *lab.Publisher
	packets int // of a picture; a key picture has 4 times as many

	mu   sync.Mutex // guards sent
	sent map[uint32]time.Time
}

func newCamera(b *testing.B, url string, bitrate int) *camera {
	b.Helper()
	c := &camera{
		p: lab.Publish(b, url, sdp, lab.TCP), packets: max(1, bitrate/8/frameRate/packetSize),
		sent: make(map[uint32]time.Time),
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		c.run(stop)
	}()
	b.Cleanup(func() {
		close(stop)
		<-done
	})
	return c
}

func (c *camera) run(stop <-chan struct{}) {
	tick := time.NewTicker(time.Second / frameRate)
	defer tick.Stop()
	for n := uint32(0); ; n++ {
		packets, first := c.packets, byte(0x41)
		if n%keyEvery == 0 {
			packets, first = 4*c.packets, 0x65
		}
		for i := range packets {
			b := make([]byte, packetSize)
			b[0] = first
			binary.BigEndian.PutUint32(b[2:], n)
			if i == packets-1 {
				c.mu.Lock()
				c.sent[n] = time.Now()
				c.mu.Unlock()
			}
			c.p.Write(0, 96, i == packets-1, n*(clockRate/frameRate), b)
		}
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// delays are the times between sending the last packet of a picture and its arrival.
type delays struct {
	mu    sync.Mutex // guards times
	times []time.Duration
}

func (c *camera) measure(p *lab.Player) *delays {
	d := new(delays)
	p.Tracks[0].Each(func(b []byte, arrived time.Time) {
		if b[1]&0x80 == 0 {
			return
		}
		c.mu.Lock()
		sent := c.sent[binary.BigEndian.Uint32(b[14:])]
		c.mu.Unlock()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.times = append(d.times, arrived.Sub(sent))
	})
	return d
}

// forget drops what was measured so far: the pictures that a player begins with are old.
func (d *delays) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.times = nil
}

// percentile returns a delay in milliseconds.
func (d *delays) percentile(p float64) float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.times)
	if len(d.times) == 0 {
		return -1
	}
	return float64(d.times[int(p*float64(len(d.times)-1))].Microseconds()) / 1000
}

// chain starts three gateways, of which c reaches a through b alone.
func chain(b *testing.B) (first, second, third *lab.Gateway) {
	b.Helper()
	first, second, third = lab.NewGateway(b, "a"), lab.NewGateway(b, "b"), lab.NewGateway(b, "c")
	first.Knows(second)
	second.Knows(first, third)
	third.Knows(second)
	third.KnowsAt(first)
	for _, g := range []*lab.Gateway{first, second, third} {
		g.LogLevel = "info"
		g.Start()
	}
	return first, second, third
}

// BenchmarkDelay measures the delay from the last packet of a picture in to the last out, at the owner and one and two hops
// away, for 10 s each run.
func BenchmarkDelay(b *testing.B) {
	for _, mbit := range []int{2, 8} {
		b.Run(fmt.Sprintf("%dMbit", mbit), func(b *testing.B) {
			ga, gb, gc := chain(b)
			cam := newCamera(b, ga.URL("cam"), mbit*1e6)
			ga.WaitStream("cam")
			players := []*lab.Player{lab.Open(b, ga.URL("cam"), lab.TCP), lab.Open(b, gb.URL("a/cam"), lab.TCP), lab.Open(b, gc.URL("a/cam"), lab.TCP)}
			measured := make([]*delays, len(players))
			for i, p := range players {
				measured[i] = cam.measure(p)
				p.Resume()
			}
			players[2].Plays(2 * time.Second)
			for _, d := range measured {
				d.forget()
			}
			for b.Loop() {
				players[2].Plays(10 * time.Second)
			}
			for i, at := range []string{"a", "b", "c"} {
				players[i].Flawless()
				b.ReportMetric(measured[i].percentile(0.5), at+"-p50-ms")
				b.ReportMetric(measured[i].percentile(0.99), at+"-p99-ms")
			}
			b.ReportMetric(measured[1].percentile(0.5)-measured[0].percentile(0.5), "hop-p50-ms")
			b.ReportMetric(measured[1].percentile(0.99)-measured[0].percentile(0.99), "hop-p99-ms")
		})
	}
}

// BenchmarkFirstPicture measures the time from DESCRIBE and from PLAY to the last packet of the first picture, which must be a
// key picture: at the owner, and two hops away when nobody has fetched the stream before (cold) and when somebody has (warm).
func BenchmarkFirstPicture(b *testing.B) {
	ga, _, gc := chain(b)
	newCamera(b, ga.URL("cam"), 2e6)
	ga.WaitStream("cam")
	first := func(b *testing.B, url string) {
		began := time.Now()
		p := lab.Open(b, url, lab.TCP)
		got := make(chan time.Time, 1)
		p.Tracks[0].Each(func(pkt []byte, arrived time.Time) {
			if pkt[12] == 0x65 && pkt[1]&0x80 != 0 {
				select {
				case got <- arrived:
				default:
				}
			}
		})
		p.Resume()
		at := <-got
		b.ReportMetric(float64(at.Sub(began).Microseconds())/1000, "from-describe-ms")
		b.ReportMetric(float64(at.Sub(p.Asked).Microseconds())/1000, "from-play-ms")
		p.Stop()
	}
	for _, way := range []struct{ name, url string }{{"owner", ga.URL("cam")}, {"two-hops-cold", gc.URL("a/cam")}, {"two-hops-warm", gc.URL("a/cam")}} {
		b.Run(way.name, func(b *testing.B) {
			for b.Loop() {
				first(b, way.url)
			}
		})
	}
}

// BenchmarkRelay measures the processor time of the gateway in the middle for each Mbit of a stream it passes on, and memory.
func BenchmarkRelay(b *testing.B) {
	ga, gb, gc := chain(b)
	st, err := os.Stat(lab.Binary(b))
	if err != nil {
		b.Fatal(err)
	}
	idle := gb.Process().RSS(b)
	newCamera(b, ga.URL("cam"), 8e6)
	ga.WaitStream("cam")
	p := lab.Play(b, gc.URL("a/cam"), lab.TCP)
	p.Plays(2 * time.Second)
	cpu, bytes := gb.Process().CPUTime(b), p.Tracks[0].Stats().Bytes
	for b.Loop() {
		p.Plays(10 * time.Second)
	}
	cpu = gb.Process().CPUTime(b) - cpu
	bytes = p.Tracks[0].Stats().Bytes - bytes
	b.ReportMetric(float64(cpu.Microseconds())/1000/(float64(bytes)*8/1e6), "cpu-ms/Mbit")
	b.ReportMetric(float64(st.Size())/1e6, "binary-MB")
	b.ReportMetric(float64(idle)/1e6, "rss-idle-MB")
	b.ReportMetric(float64(gb.Process().RSS(b))/1e6, "rss-relay-MB")
	p.Flawless()
}

// BenchmarkOverhead measures what the overlay brings to b for each byte of RTP: chunk headers, signatures, messages of the
// swarm and receipts, before encryption.
func BenchmarkOverhead(b *testing.B) {
	for _, mbit := range []int{2, 8} {
		b.Run(fmt.Sprintf("%dMbit", mbit), func(b *testing.B) {
			ga, gb, gc := chain(b)
			newCamera(b, ga.URL("cam"), mbit*1e6)
			ga.WaitStream("cam")
			p := lab.Play(b, gc.URL("a/cam"), lab.TCP)
			p.Plays(2 * time.Second)
			in, out := carried(b, gb)
			bytes := p.Tracks[0].Stats().Bytes
			for b.Loop() {
				p.Plays(10 * time.Second)
			}
			inAfter, outAfter := carried(b, gb)
			bytes = p.Tracks[0].Stats().Bytes - bytes
			// What b sends goes to c but for messages, and what it gets is from a but for messages: the mean of both is one hop's.
			b.ReportMetric(float64(inAfter-in+outAfter-out)/2/float64(bytes), "overlay-B/RTP-B")
			p.Flawless()
		})
	}
}

// carried returns the bytes that a gateway has got from its peers and sent to them.
func carried(b *testing.B, g *lab.Gateway) (in, out uint64) {
	b.Helper()
	var s struct {
		Overlay struct {
			In  uint64 `json:"bytes_in"`
			Out uint64 `json:"bytes_out"`
		} `json:"overlay"`
	}
	if err := json.Unmarshal(lab.Run(b, lab.Patience, lab.Binary(b), "status", "--json", g.File()), &s); err != nil {
		b.Fatal(err)
	}
	return s.Overlay.In, s.Overlay.Out
}
