//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The servers that can be measured.
const (
	gateway  = "gateway"
	baseline = "baseline"
	floor    = "floor"
)

var contenders = []string{gateway, baseline, floor}

// listenWithin is how long a server may take to listen.
const listenWithin = 20 * time.Second

// programs are the paths of the servers.
type programs struct {
	dir   string
	paths map[string]string
}

// build makes the servers in a folder of their own.
func build(ctx context.Context, o options) (*programs, error) {
	dir, err := os.MkdirTemp("", "peergate-bench-")
	if err != nil {
		return nil, err
	}
	p := &programs{dir: dir, paths: make(map[string]string)}
	for _, s := range o.servers {
		pkg := "peergate/integration/bench/players/" + s
		if s == gateway {
			pkg = "peergate/gateway"
		}
		if p.paths[s] = filepath.Join(dir, s); s == gateway && o.gateway != "" {
			p.paths[s] = o.gateway
			continue
		}
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", p.paths[s], pkg).CombinedOutput(); err != nil {
			os.RemoveAll(dir)
			return nil, fmt.Errorf("build %s: %w\n%s", s, err, out)
		}
	}
	return p, nil
}

// relay starts a server that takes a publisher and players over RTSP, and returns its host:port.
func (p *programs) relay(ctx context.Context, server string) (*process, string, error) {
	port, err := freePair()
	if err != nil {
		return nil, "", err
	}
	host := fmt.Sprintf("127.0.0.1:%d", port)
	args := []string{"-port", strconv.Itoa(port)}
	if server == gateway {
		file, err := p.configure(host)
		if err != nil {
			return nil, "", err
		}
		args = []string{"run", file}
	}
	proc, err := start(p.paths[server], args...)
	if err != nil {
		return nil, "", err
	}
	if err := listening(ctx, host); err != nil {
		return nil, "", fmt.Errorf("%s: %w\n%s", server, err, proc.stop())
	}
	return proc, host, nil
}

// configure writes the gateway's configuration: the defaults, without the overlay and what a log would cost.
func (p *programs) configure(host string) (string, error) {
	file := filepath.Join(p.dir, "gateway.yml")
	text := fmt.Sprintf("log:\n  level: warn\ndata: %s\nrtsp:\n  listen: %s\noverlay:\n  enabled: false\n", filepath.Join(p.dir, "data"), host)
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// listening waits until somebody takes connections at an address.
func listening(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, listenWithin)
	defer cancel()
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "tcp", host)
		if err == nil {
			return c.Close()
		}
		if wait(ctx, 20*time.Millisecond) != nil {
			return err
		}
	}
}

// Servers get ports below the range from which Linux takes those of outgoing connections (32768 and up): a port of that
// range may be taken again before the server has it.
const (
	firstServer = 20000
	lastServer  = 32000
)

// freePair returns an even port that is free on loopback for TCP and UDP, as the next one is.
func freePair() (int, error) {
	for range 100 {
		port := firstServer + 2*rand.IntN((lastServer-firstServer)/2)
		if freeTCP(port) && freeUDP(port) && freeUDP(port+1) {
			return port, nil
		}
	}
	return 0, errors.New("no pair of free ports")
}

func freeTCP(port int) bool {
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func freeUDP(port int) bool {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// startFloor starts the floor, which sends over TCP when all players have come to its address.
func (p *programs) startFloor(c cell, o options) (*process, netip.AddrPort, error) {
	proc, err := start(p.paths[floor], "-players", strconv.Itoa(c.Players), "-udp="+strconv.FormatBool(c.udp()),
		"-bitrate", strconv.Itoa(o.format.Bitrate), "-payload", strconv.Itoa(o.format.Payload))
	if err != nil || c.udp() {
		return proc, netip.AddrPort{}, err
	}
	line, err := proc.out.ReadString('\n')
	if err != nil {
		return nil, netip.AddrPort{}, fmt.Errorf("floor: %w\n%s", err, proc.stop())
	}
	addr, err := netip.ParseAddrPort(strings.TrimSpace(line))
	return proc, addr, err
}

// wait waits for a time; the error is that ctx has ended.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
