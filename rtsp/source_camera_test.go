package rtsp

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"peergate/conf"
	"peergate/media"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
	"github.com/bluenviron/gortsplib/v4/pkg/sdp"
	"github.com/pion/rtp"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// testCamera is an RTSP server on loopback that sends a key picture of one packet each 20 ms.
type testCamera struct {
	address    string // 127.0.0.1:port
	user, pass string // wanted when user is not empty
	status     base.StatusCode
	mute       bool
	tls        *tls.Config

	server *gortsplib.Server
	stream *gortsplib.ServerStream
	medi   *description.Media

	mu        sync.Mutex // guards the fields below
	describes int
	over      []string      // transports of the sessions
	asked     chan struct{} // has a token after a DESCRIBE
}

func (c *testCamera) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.user != "" && !ctx.Conn.VerifyCredentials(ctx.Request, c.user, c.pass) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	c.describes++
	select {
	case c.asked <- struct{}{}:
	default:
	}
	if c.status != 0 {
		return &base.Response{StatusCode: c.status}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *testCamera) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = append(c.over, ctx.Transport.String())
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *testCamera) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// start runs the camera until the returned function is called.
func (c *testCamera) start(t *testing.T) (stop func()) {
	t.Helper()
	if c.address == "" {
		c.address = netip.AddrPortFrom(loopback, uint16(freePort(t))).String()
		c.asked = make(chan struct{}, 1)
	}
	ap := netip.MustParseAddrPort(c.address)
	c.mu.Lock() // who comes back at once waits for the stream
	defer c.mu.Unlock()
	c.server = &gortsplib.Server{Handler: c, RTSPAddress: c.address, TLSConfig: c.tls}
	if c.tls == nil {
		c.server.UDPRTPAddress = c.address
		c.server.UDPRTCPAddress = netip.AddrPortFrom(ap.Addr(), ap.Port()+1).String()
	}
	if err := c.server.Start(); err != nil {
		t.Fatal(err)
	}
	c.medi = &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{
		&format.H264{PayloadTyp: 96, PacketizationMode: 1},
	}}
	c.stream = &gortsplib.ServerStream{Server: c.server, Desc: &description.Session{Medias: []*description.Media{c.medi}}}
	if err := c.stream.Initialize(); err != nil {
		t.Fatal(err)
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		c.send(quit)
	}()
	return func() {
		close(quit)
		<-done
		c.stream.Close()
		c.server.Close()
	}
}

func (c *testCamera) send(quit <-chan struct{}) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for seq := uint16(0); ; seq++ {
		select {
		case <-tick.C:
		case <-quit:
			return
		}
		if c.mute {
			continue
		}
		_ = c.stream.WritePacketRTP(c.medi, &rtp.Packet{
			Header:  rtp.Header{Version: 2, Marker: true, PayloadType: 96, SequenceNumber: seq, Timestamp: uint32(seq) * 1800},
			Payload: []byte{0x65, 1, 2, 3},
		})
	}
}

// pulled is a hub with the stream cam, and what its parts log.
type pulled struct {
	hub  *media.Hub
	stop func()
	log  *bytes.Buffer // to be read after stop
}

func pullFrom(t *testing.T, listen string, set conf.Stream) *pulled {
	t.Helper()
	p := &pulled{log: new(bytes.Buffer)}
	log := slog.New(slog.NewTextHandler(p.log, nil))
	p.hub = media.NewHub(log)
	s := NewSources(map[string]conf.Stream{"cam": set, "encoder": {Source: conf.Sources{conf.SourcePublish}}}, Means{Listen: listen}, p.hub, log)
	p.hub.Use(s)
	p.stop = runSources(t, s)
	return p
}

// receive waits for n RTP packets.
func receive(t *testing.T, sub *media.Subscription, n int) []media.Packet {
	t.Helper()
	var all []media.Packet
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(all) < n {
		pkts, err := sub.Next(ctx)
		if err != nil {
			t.Fatalf("Next after %d packets = %v", len(all), err)
		}
		for _, p := range pkts {
			if !p.Report {
				all = append(all, p)
			}
		}
	}
	return all
}

// TestCameraComesBack pulls a camera over each transport, which dies and comes back: the player goes on.
func TestCameraComesBack(t *testing.T) {
	for _, transport := range []string{"tcp", "udp", "auto"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			cam := &testCamera{user: "admin", pass: "se:cret/1"}
			stop := cam.start(t)
			source := "rtsp://admin:" + url.QueryEscape(cam.pass) + "@" + cam.address + "/live"
			p := pullFrom(t, ":1", conf.Stream{
				Source: conf.Sources{source}, OnDemand: true, Transport: transport,
				IdleAfter: time.Minute, SilentAfter: 2 * time.Second, Grace: time.Minute,
			})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			st, err := p.hub.Open(ctx, "cam")
			if err != nil {
				t.Fatal(err)
			}
			if want := "rtsp://admin@" + cam.address + "/live"; st.Origin().Remote != want {
				t.Errorf("Remote = %q, want %q", st.Origin().Remote, want)
			}
			if tracks := st.Tracks(); len(tracks) != 1 || tracks[0].Codec() != "H264" || tracks[0].Kind != "video" {
				t.Fatalf("tracks = %+v, want one of H.264", tracks)
			}
			sub := st.Subscribe(media.SubscribeOptions{FromKey: true})
			before := receive(t, sub, 10)
			stop()
			stop = cam.start(t)
			after := receive(t, sub, len(before)+60)
			if a, b := before[0], after[len(after)-1]; a.SSRC() != b.SSRC() || b.Timestamp()-a.Timestamp() < 60*1800 {
				t.Error("the packets after the camera's return do not continue those before")
			}
			stop()
			p.stop()
			if strings.Contains(p.log.String(), "cret") {
				t.Errorf("the password is logged:\n%s", p.log)
			}
			if want := map[string]string{"tcp": "TCP", "udp": "UDP", "auto": "UDP"}[transport]; cam.over[0] != want {
				t.Errorf("transport %s = %s, want %s", transport, cam.over[0], want)
			}
		})
	}
}

func TestCameraSaysWhy(t *testing.T) {
	closed := netip.AddrPortFrom(loopback, uint16(freePort(t))).String()
	for _, c := range []struct {
		name, user, listen, transport, want string
		status                              base.StatusCode
		dead                                bool
	}{
		{name: "password", user: "admin:wrong@", want: "401 Unauthorized: put the right user and password"},
		{name: "no password", want: "401 Unauthorized: put the right user and password"},
		{name: "not found", user: "admin:right@", status: base.StatusNotFound, want: "answered 404 Not Found"},
		{name: "refused", dead: true, want: "connection refused"},
		{name: "loop", user: "admin:right@", listen: "own", want: "is this gateway itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cam := &testCamera{user: "admin", pass: "right", status: c.status}
			defer cam.start(t)()
			address, listen := cam.address, ":1"
			if c.dead {
				address = closed
			}
			if c.listen == "own" {
				_, port, _ := net.SplitHostPort(address)
				listen = ":" + port
			}
			p := pullFrom(t, listen, conf.Stream{Source: conf.Sources{"rtsp://" + c.user + address + "/x"}, OnDemand: true, Transport: "tcp"})
			defer p.stop()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := p.hub.Open(ctx, "cam")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Open = %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "wrong") || strings.Contains(err.Error(), ":right") {
				t.Errorf("Open = %v, which has the password", err)
			}
		})
	}
}

func TestSilentCameraIsRedialled(t *testing.T) {
	cam := &testCamera{mute: true}
	defer cam.start(t)()
	p := pullFrom(t, ":1", conf.Stream{Source: conf.Sources{"rtsp://" + cam.address + "/"}, Transport: "tcp", SilentAfter: 300 * time.Millisecond})
	for range 3 {
		select {
		case <-cam.asked:
		case <-time.After(patience):
			t.Fatal("the camera was not dialled again")
		}
	}
	p.stop()
	if log := p.log.String(); strings.Count(log, "has sent nothing for 300ms") < 1 {
		t.Errorf("log = %s, want the reason", log)
	}
}

// TestCameraByTLS trusts a certificate by its fingerprint and no other.
func TestCameraByTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	good := strings.ToUpper(hex.EncodeToString(sum[:]))
	cam := &testCamera{tls: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}}
	defer cam.start(t)()
	for _, c := range []struct{ name, fingerprint, want string }{
		{"right", good[:2] + ":" + good[2:], ""},
		{"wrong", strings.Repeat("0", 64), "fingerprint"},
		{"unknown", "", "set its fingerprint to trust it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pullFrom(t, ":1", conf.Stream{
				Source: conf.Sources{"rtsps://" + cam.address + "/"}, OnDemand: true, Transport: "auto", Fingerprint: c.fingerprint,
				SilentAfter: patience, IdleAfter: patience,
			})
			defer p.stop()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			st, err := p.hub.Open(ctx, "cam")
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("Open = %v, want %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			receive(t, st.Subscribe(media.SubscribeOptions{}), 2)
		})
	}
}

func TestSections(t *testing.T) {
	const head = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n"
	const video = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nb=AS:500\r\na=x-of-the-maker:1 2\r\n"
	const speaker = "m=audio 0 RTP/AVP 0\r\na=sendonly\r\n"
	const mic = "m=audio 0 RTP/AVP 8\r\na=recvonly\r\n"
	parse := func(body string) *description.Session {
		t.Helper()
		var doc sdp.SessionDescription
		d := new(description.Session)
		if err := errors.Join(doc.Unmarshal([]byte(body)), d.Unmarshal(&doc)); err != nil {
			t.Fatal(err)
		}
		return d
	}
	body := head + video + speaker + mic
	tracks, medias, err := sections([]byte(body), parse(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(tracks) != 2 || len(medias) != 2 || tracks[1].Codec() != "PCMA" {
		t.Errorf("tracks = %+v, want video and microphone", tracks)
	}
	if got := strings.Join(tracks[0].Lines, "\r\n") + "\r\n"; got != video {
		t.Errorf("video = %q, want it line for line: %q", got, video)
	}
	body = head + speaker
	if _, _, err := sections([]byte(body), parse(body)); err == nil {
		t.Error("a description with nothing to receive is accepted")
	}
}

func TestIsSelf(t *testing.T) {
	for _, c := range []struct {
		local, remote, listen string
		want                  bool
	}{
		{"127.0.0.1:40000", "127.0.0.1:8554", ":8554", true},
		{"[::1]:40000", "[::1]:8554", "[::]:8554", true},
		{"192.0.2.1:40000", "192.0.2.1:8554", "0.0.0.0:8554", true},
		{"192.0.2.1:40000", "192.0.2.1:8554", "192.0.2.1:8554", true},
		{"192.0.2.1:40000", "192.0.2.1:8554", "127.0.0.1:8554", false},
		{"127.0.0.1:40000", "127.0.0.1:8555", ":8554", false},
		{"192.0.2.1:40000", "192.0.2.2:8554", ":8554", false},
	} {
		local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.local))
		remote := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.remote))
		if got := isSelf(local, remote, c.listen); got != c.want {
			t.Errorf("isSelf(%s, %s, %s) = %v, want %v", c.local, c.remote, c.listen, got, c.want)
		}
	}
}

func TestRedact(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"rtsp://cam/live", "rtsp://cam/live"},
		{"rtsp://u:p@cam:554/live?a=1", "rtsp://u@cam:554/live?a=1"},
		{"rtsp://cam/user=admin&password=abc&channel=1", "rtsp://cam/user=admin&password=...&channel=1"},
		{"rtsp://cam/live?user=a&PASS=abc", "rtsp://cam/live?user=a&PASS=..."},
		{"rtsp://cam/live?token=abc/1&pwd=x&pwd=y", "rtsp://cam/live?token=.../1&pwd=...&pwd=..."},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := redact(u); got != c.want {
			t.Errorf("redact(%s) = %s, want %s", c.url, got, c.want)
		}
	}
}

// TestMalformedURL keeps the password of a URL that cannot be parsed out of the reason.
func TestMalformedURL(t *testing.T) {
	for _, source := range []string{"rtsp://u:secret@cam:port/x", "rtsp://u:secret@[::1/x", "rtsp://u:sec%zzret@cam/", "http://u:secret@cam/"} {
		cam := newCamera(source, conf.Stream{}, ":1", slog.New(slog.DiscardHandler))
		err := cam.feed(t.Context(), nil)
		if err == nil || strings.Contains(err.Error(), "sec") {
			t.Errorf("%s: error %v, want one without the password", source, err)
		}
	}
}
