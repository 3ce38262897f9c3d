package main

import (
	"fmt"
	"net"
)

// freePorts hands out ports of 127.0.0.1 that are free for TCP and UDP, each once.
type freePorts struct{ taken []int }

// take returns the wanted port, or another when that is taken.
func (p *freePorts) take(want int) (int, error) {
	for range 100 {
		if port, ok := tryPort(want); ok && !p.has(port) {
			p.taken = append(p.taken, port)
			return port, nil
		}
		want = 0 // the system chooses
	}
	return 0, fmt.Errorf("no port of 127.0.0.1 is free")
}

func (p *freePorts) has(port int) bool {
	for _, t := range p.taken {
		if t == port {
			return true
		}
	}
	return false
}

// tryPort tells whether a port is free; of 0 it returns one that is.
func tryPort(port int) (int, bool) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return 0, false
	}
	defer l.Close()
	port = l.Addr().(*net.TCPAddr).Port
	c, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return 0, false
	}
	c.Close()
	return port, true
}
