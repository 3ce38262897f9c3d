//go:build linux

// Command floor sends a stream to many sockets with the fewest system calls there are, and does nothing else: what a
// player costs at least on this machine. Over UDP a frame goes to all players with sendmmsg, runs of packets of one size
// as one message (UDP_SEGMENT); over TCP a frame is one write for each player.
//
// Over TCP it prints the address it listens at and begins when all players have connected. Over UDP it reads the addresses
// of all players, one a line. It ends with its standard input.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"peergate/integration/bench/players/camera"
)

func main() {
	var f camera.Format
	players := flag.Int("players", 1, "how many `sockets` to send to")
	udp := flag.Bool("udp", false, "send over UDP rather than TCP")
	flag.IntVar(&f.Bitrate, "bitrate", 4e6, "`bits` a second")
	flag.IntVar(&f.FrameRate, "fps", 30, "`frames` a second")
	flag.IntVar(&f.KeyEvery, "key", 30, "`frames` from one key frame to the next")
	flag.IntVar(&f.Payload, "payload", 1400, "`bytes` of a full packet")
	flag.Parse()
	if err := run(*players, *udp, f); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(players int, udp bool, f camera.Format) error {
	if err := f.Check(); err != nil {
		return err
	}
	in := bufio.NewReader(os.Stdin)
	var s sender
	var err error
	if udp {
		s, err = newDatagrams(in, players)
	} else {
		s, err = newStreams(players)
	}
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, in)
		stop()
	}()
	return film(ctx, f, s)
}

// sender sends a frame to all players.
type sender interface {
	send(*camera.Frame) error
}

// film sends a frame whenever one is due.
func film(ctx context.Context, f camera.Format, s sender) error {
	fr := camera.NewFrames(f)
	tick := time.NewTicker(time.Second / time.Duration(f.FrameRate))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.send(fr.Next(camera.Now())); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// newStreams takes the connections of all players.
func newStreams(players int) (*streams, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	fmt.Println(l.Addr())
	s := new(streams)
	for range players {
		c, err := l.Accept()
		if err != nil {
			return nil, err
		}
		f, err := c.(*net.TCPConn).File()
		if err != nil {
			return nil, err
		}
		c.Close()
		if err := s.add(f); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// newDatagrams reads the addresses of all players.
func newDatagrams(in *bufio.Reader, players int) (*datagrams, error) {
	var to []netip.AddrPort
	for range players {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("read the address of a player: %w", err)
		}
		a, err := netip.ParseAddrPort(line[:len(line)-1])
		if err != nil {
			return nil, err
		}
		to = append(to, a)
	}
	return openDatagrams(to)
}
