package rtsp

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/srtp/v3"

	"peergate/conf"
	"peergate/rtsp/wire"
)

// secureAddr returns where a server listens with TLS.
func (s *server) secureAddr() string {
	return s.SecureAddr().String()
}

// dialTLS connects with TLS, checking the certificate if roots are given.
func (s *server) dialTLS(c *tls.Config) *client {
	s.t.Helper()
	nc, err := tls.Dial("tcp", s.secureAddr(), c)
	if err != nil {
		s.t.Fatal(err)
	}
	return newClient(s.t, nc)
}

func selfSigned(c *conf.Config) {
	c.RTSP.TLS.Listen = "127.0.0.1:0"
	c.RTSP.TLS.SelfSigned = true
}

// TestRTSPS plays interleaved over TLS with a certificate made at first start (RFC 7826 §19.2); a player that would get
// its packets in the clear over UDP is refused.
func TestRTSPS(t *testing.T) {
	s := newServer(t, selfSigned)
	s.live("live", h264Track)
	pem, err := os.ReadFile(filepath.Join(s.data, "rtsps-cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c := s.dialTLS(&tls.Config{RootCAs: roots, ServerName: "localhost"})
	url := "rtsps://" + s.secureAddr() + "/live"
	if base := c.must("DESCRIBE", url).Header.Get("Content-Base"); base != url+"/" {
		t.Errorf("Content-Base = %q", base)
	}
	wantStatus(t, "UDP", c.do("SETUP", url, newUDP(t).transport()), 461)
	ses := c.setup(url, 1)
	a := c.must("PLAY", url, ses)
	if ts := info(t, a); ts[0].URL != url+"/trackID=0" {
		t.Errorf("RTP-Info = %+v", ts)
	}
	c.frame(0)
	c.must("TEARDOWN", url, ses)
	if st, err := os.Stat(filepath.Join(s.data, "rtsps-key.pem")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v, want mode 0600", st, err)
	}
}

// TestTLSVersion: older ones than 1.2 are refused.
func TestTLSVersion(t *testing.T) {
	s := newServer(t, selfSigned)
	nc, err := tls.Dial("tcp", s.secureAddr(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil {
		nc.Close()
		t.Error("TLS 1.1 is accepted")
	}
	plainText, err := net.Dial("tcp", s.secureAddr())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, plainText)
	c.write("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
	c.gone()
}

// TestTunnelTLS opens RTSP over HTTP over TLS.
func TestTunnelTLS(t *testing.T) {
	s := newServer(t, selfSigned)
	s.live("live", h264Track)
	insecure := &tls.Config{InsecureSkipVerify: true}
	down, up := s.dialTLS(insecure), s.dialTLS(insecure)
	down.write("GET /live HTTP/1.1\r\nx-sessioncookie: c\r\n\r\n")
	if line, err := readHTTP(down); err != nil || line != "HTTP/1.1 200 OK" {
		t.Fatalf("GET is answered %q, %v", line, err)
	}
	up.write("POST /live HTTP/1.1\r\nx-sessioncookie: c\r\n\r\n" + encode(ask("SETUP", "/live", "Transport: RTP/AVP/TCP")))
	a := down.answer()
	wantStatus(t, "SETUP", a, 200)
	up.write(encode(ask("PLAY", "/live", sessionOf(a))))
	wantStatus(t, "PLAY", down.answer(), 200)
	down.frame(0)
	down.Close()
	up.gone()
}

// TestCertificateReload serves a new certificate soon after its files have changed, and keeps the last one when they
// are broken.
func TestCertificateReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := makeSelfSigned(cert, key); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, func(c *conf.Config) { c.RTSP.TLS = conf.TLS{Listen: "127.0.0.1:0", Certificate: cert, Key: key} })
	serial := func() string {
		c := s.dialTLS(&tls.Config{InsecureSkipVerify: true})
		defer c.Close()
		return c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	if err := os.WriteFile(cert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if serial() != first {
		t.Error("a broken file changed the certificate")
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	if err := makeSelfSigned(cert, key); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new certificate is served", func() bool { return serial() != first })
}

// TestSRTP cites RFC 3711, RFC 4568: who asks for it by the URL over TLS is told keys by the description and gets packets
// that they open, over UDP and interleaved; a key is good for one SETUP.
func TestSRTP(t *testing.T) {
	s := newServer(t, selfSigned)
	s.live("live", h264Track)
	url := "rtsps://" + s.secureAddr() + "/live?srtp"
	for _, way := range []string{"udp", "tcp"} {
		for _, profile := range []string{"RTP/SAVP", "RTP/AVP"} {
			t.Run(way+" "+profile, func(t *testing.T) {
				c := s.dialTLS(&tls.Config{InsecureSkipVerify: true})
				a := c.must("DESCRIBE", url)
				in := opener80(t, string(a.Body))
				u := newUDP(t)
				transport := strings.Replace(u.transport(), "RTP/AVP", profile, 1)
				if way == "tcp" {
					transport = "Transport: " + profile + "/TCP;interleaved=0-1"
				}
				track := a.Header.Get("Content-Base") + "trackID=0"
				b := c.must("SETUP", track, transport)
				if tr := transportOf(t, b); tr.Profile != profile {
					t.Errorf("Transport = %q", b.Header.Get("Transport"))
				}
				wantStatus(t, "the same key again", s.retry(c, track, transport), 461)
				c.must("PLAY", url, sessionOf(b))
				var sealed []byte
				if way == "udp" {
					sealed = packet(t, u.rtp)
				} else {
					sealed = c.frame(0)
				}
				open, err := in.DecryptRTP(nil, sealed, nil)
				if err != nil || open[rtpHeader] != 0x67 {
					t.Errorf("packet does not open: %v, %x", err, open)
				}
				if way == "tcp" {
					if b, err := in.DecryptRTCP(nil, c.frame(1), nil); err != nil || b[1] != 200 {
						t.Errorf("report does not open: %v, %x", err, b)
					}
				}
			})
		}
	}
	wantStatus(t, "keys in the clear", s.dial().do("SETUP", s.url("/live?srtp"), "Transport: RTP/SAVP/TCP;interleaved=0-1"), 461)
	if body := string(s.dial().must("DESCRIBE", s.url("/live?srtp")).Body); strings.Contains(body, "crypto") {
		t.Errorf("keys are told in the clear:\n%s", body)
	}
}

// retry sets a track up outside of a session.
func (s *server) retry(c *client, url, transport string) *wire.Response {
	s.t.Helper()
	return c.do("SETUP", url, transport)
}

// opener80 returns what opens the packets of a description's only track.
func opener80(t testing.TB, sdp string) *srtp.Context {
	t.Helper()
	if !strings.Contains(sdp, "m=video 0 RTP/SAVP 96\r\n") {
		t.Fatalf("description is\n%s", sdp)
	}
	_, v, _ := strings.Cut(sdp, "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:")
	v, _, _ = strings.Cut(v, "\r\n")
	b, err := base64.StdEncoding.DecodeString(v)
	if err != nil || len(b) != 30 {
		t.Fatalf("key %q: %v", v, err)
	}
	c, err := srtp.CreateContext(b[:16], b[16:], srtp.ProtectionProfileAes128CmHmacSha1_80)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSlowHandshake closes a connection whose TLS handshake does not end within rtsp.header_timeout.
func TestSlowHandshake(t *testing.T) {
	s := newServer(t, func(c *conf.Config) {
		selfSigned(c)
		c.RTSP.HeaderTimeout = 50 * time.Millisecond
	})
	nc, err := net.Dial("tcp", s.secureAddr())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, nc)
	c.write("\x16\x03\x01\x02")
	c.gone()
}
