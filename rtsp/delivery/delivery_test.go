package delivery

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"peergate/media"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// video and audio are tracks as an encoder announces them; video brings its parameter sets in band.
var (
	video = media.Track{Kind: "video", Lines: []string{"m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000"}}
	audio = media.Track{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 0"}}
)

// lab has a hub with one stream and a sender that runs.
type lab struct {
	t      testing.TB
	hub    *media.Hub
	pub    *media.Publisher
	sender *Sender
	seq    [2]atomic.Uint32
	frame  int       // number of the next video frame
	base   uint32    // what the stream adds to timestamps
	bare   bool      // key frames lack parameter sets
	at     time.Time // when packets arrive, or zero: now
	stop   func()    // ends the sender
}

func newLab(t testing.TB, o Options, tracks ...media.Track) *lab {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	l := &lab{t: t, hub: media.NewHub(log)}
	l.seq[0].Store(65530)
	l.publish(tracks...)
	l.sender = New(o, log)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.sender.Run(ctx) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(l.stop)
	return l
}

// publish begins to publish, or goes on as an encoder that returns.
func (l *lab) publish(tracks ...media.Track) {
	l.t.Helper()
	var err error
	if l.pub, err = l.hub.Publish("a", tracks, media.Origin{Kind: "publish", Linger: time.Minute}); err != nil {
		l.t.Fatal(err)
	}
}

// write publishes one RTP packet.
func (l *lab) write(track int, pt byte, marker bool, ts uint32, payload []byte) {
	l.t.Helper()
	b := []byte{0x80, pt}
	if marker {
		b[1] |= 0x80
	}
	b = binary.BigEndian.AppendUint16(b, uint16(l.seq[track].Add(1)))
	b = binary.BigEndian.AppendUint32(b, ts)
	b = binary.BigEndian.AppendUint32(b, 1)
	at := l.at
	if at.IsZero() {
		at = time.Now()
	}
	if err := l.pub.WriteRTP(track, append(b, payload...), at); err != nil {
		l.t.Fatal(err)
	}
}

// picture publishes a video frame of n packets of 1000 bytes and a short one; the payload tells its number.
func (l *lab) picture(key bool, n int) {
	l.t.Helper()
	ts := uint32(l.frame) * 3000
	nalu := byte(0x41)
	if key {
		nalu = 0x65
	}
	if key && !l.bare {
		l.write(0, 96, false, ts, []byte{0x67, 1, 2, 3})
	}
	for i := range n {
		size := 1000
		if i == n-1 {
			size = 300
		}
		p := make([]byte, size)
		p[0] = nalu
		if i > 0 {
			p[0] = 0x41
		}
		binary.BigEndian.PutUint32(p[1:], uint32(l.frame))
		l.write(0, 96, i == n-1, ts, p)
	}
	l.frame++
}

// sent returns the sequence number of the newest packet of a track.
func (l *lab) sent(track int) uint16 { return uint16(l.seq[track].Load()) }

// waiting reports whether a player waits in Play for packets.
func (l *lab) waiting(c *client) (w bool) {
	c.player.shard.call(func() { w = c.player.state == waiting && c.player.flow.attached })
	return w
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if is() {
			return
		}
		<-time.After(time.Millisecond)
	}
	t.Fatalf("not so after %v: %s", patience, what)
}

// got is a packet that a client received.
type got struct{ b []byte }

func (g got) seq() uint16 { return binary.BigEndian.Uint16(g.b[2:]) }
func (g got) ts() uint32  { return binary.BigEndian.Uint32(g.b[4:]) }

// client is a player as it sees itself.
type client struct {
	t       testing.TB
	link    *Link
	outlets []Outlet
	conn    net.Conn // its end of the link
	player  *Player
	packets [8]chan got // by channel
	answers chan string
	ended   chan error
	closes  io.Closer     // for a test that cuts the connection
	first   uint16        // sequence number of the first video packet
	plays   chan struct{} // closed by begun
}

// kind is a way of delivery that all tests run with.
type kind struct {
	name     string
	portable bool
	client   func(t *testing.T, l *lab, tracks int) *client
}

var kinds = []kind{
	{"tcp", false, tcpClient},
	{"udp", false, udpClient},
	{"tls", false, tlsClient},
	{"tcp portable", true, tcpClient},
	{"udp portable", true, udpClient},
}

// each runs a test with each kind of delivery.
func each(t *testing.T, f func(t *testing.T, k kind)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			f(t, k)
		})
	}
}

func newClient(t testing.TB) *client {
	c := &client{t: t, answers: make(chan string, 100), ended: make(chan error, 1), plays: make(chan struct{})}
	for i := range c.packets {
		c.packets[i] = make(chan got, 10000)
	}
	return c
}

// ready waits a moment; it returns an error when begun was called.
func (c *client) ready() error {
	select {
	case <-c.plays:
		return io.EOF
	case <-time.After(time.Millisecond):
		return nil
	}
}

func (c *client) begun() { close(c.plays) }

// pair returns the two ends of a TCP connection on loopback.
func pair(t testing.TB) (server, user *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); c.Close() })
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

func tcpClient(t *testing.T, l *lab, tracks int) *client {
	s, u := pair(t)
	return interleaved(t, l, s, u, tracks)
}

// interleaved makes a client whose packets come over a connection.
func interleaved(t *testing.T, l *lab, server, user net.Conn, tracks int) *client {
	c := newClient(t)
	c.conn = user
	c.link = l.sender.Link(server)
	for i := range tracks {
		c.outlets = append(c.outlets, Outlet{Track: i, Link: c.link, RTPChannel: uint8(2 * i), RTCPChannel: uint8(2*i + 1)})
	}
	go c.read()
	return c
}

// read takes the connection apart; whatever is neither an interleaved packet nor a line is a fault.
func (c *client) read() {
	r := bufio.NewReaderSize(c.conn, 1<<16)
	for {
		head, err := r.Peek(1)
		if err != nil {
			return
		}
		if head[0] != '$' {
			s, err := r.ReadString('\n')
			if err != nil {
				return
			}
			c.answers <- s[:len(s)-1]
			continue
		}
		var h [4]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint16(h[2:]))
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		c.packets[h[1]] <- got{b}
	}
}

func udpClient(t *testing.T, l *lab, tracks int) *client {
	s, u := pair(t)
	c := newClient(t)
	c.conn, c.link = u, l.sender.Link(s)
	go c.read()
	rtp, rtcp := listenUDP(t, ""), listenUDP(t, "")
	for i := range tracks {
		a, b := listenUDP(t, "127.0.0.1"), listenUDP(t, "127.0.0.1")
		c.outlets = append(c.outlets, Outlet{
			Track: i, RTP: rtp, RTCP: rtcp, RTPAddr: a.LocalAddr().(*net.UDPAddr).AddrPort(), RTCPAddr: b.LocalAddr().(*net.UDPAddr).AddrPort(),
			Source: netip.MustParseAddr("127.0.0.1"),
		})
		go c.receive(a, 2*i)
		go c.receive(b, 2*i+1)
	}
	return c
}

func listenUDP(t testing.TB, host string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(host)})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadBuffer(4 << 20)
	t.Cleanup(func() { c.Close() })
	return c
}

func (c *client) receive(u *net.UDPConn, channel int) {
	b := make([]byte, 1<<16)
	for {
		n, err := u.Read(b)
		if err != nil {
			return
		}
		c.packets[channel] <- got{append([]byte(nil), b[:n]...)}
	}
}

// join makes the client a player.
func (c *client) join(l *lab) {
	c.player = l.sender.Player(PlayerOptions{
		Stream: l.pub.Stream(), Outlets: c.outlets, CNAME: "gate",
		Ended: func(err error) { c.ended <- err },
	})
	c.t.Cleanup(func() { c.player.Close(false) })
}

// play plays and returns what the answer would have said.
func (c *client) play() []Start {
	c.t.Helper()
	var starts []Start
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := c.player.Play(ctx, c.link, func(s []Start) []byte {
		starts = s
		return []byte("PLAY\n")
	})
	if err != nil {
		c.t.Errorf("Play = %v", err)
		return make([]Start, len(c.outlets))
	}
	c.first = starts[0].Seq
	return starts
}

// row expects n video packets in a row.
func (c *client) row(seq uint16, n int) {
	c.t.Helper()
	for i := range uint16(n) {
		if got := c.next(0).seq(); got != seq+i {
			c.t.Fatalf("packet %d of a row is %d, want %d", i, got, seq+i)
		}
	}
}

// next returns the next packet on a channel.
func (c *client) next(channel int) got {
	c.t.Helper()
	select {
	case g := <-c.packets[channel]:
		return g
	case <-time.After(patience):
		c.t.Fatalf("no packet on channel %d", channel)
		return got{}
	}
}

// end waits for Ended.
func (c *client) end() error {
	c.t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(patience):
		c.t.Fatal("the player was not ended")
		return nil
	}
}
