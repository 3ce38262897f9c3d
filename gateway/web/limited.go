package web

import (
	"net"
	"sync"
)

const (
	// maxConns is how many connections of players an address of the gateway takes at once.
	maxConns = 10_000
	// maxConnsEach is how many of them a player's address may have; a site behind one address has many players.
	maxConnsEach = 1000
)

// limited is a listener that closes connections which are too many.
type limited struct {
	net.Listener

	mu    sync.Mutex     // guards the fields below
	taken map[string]int // by the player's address
	all   int
}

// Accept returns the next connection that is not too many.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(c.RemoteAddr().String())
		if err != nil || !l.enter(host) {
			c.Close()
			continue
		}
		return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(host) })}, nil
	}
}

func (l *limited) enter(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= maxConns || l.taken[host] >= maxConnsEach {
		return false
	}
	l.taken[host]++
	l.all++
	return true
}

func (l *limited) leave(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.taken[host]--; l.taken[host] == 0 {
		delete(l.taken, host)
	}
}

// limitedConn is a connection that counts until it is closed.
type limitedConn struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *limitedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
