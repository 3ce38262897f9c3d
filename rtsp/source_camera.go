package rtsp

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"peergate/conf"
	"peergate/media"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"golang.org/x/sync/errgroup"
)

const (
	// cameraTimeout bounds the connection and each answer: slow cameras take two or three seconds for one.
	cameraTimeout = 10 * time.Second
	// udpBuffer is the receive buffer of a camera's UDP socket in bytes: it holds the key frame of a 4K camera, which
	// comes at once. The system may grant less.
	udpBuffer = 2 << 20
)

// camera is an RTSP server that is pulled, such as a camera.
type camera struct {
	url         *base.URL
	bad         error  // why the URL is none
	remote      string // the URL without what is secret
	listen      string // the gateway's own address
	transport   *gortsplib.Transport
	silentAfter time.Duration
	timeout     time.Duration // of the connection, of each answer and, by gortsplib, of silence
	fingerprint string
	log         *slog.Logger
}

func newCamera(from string, c conf.Stream, listen string, log *slog.Logger) *camera {
	cam := &camera{listen: listen, silentAfter: c.SilentAfter, timeout: max(cameraTimeout, c.SilentAfter), log: log}
	cam.fingerprint = strings.ToLower(strings.ReplaceAll(c.Fingerprint, ":", ""))
	switch c.Transport {
	case "udp":
		cam.transport = new(gortsplib.TransportUDP)
	case "tcp":
		cam.transport = new(gortsplib.TransportTCP)
	}
	if cam.url, cam.bad = base.ParseURL(from); cam.bad != nil {
		var bad *url.Error // whose text has the password
		if errors.As(cam.bad, &bad) {
			cam.bad = bad.Err
		}
		cam.bad = fmt.Errorf("the source's URL: %w", cam.bad)
		return cam
	}
	cam.remote = redact((*url.URL)(cam.url))
	return cam
}

// feed pulls the camera until ctx ends.
func (c *camera) feed(ctx context.Context, begin begin) error {
	if c.bad != nil {
		return c.bad
	}
	if err := c.pull(ctx, begin); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return c.explain(err)
	}
	return nil
}

func (c *camera) pull(ctx context.Context, begin begin) error {
	client := c.client()
	if err := client.Start2(); err != nil {
		return err
	}
	defer client.Close()
	defer context.AfterFunc(ctx, client.Close)()

	desc, res, err := client.Describe(c.url)
	if err != nil {
		return err
	}
	tracks, medias, err := sections(res.Body, desc)
	if err != nil {
		return err
	}
	if err := client.SetupAll(desc.BaseURL, medias); err != nil {
		return err
	}
	r := newRelay(tracks, c.log)
	index := make(map[*description.Media]int)
	for i, m := range medias {
		index[m] = i
	}
	client.OnPacketRTPAny(func(m *description.Media, _ format.Format, pkt *rtp.Packet) { r.rtp(index[m], pkt) })
	client.OnPacketRTCPAny(func(m *description.Media, pkt rtcp.Packet) { r.rtcp(index[m], pkt) })
	if _, err := client.Play(nil); err != nil {
		return err
	}
	pub, err := begin(tracks)
	if err != nil {
		return err
	}
	r.flow(pub)
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, client.Close)()
	g.Go(client.Wait)
	g.Go(func() error { return r.silent(ctx, c.silentAfter) })
	return g.Wait()
}

// client returns a client that is set up but not yet started.
func (c *camera) client() *gortsplib.Client {
	return &gortsplib.Client{
		Scheme:        c.url.Scheme,
		Host:          c.url.Host,
		ReadTimeout:   c.timeout,
		WriteTimeout:  c.timeout,
		TLSConfig:     c.tls(),
		AnyPortEnable: true, // else a camera that does not tell its ports is refused
		Transport:     c.transport,
		UserAgent:     "peergate",
		DialContext:   c.dial,
		ListenPacket:  listenUDP,
		OnPacketsLost: func(uint64) {}, // the stream counts them
		OnDecodeError: func(error) {},  // of a single packet
		OnTransportSwitch: func(err error) {
			c.log.Info("source changed its transport", "err", err)
		},
	}
}

// sections returns the tracks of a description with gortsplib's understanding of each. The camera's loudspeaker, which
// ONVIF describes as a section to send to, is left out.
func sections(sdp []byte, desc *description.Session) ([]media.Track, []*description.Media, error) {
	d, err := media.ParseSDP(sdp)
	if err != nil {
		return nil, nil, err
	}
	if len(d.Tracks) != len(desc.Medias) {
		return nil, nil, fmt.Errorf("sdp: %d of %d media sections are understood", len(desc.Medias), len(d.Tracks))
	}
	var tracks []media.Track
	var medias []*description.Media
	for i, m := range desc.Medias {
		if !m.IsBackChannel {
			tracks, medias = append(tracks, d.Tracks[i]), append(medias, m)
		}
	}
	if len(tracks) == 0 {
		return nil, nil, errors.New("sdp: has no media section to receive")
	}
	return tracks, medias, nil
}

// dial connects to the camera, unless that is this gateway.
func (c *camera) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if isSelf(conn.LocalAddr(), conn.RemoteAddr(), c.listen) {
		conn.Close()
		return nil, fmt.Errorf("%s is this gateway itself: a source must be another device", address)
	}
	return conn, nil
}

// isSelf tells whether a connection leads to the listener of this very machine: both ends then have one address.
func isSelf(local, remote net.Addr, listen string) bool {
	l, err1 := netip.ParseAddrPort(local.String())
	r, err2 := netip.ParseAddrPort(remote.String())
	host, port, err3 := net.SplitHostPort(listen)
	if err1 != nil || err2 != nil || err3 != nil || l.Addr() != r.Addr() || port != fmt.Sprint(r.Port()) {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || ip.IsUnspecified() || ip.Unmap() == r.Addr().Unmap()
}

// listenUDP opens a socket with a large buffer, or with what the system grants of it.
func listenUDP(network, address string) (net.PacketConn, error) {
	pc, err := net.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	if u, ok := pc.(*net.UDPConn); ok {
		_ = u.SetReadBuffer(udpBuffer) // less is no reason not to try
	}
	return pc, nil
}

// tls returns how the camera's certificate is checked: cameras seldom have one that an authority has signed.
func (c *camera) tls() *tls.Config {
	if c.fingerprint == "" {
		return &tls.Config{}
	}
	return &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection asks for the very certificate
		VerifyConnection: func(s tls.ConnectionState) error {
			sum := sha256.Sum256(s.PeerCertificates[0].Raw)
			if got := hex.EncodeToString(sum[:]); got != c.fingerprint {
				return fmt.Errorf("the certificate's fingerprint is %s, not the configured one", got)
			}
			return nil
		},
	}
}

// explain says what an error means to whoever has configured the source.
func (c *camera) explain(err error) error {
	var status liberrors.ErrClientBadStatusCode
	var cert *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &status) && status.Code == base.StatusUnauthorized:
		return fmt.Errorf("answered 401 Unauthorized: %w", errRefused)
	case errors.As(err, &status):
		return fmt.Errorf("answered %d %s", status.Code, status.Message)
	case errors.As(err, new(liberrors.ErrClientRequestTimedOut)):
		return fmt.Errorf("did not answer in %v", c.timeout)
	case errors.As(err, &cert) && c.fingerprint == "":
		return fmt.Errorf("%w: set its fingerprint to trust it", err)
	case errors.Is(err, io.EOF):
		return errors.New("closed the connection")
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fmt.Errorf("there is no route to it: %w", err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("did not answer in %v: %w", c.timeout, err)
	}
	if c.url.User != nil {
		if pass, ok := c.url.User.Password(); ok && pass != "" && mentions(err.Error(), pass) {
			return errors.New("its answer has a malformed URL") // which the text shows with the password
		}
	}
	return err
}

// mentions tells whether a text has a password, as it is or as a URL has it.
func mentions(text, pass string) bool {
	_, escaped, _ := strings.Cut(url.UserPassword("", pass).String(), ":")
	return strings.Contains(text, pass) || strings.Contains(text, escaped)
}

// secrets are the beginnings of what cameras want as a password in the path or the query.
var secrets = []string{"password=", "passwd=", "pass=", "pwd=", "token=", "passphrase=", "streamid="}

// redact returns a URL without its password, wherever that stands.
func redact(u *url.URL) string {
	c := *u
	if c.User != nil {
		c.User = url.User(c.User.Username())
	}
	s := c.String()
	for _, key := range secrets {
		for from := 0; ; {
			i := strings.Index(strings.ToLower(s[from:]), key)
			if i < 0 {
				break
			}
			from += i + len(key)
			end := strings.IndexAny(s[from:], "&/;?")
			if end < 0 {
				end = len(s) - from
			}
			s = s[:from] + "..." + s[from+end:]
		}
	}
	return s
}
