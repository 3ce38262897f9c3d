//go:build linux

package load

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"peergate/integration/bench/players/camera"
)

// run starts a load that the test's end ends.
func run(t *testing.T, o Options) *Load {
	t.Helper()
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return l
}

// arrive waits until the players have had n packets and sums up.
func arrive(t *testing.T, l *Load, n uint64) Summary {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		got, err := l.Packets()
		if err != nil {
			t.Fatal(err)
		}
		if got >= n {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d of %d packets came", got, n)
		}
	}
	s, err := l.Summary()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDatagramsAreAudited(t *testing.T) {
	const players = 3
	l := run(t, Options{UDP: true, GRO: true})
	packets, _ := stream(10)
	if err := l.Begin(0); err != nil {
		t.Fatal(err)
	}
	if err := l.End(uint32(len(packets))); err != nil {
		t.Fatal(err)
	}
	for i := range players {
		to, err := l.Listen(netip.AddrPort{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for n, p := range packets {
			if i == 1 && n == 7 {
				continue // lost
			}
			if _, err := c.Write(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := arrive(t, l, uint64(players*len(packets)-1))
	if s.Players != players || s.Keyed != players || s.Missing != 1 || s.Faults != 0 || s.Left != 0 {
		t.Errorf("Summary = %d players, %d keyed, %d missing, %d faults, %d left", s.Players, s.Keyed, s.Missing, s.Faults, s.Left)
	}
	if err := l.End(5); err != nil { // too late: the players have more
		t.Fatal(err)
	}
	if again, err := l.Summary(); err != nil || again.Loss() != s.Loss() {
		t.Errorf("Loss after an early end = %v, %v, want %v still", again.Loss(), err, s.Loss())
	}
	if want := 1 / float64(players*len(packets)); s.Loss() < 0.99*want || s.Loss() > 1.01*want {
		t.Errorf("Loss = %v, want %v", s.Loss(), want)
	}
}

// serve answers one player and then sends it a stream, the answer to PLAY and all packets in pieces.
func serve(c net.Conn, frames int) error {
	defer c.Close()
	r := bufio.NewReader(c)
	var last []byte
	for q := 0; q < 3; {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if line != "\r\n" {
			continue
		}
		last = []byte("RTSP/1.0 200 OK\r\nSession: 1\r\n\r\n")
		if q == 0 {
			last = fmt.Appendf(nil, "RTSP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(camera.SDP), camera.SDP)
		}
		if q++; q == 3 {
			break
		}
		if _, err := c.Write(last); err != nil {
			return err
		}
	}
	fr := camera.NewFrames(format)
	for range frames {
		last = append(last, fr.Next(camera.Now()).Interleaved()...)
	}
	for len(last) > 0 {
		n := min(len(last), 777)
		if _, err := c.Write(last[:n]); err != nil {
			return err
		}
		last = last[n:]
	}
	_, err := r.ReadString(0) // until the player goes
	if strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "reset") {
		return nil
	}
	return err
}

func TestPlayersOverTCPAreAudited(t *testing.T) {
	const players, frames = 5, 12
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, players)
	go func() {
		for range players {
			c, err := ln.Accept()
			if err != nil {
				served <- err
				return
			}
			go func() { served <- serve(c, frames) }()
		}
	}()
	t.Cleanup(func() { // after the load has ended
		ln.Close()
		for range players {
			if err := <-served; err != nil {
				t.Errorf("server: %v", err)
			}
		}
	})
	l := run(t, Options{})
	if err := l.Begin(0); err != nil {
		t.Fatal(err)
	}
	for i := range players {
		if err := l.Join("rtsp://"+ln.Addr().String()+"/s", i == 0); err != nil {
			t.Fatal(err)
		}
	}
	packets, _ := stream(frames)
	if err := l.End(uint32(len(packets))); err != nil {
		t.Fatal(err)
	}
	s := arrive(t, l, uint64((players-1)*len(packets)))
	if s.Players != players-1 || s.Joined != players-1 || s.Keyed != players-1 || s.Loss() != 0 || s.Faults != 0 || s.Left != 0 {
		t.Errorf("Summary = %d players, %d joined, %d keyed, loss %v, %d faults, %d left %s, want %d, all and none",
			s.Players, s.Joined, s.Keyed, s.Loss(), s.Faults, s.Left, s.Err, players-1)
	}
	if s.Join.Count() != players-1 || s.Delay.Count() != s.Got {
		t.Errorf("%d joins and %d delays are measured, want %d and %d", s.Join.Count(), s.Delay.Count(), players-1, s.Got)
	}
}

func TestAServerThatHangsUpIsTold(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	l := run(t, Options{})
	if err := l.Join("rtsp://"+ln.Addr().String()+"/s", false); err != nil {
		t.Fatal(err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		n, err := l.Playing()
		if n != 0 {
			t.Fatalf("Playing = %d, want 0", n)
		}
		if err != nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal("nobody told that the server hung up")
		}
	}
}
