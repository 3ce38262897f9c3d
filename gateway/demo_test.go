package main

import (
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"peergate/media"
)

// TestFreePorts takes another port when the wanted one is in use by a program or was handed out.
func TestFreePorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	used := l.Addr().(*net.TCPAddr).Port
	var p freePorts
	var got []int
	for _, want := range []int{used, 0, 0} {
		port, err := p.take(want)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, port)
	}
	again, err := p.take(got[1])
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, again, used)
	slices.Sort(got)
	if n := len(slices.Compact(got)); n != 5 {
		t.Errorf("ports %v, want 5 different ones", got)
	}
}

// TestDemonstration proves that three gateways in a chain know whom they should.
func TestDemonstration(t *testing.T) {
	d, err := newDemonstration(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first, second, third := d.sites[0], d.sites[1], d.sites[2]
	if strings.Contains(third.settings, string(first.id.ID)) || !strings.Contains(third.settings, string(second.id.ID)) {
		t.Errorf("the third gateway has %s", third.settings)
	}
	if !strings.HasSuffix(third.url, "/"+string(first.id.ID)+"/demo") || !strings.HasSuffix(second.url, "/first/demo") {
		t.Errorf("URLs %s, %s", second.url, third.url)
	}
	var out strings.Builder
	d.introduce(&out)
	if n := strings.Count(out.String(), "rtsp://127.0.0.1:"); n != 3 {
		t.Errorf("%d URLs in\n%s", n, &out)
	}
}

// TestLine writes a status line.
func TestLine(t *testing.T) {
	got := line(65*time.Second, []reading{
		{name: "first", players: 1, peers: 1, in: 0.5, out: 1.25},
		{name: "second", players: 2, hops: 1},
	})
	const want = "  65s | first: 1 player, 1 peer, in 0.50 out 1.25 Mbit/s | second: 2 players, 0 peers, 1 hop, in 0.00 out 0.00 Mbit/s"
	if got != want {
		t.Errorf("line =\n%s\nwant\n%s", got, want)
	}
}

// TestMeter counts what streams have grown by, also when one ends and another of the same name begins.
func TestMeter(t *testing.T) {
	hub := media.NewHub(slog.New(slog.DiscardHandler))
	track := []media.Track{{Kind: "audio", Lines: []string{"m=audio 0 RTP/AVP 8"}}}
	packet := append([]byte{0x80, 8}, make([]byte, 98)...)
	publish := func(packets int) *media.Publisher {
		t.Helper()
		p, err := hub.Publish("a", track, media.Origin{Kind: "test"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range packets {
			b := slices.Clone(packet)
			b[3] = byte(i)
			if err := p.WriteRTP(0, b, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		return p
	}
	var m meter
	p := publish(10)
	one := m.grown(hub)
	if one < 1000 || one > 1500 { // and perhaps a sender report
		t.Errorf("10 packets of 100 bytes count %d", one)
	}
	if n := m.grown(hub); n != 0 {
		t.Errorf("nothing counts %d", n)
	}
	p.End()
	publish(5)
	if n := m.grown(hub); n < 500 || n > 1000 {
		t.Errorf("5 packets of a new stream count %d", n)
	}
}
