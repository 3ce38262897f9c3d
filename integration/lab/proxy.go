//go:build integration

package lab

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy passes TCP connections on to an address and counts what comes back: the wire between two gateways.
type Proxy struct {
	Down atomic.Int64 // bytes from the address to those who connect

	to string
	ln net.Listener

	mu    sync.Mutex // guards the fields below
	conns map[net.Conn]struct{}
	cut   bool
}

// NewProxy listens on loopback and passes on to an address.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{to: to, ln: ln, conns: make(map[net.Conn]struct{})}
	t.Cleanup(func() {
		ln.Close()
		p.Cut()
	})
	go p.accept()
	return p
}

// Multiaddr is where the proxy listens, as gateway.yml writes it.
func (p *Proxy) Multiaddr() string {
	a := p.ln.Addr().(*net.TCPAddr)
	return "/ip4/127.0.0.1/tcp/" + portString(a.Port)
}

func portString(port int) string {
	_, s, _ := net.SplitHostPort((&net.TCPAddr{Port: port}).String())
	return s
}

// Cut breaks all connections and takes no more.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		c.Close()
	}
}

// keep notes a connection; it reports false when the wire has been cut.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) accept() {
	for {
		in, err := p.ln.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil {
			in.Close()
			continue
		}
		if !p.keep(in) || !p.keep(out) {
			in.Close()
			out.Close()
			continue
		}
		go p.pass(out, in, nil)
		go p.pass(in, out, &p.Down)
	}
}

func (p *Proxy) pass(to, from net.Conn, count *atomic.Int64) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if count != nil {
				count.Add(int64(n))
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err == io.EOF || err != nil {
			return
		}
	}
}
