//go:build integration

package lab

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
)

// The ports handed out are below the range from which Linux takes those of outgoing connections (32768 and up).
const (
	firstPort = 20000
	lastPort  = 32000
)

// nextPort counts the ports handed out, so that no two tests of this process get the same.
var nextPort atomic.Int64

// FreePort returns a port that is free for TCP and UDP, as the next one is.
func FreePort(t testing.TB) int {
	t.Helper()
	return freePort(t)
}

// freePort returns an even port that is free, as the next one is, for TCP and UDP.
func freePort(t testing.TB) int {
	t.Helper()
	const pairs = (lastPort - firstPort) / 2
	for range pairs {
		n := int(nextPort.Add(1)) + os.Getpid()*97 // several runs on one machine begin at different places
		port := firstPort + 2*(n%pairs)
		if free(port) && free(port+1) {
			return port
		}
	}
	t.Fatalf("no free port between %d and %d", firstPort, lastPort)
	return 0
}

func free(port int) bool {
	addr := fmt.Sprintf(":%d", port)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	l.Close()
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	c.Close()
	return true
}
