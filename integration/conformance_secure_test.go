//go:build integration

package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/srtp/v3"

	"peergate/integration/lab"
)

// secureClauses are about RTSPS (RFC 7826 §19) and SRTP (RFC 3711).
var secureClauses = []clause{
	{"versions of TLS", "RFC 8996: 1.2 and later only", tlsVersions},
	{"interleaved media", "RFC 7826 §19.2, issue: RTP/AVP/TCP inside the connection", secureInterleaved},
	{"media in the clear", "§16, RFC 7826 §19: 461 for UDP without SRTP", secureUDP},
	{"tunnel over TLS", "issue: the HTTP tunnel over TLS too", secureTunnel},
	{"handshake that never comes", "RFC 7826 §21.1: slow clients are not waited for", slowHandshake},
	{"plain RTSP on the secure port", "RFC 7826 §19: it is refused, and nobody is harmed", plainOnSecure},
	{"SRTP over TCP", "RFC 3711, RFC 4568: for those who ask", secureSRTP("RTP/SAVP/TCP;unicast;interleaved=0-1")},
	{"SRTP over UDP", "RFC 3711, RFC 4568: for those who ask", secureSRTP("RTP/SAVP;unicast;client_port=")},
}

func (s *site) dialTLS(t *testing.T, config *tls.Config) *lab.Raw {
	t.Helper()
	c, err := handshake(s.secure, config)
	if err != nil {
		t.Fatal(err)
	}
	return lab.RawOver(t, c)
}

func handshake(g *lab.Gateway, config *tls.Config) (*tls.Conn, error) {
	config.InsecureSkipVerify = true
	d := net.Dialer{Timeout: lab.Patience}
	return tls.DialWithDialer(&d, "tcp", g.SecureHostPort(), config)
}

func tlsVersions(t *testing.T, s *site) {
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s.dialTLS(t, &tls.Config{MinVersion: v, MaxVersion: v}).Alive()
	}
	if c, err := handshake(s.secure, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		c.Close()
		t.Error("TLS 1.1 is accepted")
	}
}

func secureInterleaved(t *testing.T, s *site) {
	c := s.dialTLS(t, &tls.Config{})
	url := s.secure.SecureURL("live")
	tracks := interleaved(t, c, url)
	if !strings.HasPrefix(tracks[0], "rtsps://") {
		t.Errorf("the first track is at %s", tracks[0])
	}
	checkStart(t, c, tracks, c.Want(200, "PLAY", url))
	c.Want(200, "PAUSE", url)
	c.Want(200, "TEARDOWN", url)
}

func secureUDP(t *testing.T, s *site) {
	c := s.dialTLS(t, &tls.Config{})
	track := tracksOf(t, c, s.secure.SecureURL("live"))[0]
	tcp, udp := tcpAnd(t)
	c.Want(461, "SETUP", track, "Transport", udp)
	m := c.Want(200, "SETUP", track, "Transport", udp+","+tcp)
	if _, ok := m.Param("interleaved"); !ok {
		t.Errorf("Transport is %q, want TCP", m.Header.Get("Transport"))
	}
}

func secureTunnel(t *testing.T, s *site) {
	c := openTunnel(t, "1.1", func() *lab.Raw { return s.dialTLS(t, &tls.Config{}) })
	c.play(t, s.secure.SecureURL("live"))
}

func slowHandshake(t *testing.T, s *site) {
	for _, begin := range []string{"", "\x16\x03\x01\x02"} {
		c := lab.DialRaw(t, s.secure.SecureHostPort())
		c.Send(begin)
		checkEnds(t, c, "a handshake")
	}
}

func plainOnSecure(t *testing.T, s *site) {
	c := lab.DialRaw(t, s.secure.SecureHostPort())
	c.Send("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
	if m, err := c.NextWithin(lab.Patience); err == nil && m.Status == 200 {
		t.Errorf("plain RTSP is answered %s", m.Line)
	}
	s.dialTLS(t, &tls.Config{}).Alive()
}

var cryptoLine = regexp.MustCompile(`(?m)^a=crypto:\d+ AES_CM_128_HMAC_SHA1_80 inline:([A-Za-z0-9+/=]+)`)

// secureSRTP plays the first track with SRTP and decrypts its packets.
func secureSRTP(transport string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		c := s.dialTLS(t, &tls.Config{})
		m := c.Want(200, "DESCRIBE", s.secure.SecureURL("live?srtp"))
		key := cryptoLine.FindStringSubmatch(m.Body)
		if key == nil || !strings.Contains(m.Body, "m=video 0 RTP/SAVP ") {
			t.Fatalf("no offer of SRTP in\n%s", m.Body)
		}
		secret, err := base64.StdEncoding.DecodeString(key[1])
		if err != nil || len(secret) != 30 {
			t.Fatalf("key is %q, want 30 bytes", key[1])
		}
		in, err := srtp.CreateContext(secret[:16], secret[16:], srtp.ProtectionProfileAes128CmHmacSha1_80)
		if err != nil {
			t.Fatal(err)
		}
		rtp, _ := lab.UDPPair(t)
		asked, udp := transport, strings.HasSuffix(transport, "client_port=")
		if udp {
			port := rtp.LocalAddr().(*net.UDPAddr).Port
			asked += fmt.Sprintf("%d-%d", port, port+1)
		}
		track := m.Tracks()[0]
		m = c.Want(200, "SETUP", track, "Transport", asked)
		c.Session, _ = m.SessionID()
		infos := parseInfo(t, c.Want(200, "PLAY", track))
		for i := range 20 {
			var b []byte
			if udp {
				b = receive(t, rtp)
			} else {
				for b == nil {
					if f := c.Next().Frame; f != nil && f.Channel == 0 {
						b = f.Payload
					}
				}
			}
			plain, err := in.DecryptRTP(nil, b, nil)
			if err != nil {
				t.Fatalf("packet %d: %v", i, err)
			}
			if seq := int(binary.BigEndian.Uint16(plain[2:])); i == 0 && seq != infos[0].seq {
				t.Errorf("first packet is %d, RTP-Info says %d", seq, infos[0].seq)
			}
			if plain[1]&0x7f != 96 {
				t.Errorf("payload type is %d", plain[1]&0x7f)
			}
		}
	}
}

// certificate writes a key pair with the given serial number.
func certificate(t *testing.T, dir string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "gateway"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	replace(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	replace(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return certFile, keyFile
}

// replace puts a file in the place of another, as those do who renew certificates.
func replace(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// serial returns the serial number of the certificate that a gateway shows.
func serial(t *testing.T, g *lab.Gateway) string {
	t.Helper()
	c, err := handshake(g, &tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// TestCertificateReload proves that a new certificate is used without a restart, a broken one is not, and that players of the
// old one go on.
func TestCertificateReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := lab.NewGateway(t, "a")
	certFile, keyFile := certificate(t, dir, 1001)
	g.RTSP = []string{fmt.Sprintf("tls: {listen: %q, certificate: %q, key: %q}", g.SecureHostPort(), certFile, keyFile)}
	g.Start()
	newSource(t, g.URL("live"), sourceOptions{})
	p := lab.Play(t, g.SecureURL("live"), lab.TCP)
	p.Plays(time.Second)
	if got := serial(t, g); got != "1001" {
		t.Fatalf("serial number is %s, want 1001", got)
	}
	certificate(t, dir, 1002)
	lab.Eventually(t, lab.Patience, "the new certificate is shown", func() bool { return serial(t, g) == "1002" })
	mark := len(g.Log())
	replace(t, certFile, []byte("nonsense"))
	g.WaitLog(mark, "certificate", "err=")
	if got := serial(t, g); got != "1002" {
		t.Errorf("serial number is %s, want 1002 still", got)
	}
	p.Plays(time.Second)
	p.Connected()
	p.Flawless()
}

// TestSelfSigned proves that a lab needs no certificate: one is made at the first start and stays.
func TestSelfSigned(t *testing.T) {
	t.Parallel()
	g := lab.NewGateway(t, "a")
	g.SelfSigned()
	g.Start()
	first := serial(t, g)
	g.Stop()
	g.Start()
	if got := serial(t, g); got != first {
		t.Errorf("serial number is %s after a restart, was %s", got, first)
	}
}
