//go:build integration

package swarm

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"peergate/integration/lab"
	"peergate/integration/netlab"
)

// copyRole is set in the environment of a process that only copies: "listen,source".
const copyRole = "PEERGATE_TEST_COPY"

// runCopy takes one TLS connection, makes one to the source and copies all that comes from there: the least that a relay does.
func runCopy(role string) {
	listen, source, _ := strings.Cut(role, ",")
	err := func() error {
		config, err := keys()
		if err != nil {
			return err
		}
		l, err := tls.Listen("tcp", listen, config)
		if err != nil {
			return err
		}
		fmt.Println("listens")
		to, err := l.Accept()
		if err != nil {
			return err
		}
		from, err := tls.Dial("tcp", source, config)
		if err != nil {
			return err
		}
		_, err = io.Copy(to, from)
		return err
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// keys returns a TLS configuration with a fresh Ed25519 key, the kind of key that gateways have.
func keys() (*tls.Config, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates:       []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: private}},
		InsecureSkipVerify: true, // it is the cost of encryption that is measured
	}, nil
}

const (
	// costWindow is long enough for processor times that the system tells in steps of 10 ms.
	costWindow = 12 * time.Second
	// relayRate is high enough to tell a relay's processor time from that of an idle one.
	relayRate = 8 * netlab.Mbit
	// chunkSize is what a gateway sends at once at that rate.
	chunkSize = 8 << 10
)

// BenchmarkRelay compares the processor time of a gateway that passes a stream on with that of a program that copies as many
// bytes from one TLS connection to another.
func BenchmarkRelay(b *testing.B) {
	n := netlab.New(b)
	var host [3]*netlab.Host
	for i := range host {
		host[i] = n.Host(string(rune('a'+i)), netlab.Both(netlab.Way{Delay: hop}))
	}
	for b.Loop() {
		gateway, copied := relayed(b, host), copyOf(b, host)
		b.ReportMetric(gateway, "gateway-ms/Mbit")
		b.ReportMetric(copied, "copy-ms/Mbit")
		b.ReportMetric(gateway/copied, "gateway/copy")
	}
}

// relayed returns the ms a Mbit of a gateway between the owner and another one.
func relayed(t testing.TB, host [3]*netlab.Host) float64 {
	t.Helper()
	var g [3]*lab.Gateway
	for i, h := range host {
		g[i] = lab.NewGateway(t, h.Name)
		g[i].Host, g[i].LogLevel = h.Addr.String(), "info"
		g[i].Listen = fmt.Sprintf(":%d", g[i].Port)
	}
	g[0].KnowsAt(g[1])
	g[1].Knows(g[0])
	g[1].KnowsAt(g[2])
	g[2].Knows(g[1])
	g[2].KnowsAt(g[0])
	on := func(i int, f func()) {
		if err := host[i].Do(func() error { f(); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range g {
		on(i, func() { g[i].Start() })
	}
	var c *camera
	on(0, func() {
		c = newCamera(t, fmt.Sprintf("rtsp://127.0.0.1:%d/cam", g[0].Port), relayRate)
		g[0].WaitStream("cam")
	})
	var r *reader
	on(2, func() {
		g[2].WaitStream("a/cam") // b has to find its way to a first
		r = newReader(t, "c", g[2].URL("a/cam"))
	})
	r.Plays(settle)
	cpu, bytes := g[1].Process().CPUTime(t), r.Tracks[0].Stats().Bytes
	r.Plays(costWindow)
	cpu, bytes = g[1].Process().CPUTime(t)-cpu, r.Tracks[0].Stats().Bytes-bytes
	r.sound(t, c)
	r.Stop()
	c.stop()
	for i := range g {
		g[i].Stop()
	}
	return cpu.Seconds() * 1000 / (8 * float64(bytes) / netlab.Mbit)
}

// copyOf returns the ms a Mbit of the program.
func copyOf(t testing.TB, host [3]*netlab.Host) float64 {
	t.Helper()
	config, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	source, err := host[0].Listen(net.JoinHostPort(host[0].Addr.String(), "7000"))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*settle+costWindow)
	defer cancel()
	go pour(ctx, tls.NewListener(source, config))
	listen := net.JoinHostPort(host[1].Addr.String(), "7000")
	env := append(os.Environ(), copyRole+"="+listen+","+source.Addr().String())
	args := append(host[1].Prefix(), os.Args[0])
	p := lab.SpawnEnv(t, env, args[0], args[1:]...)
	lab.Eventually(t, lab.Patience, "the copying program listens", func() bool { return p.Out.Len() > 0 })
	raw, err := host[2].DialContext(t.Context(), "tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := bufio.NewReader(tls.Client(raw, config))
	take := func(d time.Duration) int64 {
		_ = raw.SetReadDeadline(time.Now().Add(d))
		n, _ := io.Copy(io.Discard, c) // until then
		return n
	}
	if n := take(settle); n == 0 {
		t.Fatal("nothing is copied")
	}
	cpu := p.CPUTime(t)
	bytes := take(costWindow)
	cpu = p.CPUTime(t) - cpu
	return cpu.Seconds() * 1000 / (8 * float64(bytes) / netlab.Mbit)
}

// pour sends chunks to whoever connects first, as they come from a camera.
func pour(ctx context.Context, l net.Listener) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	tick := time.NewTicker(time.Second / frameRate)
	defer tick.Stop()
	for {
		for left := relayRate / 8 / frameRate; left > 0; left -= chunkSize {
			if _, err := c.Write(make([]byte, min(left, chunkSize))); err != nil {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
