package rtsp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// watchEvery is how often the certificate's files are looked at. Two calls of stat cost nothing.
	watchEvery = 2 * time.Second
	// selfSignedLife is long: nobody renews the certificate of a lab.
	selfSignedLife = 20 * 365 * 24 * time.Hour
)

// secureListener takes connections of RTSP over TLS.
type secureListener struct {
	listener  net.Listener
	cert, key string // files
	config    *tls.Config
	log       *slog.Logger

	mu      sync.Mutex // guards the fields below
	pair    *tls.Certificate
	changed [2]time.Time // of the files of pair, or of the ones that could not be read
}

// listenTLS opens the port of RTSPS, or returns nil when there is none.
func (s *Server) listenTLS(ctx context.Context) (*secureListener, error) {
	set := s.settings().TLS
	if set.Listen == "" {
		return nil, nil
	}
	l := &secureListener{cert: set.Certificate, key: set.Key, log: s.log}
	if set.SelfSigned {
		l.cert, l.key = filepath.Join(s.data, "rtsps-cert.pem"), filepath.Join(s.data, "rtsps-key.pem")
		if err := makeSelfSigned(l.cert, l.key); err != nil {
			return nil, fmt.Errorf("rtsp.tls.self_signed: %w", err)
		}
	}
	if err := l.load(); err != nil {
		return nil, fmt.Errorf("rtsp.tls.certificate: %w", err)
	}
	l.config = &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.pair, nil
		},
	}
	var lc net.ListenConfig
	var err error
	if l.listener, err = lc.Listen(ctx, "tcp", set.Listen); err != nil {
		return nil, fmt.Errorf("rtsp.tls: %w", err)
	}
	s.log.Info("listening with TLS", "remote", l.listener.Addr().String())
	return l, nil
}

// close closes the listener; a nil one is none.
func (l *secureListener) close() {
	if l != nil {
		l.listener.Close()
	}
}

// handshake makes a connection a secure one.
func (l *secureListener) handshake(ctx context.Context, nc net.Conn, timeout time.Duration) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t := tls.Server(nc, l.config)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return t, nil
}

// watch reads the certificate again when its files change, until ctx ends.
func (l *secureListener) watch(ctx context.Context) error {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if !l.isChanged() {
				continue
			}
			if err := l.load(); err != nil {
				l.log.Warn("certificate not read, the last one stays", "err", err)
				continue
			}
			l.log.Info("certificate read again", "file", l.cert)
		case <-ctx.Done():
			return nil
		}
	}
}

// times returns when the files were changed; zero for one that cannot be read.
func (l *secureListener) times() (ts [2]time.Time) {
	for i, name := range []string{l.cert, l.key} {
		if st, err := os.Stat(name); err == nil {
			ts[i] = st.ModTime()
		}
	}
	return ts
}

func (l *secureListener) isChanged() bool {
	ts := l.times()
	l.mu.Lock()
	defer l.mu.Unlock()
	return ts != l.changed
}

// load reads the files.
func (l *secureListener) load() error {
	ts := l.times() // before reading: a change meanwhile is seen the next time
	pair, err := tls.LoadX509KeyPair(l.cert, l.key)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed = ts
	if err != nil {
		return err
	}
	l.pair = &pair
	return nil
}

// makeSelfSigned makes a key and a certificate for it unless both files exist.
func makeSelfSigned(cert, key string) error {
	_, err1 := os.Stat(cert)
	_, err2 := os.Stat(key)
	if err1 == nil && err2 == nil {
		return nil
	}
	if err := errors.Join(err1, err2); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, DNSNames: []string{host, "localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:   now.Add(-time.Hour), NotAfter: now.Add(selfSignedLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(key), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}
