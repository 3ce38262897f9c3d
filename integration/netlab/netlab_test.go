//go:build integration

package netlab

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long anything may take on a busy machine.
const patience = 20 * time.Second

// echo answers every packet to a UDP port of the host.
func echo(t *testing.T, h *Host, port uint16) {
	t.Helper()
	c, err := h.ListenUDP(netip.AddrPortFrom(netip.IPv6Unspecified(), port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 2000)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = c.WriteToUDPAddrPort(b[:n], from)
		}
	}()
}

// pings sends so many packets, each when the one before has come back or was waited for, and returns the round trips.
func pings(t *testing.T, from *Host, to netip.AddrPort, n int, wait time.Duration) []time.Duration {
	t.Helper()
	c, err := from.DialContext(t.Context(), "udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var trips []time.Duration
	b := make([]byte, 100)
	for i := range n {
		binary.BigEndian.PutUint32(b, uint32(i))
		sent := time.Now()
		if _, err := c.Write(b); err != nil {
			continue // an ICMP error of the one before
		}
		_ = c.SetReadDeadline(sent.Add(wait))
		got := make([]byte, 100)
		for {
			if _, err = c.Read(got); err != nil || binary.BigEndian.Uint32(got) == uint32(i) {
				break
			}
		}
		if err == nil {
			trips = append(trips, time.Since(sent))
		}
	}
	slices.Sort(trips)
	return trips
}

func reaches(t *testing.T, from *Host, to netip.AddrPort) bool {
	t.Helper()
	return len(pings(t, from, to, 3, 200*time.Millisecond)) > 0
}

// send has one host send by TCP to another for a while and returns the goodput in bit/s.
func send(t *testing.T, from, to *Host, d time.Duration) float64 {
	t.Helper()
	l, err := to.Listen(net.JoinHostPort(to.Addr.String(), "7000"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := from.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	go func() {
		b := make([]byte, 64<<10)
		for {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}()
	_ = in.SetReadDeadline(time.Now().Add(d / 3)) // the beginning does not count
	_, _ = io.Copy(io.Discard, in)
	began := time.Now()
	_ = in.SetReadDeadline(began.Add(d))
	n, _ := io.Copy(io.Discard, in)
	return float64(8*n) / time.Since(began).Seconds()
}

func TestDelay(t *testing.T) {
	l := New(t)
	a := l.Host("a", Both(Way{Delay: 10 * time.Millisecond}))
	b := l.Host("b", Link{Up: Way{Delay: 25 * time.Millisecond}, Down: Way{Delay: 5 * time.Millisecond}})
	echo(t, b, 7)
	for _, addr := range []netip.Addr{b.Addr, b.Addr6} {
		trips := pings(t, a, netip.AddrPortFrom(addr, 7), 50, time.Second)
		if len(trips) != 50 {
			t.Fatalf("%d of 50 packets come back from %v", len(trips), addr)
		}
		t.Logf("round trip to %v: least %v, median %v, most %v, want 50ms", addr, trips[0], trips[25], trips[49])
		if trips[0] < 50*time.Millisecond || trips[25] > 53*time.Millisecond {
			t.Errorf("round trip to %v: least %v, median %v, want 50 ms", addr, trips[0], trips[25])
		}
	}
	a.Access.Set(Both(Way{Jitter: 20 * time.Millisecond}))
	trips := pings(t, a, netip.AddrPortFrom(b.Addr, 7), 50, time.Second)
	if least, most := trips[0], trips[len(trips)-1]; least < 30*time.Millisecond || most-least < 15*time.Millisecond {
		t.Errorf("with 20 ms of jitter each way: least %v, most %v, want 30 to 70 ms", least, most)
	}
	t.Logf("core: %+v", l.Load())
}

func TestRate(t *testing.T) {
	l := New(t)
	a := l.Host("a", Link{Up: Way{Rate: 4 * Mbit}, Down: Way{Rate: 20 * Mbit}})
	b := l.Host("b", Both(Way{}))
	a.Congestion("bbr")
	up, before := send(t, a, b, 3*time.Second), a.Access.Sent()
	down := send(t, b, a, 3*time.Second)
	t.Logf("goodput up %.2f of 4 Mbit/s, down %.2f of 20 Mbit/s", up/Mbit, down/Mbit)
	const most = 1.05 // what was received before the clock started on a busy machine
	if up < 3.5*Mbit || up > most*4*Mbit || down < 17*Mbit || down > most*20*Mbit {
		t.Errorf("goodput up %.2f Mbit/s, want 3.5 to 4; down %.2f Mbit/s, want 17 to 20", up/Mbit, down/Mbit)
	}
	if rate := float64(before.Bytes*8) / 4; rate < 3*Mbit || rate > 5*Mbit {
		t.Errorf("%d bytes were sent in 4 s of 4 Mbit/s", before.Bytes)
	}
}

func TestQueue(t *testing.T) {
	l := New(t)
	a := l.Host("a", Link{Up: Way{Rate: 1 * Mbit, Queue: 100 * time.Millisecond}})
	b := l.Host("b", Link{})
	c, err := a.DialContext(t.Context(), "udp", netip.AddrPortFrom(b.Addr, 9).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before, began := a.Access.Sent(), time.Now()
	for range 100 {
		_, _ = c.Write(make([]byte, 1222)) // 1250 bytes on the line: 10 ms; the answers are ICMP errors
	}
	eventually(t, "100 packets are sent or dropped", func() bool {
		s := a.Access.Sent()
		return s.Packets-before.Packets+s.Dropped-before.Dropped == 100
	})
	most := 13 + int64(time.Since(began)/(10*time.Millisecond)) // a busy machine takes longer than no time to send them
	if n := a.Access.Sent().Packets - before.Packets; n < 11 || n > most {
		t.Errorf("%d packets are sent, want 11 to %d: a queue of 100 ms", n, most)
	}
}

func TestLoss(t *testing.T) {
	l := New(t)
	a := l.Host("a", Link{Up: Way{Loss: 0.05}})
	b := l.Host("b", Link{})
	in, err := b.ListenUDP(netip.AddrPortFrom(b.Addr, 9))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	_ = in.SetReadBuffer(8 << 20)
	c, err := a.DialContext(t.Context(), "udp", in.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const n = 10000
	for i := range n {
		if _, err := c.Write(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 { // no faster than the device's own queue of 2000 is read
			eventually(t, "the core reads", func() bool { return a.Access.Sent().Packets > int64(i-1000) })
		}
	}
	eventually(t, "all are sent", func() bool { return a.Access.Sent().Packets >= n })
	got := 0
	for b := make([]byte, 200); ; got++ {
		_ = in.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if _, err := in.Read(b); err != nil {
			break
		}
	}
	t.Logf("%d of %d packets arrive, the core lost %d", got, n, a.Access.Sent().Lost)
	if got < 9400 || got > 9590 { // 9500 ± 4 standard deviations
		t.Errorf("%d of %d packets arrive, want about 9500", got, n)
	}
}

// TestThroughput shows what the core can carry.
func TestThroughput(t *testing.T) {
	l := New(t)
	a, b := l.Host("a", Both(Way{Delay: 2 * time.Millisecond})), l.Host("b", Both(Way{}))
	rate := send(t, a, b, 2*time.Second)
	t.Logf("%.0f Mbit/s, core: %+v", rate/Mbit, l.Load())
	if rate < 100*Mbit { // 20 gateways at 2 Mbit/s need 60
		t.Errorf("one TCP connection without a limit has %.0f Mbit/s, want 100", rate/Mbit)
	}
}

func TestSplitAndHeal(t *testing.T) {
	l := New(t)
	a, b, c := l.Host("a", Link{}), l.Host("b", Link{}), l.Host("c", Link{})
	for _, h := range []*Host{a, b, c} {
		echo(t, h, 7)
	}
	at := func(h *Host) netip.AddrPort { return netip.AddrPortFrom(h.Addr, 7) }
	check := func(when string, ab, ac, bc bool) {
		t.Helper()
		if got := [3]bool{reaches(t, a, at(b)), reaches(t, a, at(c)), reaches(t, b, at(c))}; got != [3]bool{ab, ac, bc} {
			t.Errorf("%s: a-b, a-c, b-c = %v, want %v", when, got, [3]bool{ab, ac, bc})
		}
	}
	check("at first", true, true, true)
	l.Split(b.Access, c.Access)
	check("b and c split off", false, false, true)
	l.Split(c.Access)
	check("c split off, too", false, false, false)
	l.Heal()
	check("healed", true, true, true)
	b.Access.Unplug(true)
	check("b unplugged", false, true, false)
	b.Access.Unplug(false)
	check("b plugged in", true, true, true)
	if a.Access.Sent().Cut == 0 {
		t.Error("no packet of a was counted as cut")
	}
}

func TestCongestionControl(t *testing.T) {
	l := New(t)
	a := l.Host("a", Link{})
	for _, name := range []string{"reno", "bbr"} {
		a.Congestion(name)
		out, err := a.Command("cat", "/proc/sys/net/ipv4/tcp_congestion_control").Output()
		if err != nil || strings.TrimSpace(string(out)) != name {
			t.Errorf("congestion control is %q, %v, want %s", bytes.TrimSpace(out), err, name)
		}
	}
	own, err := os.Readlink(ownSpace)
	if err != nil || own == a.space.id {
		t.Errorf("this test is in %s, %v, a in %s", own, err, a.space.id)
	}
}

// eventually waits until ok holds and fails the test when it does not in time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
