package delivery

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// tlsClient is a player over RTSPS.
func tlsClient(t *testing.T, l *lab, tracks int) *client {
	s, u := pair(t)
	server, user := tlsPair(s, u)
	return interleaved(t, l, server, user, tracks)
}

// tlsPair puts TLS over the two ends of a connection.
func tlsPair(s, u net.Conn) (server, user *tls.Conn) {
	return tls.Server(s, &tls.Config{Certificates: []tls.Certificate{certificate()}}), tls.Client(u, &tls.Config{InsecureSkipVerify: true})
}
