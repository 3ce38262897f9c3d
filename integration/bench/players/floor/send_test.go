//go:build linux

package main

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"peergate/integration/bench/players/camera"
)

func TestMessageHoldsPacketsOfOneSize(t *testing.T) {
	many := make([]int, 100)
	for i := range many {
		many[i] = 1412
	}
	small := make([]int, 100)
	for i := range small {
		small[i] = 500
	}
	for name, c := range map[string]struct {
		sizes          []int
		packets, bytes int
	}{
		"one":             {[]int{100}, 1, 100},
		"last is smaller": {[]int{1412, 1412, 300, 1412}, 3, 3124},
		"next is larger":  {[]int{70, 1412, 1412}, 1, 70},
		"too many bytes":  {many, 46, 46 * 1412},
		"too many":        {small, 64, 64 * 500},
	} {
		if p, b := message(c.sizes); p != c.packets || b != c.bytes {
			t.Errorf("%s: message = %d packets, %d bytes, want %d, %d", name, p, b, c.packets, c.bytes)
		}
	}
}

func TestDatagramsReachAll(t *testing.T) {
	var conns []*net.UDPConn
	var to strings.Builder
	for range 2 {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
		to.WriteString(c.LocalAddr().String() + "\n")
	}
	d, err := newDatagrams(bufio.NewReader(strings.NewReader(to.String())), 2)
	if err != nil {
		t.Fatal(err)
	}
	fr := camera.NewFrames(camera.Format{Bitrate: 1e6, FrameRate: 30, KeyEvery: 30, Payload: 1000})
	if err := d.send(fr.Next(1)); err != nil {
		t.Fatal(err)
	}
	for _, c := range conns {
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 2000)
		for want := range fr.Number() {
			n, err := c.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			if _, got, ok := camera.Sent(b[:n]); !ok || got != want {
				t.Fatalf("packet %d came, want %d", got, want)
			}
		}
	}
}
