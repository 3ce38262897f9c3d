//go:build integration

package netlab

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// observer answers every packet with the address that it came from, as a STUN server does.
func observer(t *testing.T, h *Host) netip.AddrPort {
	t.Helper()
	c, err := h.ListenUDP(netip.AddrPortFrom(h.Addr, 3478))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 100)
		for {
			_, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = c.WriteToUDPAddrPort([]byte(from.String()), from)
		}
	}()
	return netip.AddrPortFrom(h.Addr, 3478)
}

// socket opens a UDP socket on the host at a port that others do not use.
func socket(t *testing.T, h *Host, port uint16) *net.UDPConn {
	t.Helper()
	c, err := h.ListenUDP(netip.AddrPortFrom(h.Addr, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// observed returns the address that an observer sees a socket at.
func observed(t *testing.T, c *net.UDPConn, at netip.AddrPort) netip.AddrPort {
	t.Helper()
	b := make([]byte, 100)
	for range 5 {
		if _, err := c.WriteToUDPAddrPort([]byte("?"), at); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil || from != at {
			continue
		}
		if a, err := netip.ParseAddrPort(string(b[:n])); err == nil {
			return a
		}
	}
	t.Fatalf("no answer from the observer at %v", at)
	return netip.AddrPort{}
}

// punch has two sockets send to each other's address, as it was seen, and reports whether packets come through both ways.
func punch(t *testing.T, a, b *net.UDPConn, aSeen, bSeen netip.AddrPort) bool {
	t.Helper()
	heard := func(c *net.UDPConn) bool {
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, _, err := c.ReadFromUDPAddrPort(make([]byte, 100))
		return err == nil
	}
	var atA, atB bool
	for range 5 {
		_, _ = a.WriteToUDPAddrPort([]byte("from a"), bSeen) // an error is that of an earlier packet
		_, _ = b.WriteToUDPAddrPort([]byte("from b"), aSeen)
		atA, atB = heard(a) || atA, heard(b) || atB
	}
	return atA && atB
}

func TestNATKinds(t *testing.T) {
	l := New(t)
	first, second := observer(t, l.Host("first", Link{})), observer(t, l.Host("second", Link{}))
	for _, tt := range []struct {
		nat             NAT
		own, keeps, one bool // the host's own address is seen; its own port is; one port for all destinations
	}{{Open, true, true, true}, {Preserving, false, true, true}, {Symmetric, false, false, false}} {
		t.Run(string(tt.nat), func(t *testing.T) {
			box := l.Box("box "+string(tt.nat), Link{}, tt.nat)
			h := box.Host("h")
			c := socket(t, h, 5000)
			a, b := observed(t, c, first), observed(t, c, second)
			t.Logf("%v:5000 is seen as %v and as %v", h.Addr, a, b)
			if got := a.Addr() == h.Addr; got != tt.own {
				t.Errorf("own address is seen: %v, want %v", got, tt.own)
			}
			if !tt.own && a.Addr() != box.Addr {
				t.Errorf("seen as %v, want the box's address %v", a, box.Addr)
			}
			if got := a.Port() == 5000; got != tt.keeps {
				t.Errorf("own port is seen: %v, want %v", got, tt.keeps)
			}
			if got := a.Port() == b.Port(); got != tt.one {
				t.Errorf("one port for all: %v, want %v", got, tt.one)
			}
			echo(t, h, 7)
			out := l.Host("out "+string(tt.nat), Link{})
			for _, addr := range []netip.Addr{box.Addr, h.Addr, h.Addr6} {
				want := tt.nat == Open && addr != box.Addr
				if got := reaches(t, out, netip.AddrPortFrom(addr, 7)); got != want {
					t.Errorf("a host outside reaches %v: %v, want %v", addr, got, want)
				}
			}
			echo(t, out, 7)
			if !reaches(t, h, netip.AddrPortFrom(out.Addr6, 7)) {
				t.Error("nobody is reached over IPv6 from inside")
			}
		})
	}
}

// TestHolePunching is the matrix of which pairs can do it.
func TestHolePunching(t *testing.T) {
	l := New(t)
	seen := observer(t, l.Host("observer", Link{}))
	for _, tt := range []struct {
		a, b NAT
		want bool
	}{{Preserving, Preserving, true}, {Preserving, Symmetric, false}, {Symmetric, Symmetric, false}, {Open, Symmetric, true}} {
		a, b := l.Box("a", Link{}, tt.a).Host("a"), l.Box("b", Link{}, tt.b).Host("b")
		ca, cb := socket(t, a, 5000), socket(t, b, 6000)
		sa, sb := observed(t, ca, seen), observed(t, cb, seen)
		got := punch(t, ca, cb, sa, sb)
		if tt.a == Open { // it answers whoever comes
			_, _ = cb.WriteToUDPAddrPort([]byte("from b"), sa)
			_ = ca.SetReadDeadline(time.Now().Add(time.Second))
			_, from, err := ca.ReadFromUDPAddrPort(make([]byte, 100))
			got = err == nil && from.Port() != sb.Port()
		}
		if got != tt.want {
			t.Errorf("%s (seen at %v) and %s (at %v) reach each other: %v, want %v", tt.a, sa, tt.b, sb, got, tt.want)
		}
	}
}

func TestTwoLevels(t *testing.T) {
	l := New(t)
	server := l.Host("server", Link{})
	seen := observer(t, server)
	echo(t, server, 7)
	outer := l.Box("outer", Both(Way{Delay: 5 * time.Millisecond}), Preserving)
	inner := outer.Box("inner", Preserving)
	h := inner.Host("h")
	a := observed(t, socket(t, h, 5000), seen)
	if a != netip.AddrPortFrom(outer.Addr, 5000) || inner.Addr.String()[:8] != "192.168." {
		t.Errorf("seen at %v, want the outer box's address; the inner one is at %v", a, inner.Addr)
	}
	for _, addr := range []netip.Addr{server.Addr, server.Addr6} {
		if trips := pings(t, h, netip.AddrPortFrom(addr, 7), 5, time.Second); len(trips) < 5 || trips[0] < 10*time.Millisecond {
			t.Errorf("round trips to %v through two levels: %v", addr, trips)
		}
	}
	if got := h.Access.Sent(); got.Packets == 0 {
		t.Error("the site's link counts nothing")
	}
}

func TestForwardAndHairpin(t *testing.T) {
	l := New(t)
	out := l.Host("out", Link{})
	for _, hairpin := range []bool{false, true} {
		box := l.Box("box", Link{}, Preserving)
		server, beside := box.Host("server"), box.Host("beside")
		echo(t, server, 7)
		box.Forward(server, 7, hairpin)
		at := netip.AddrPortFrom(box.Addr, 7)
		if !reaches(t, out, at) {
			t.Errorf("hairpin %v: the forwarded port is not reached from outside", hairpin)
		}
		if got := reaches(t, beside, at); got != hairpin {
			t.Errorf("hairpin %v: the forwarded port is reached from inside: %v", hairpin, got)
		}
		if !reaches(t, beside, netip.AddrPortFrom(server.Addr, 7)) {
			t.Errorf("hairpin %v: the LAN does not reach itself", hairpin)
		}
	}
}

// TestMulticast proves that machines on one bridge can find each other, and nobody else.
func TestMulticast(t *testing.T) {
	l := New(t)
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	home, other := l.Box("home", Link{}, Preserving), l.Box("other", Link{}, Open)
	hosts := []*Host{home.Host("a"), home.Host("b"), other.Host("c")}
	var in []*net.UDPConn
	for _, h := range hosts {
		err := h.Do(func() error {
			c, err := net.ListenMulticastUDP("udp4", nil, group)
			if err == nil {
				t.Cleanup(func() { c.Close() })
				in = append(in, c)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	c := socket(t, hosts[0], 5000)
	if _, err := c.WriteToUDP([]byte("hello"), group); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"b": true, "c": false} {
		i := int(name[0] - 'a')
		_ = in[i].SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := in[i].ReadFromUDP(make([]byte, 100)); (err == nil) != want {
			t.Errorf("host %s hears the group: %v, want %v", name, err == nil, want)
		}
	}
}

func TestMove(t *testing.T) {
	l := New(t)
	server := l.Host("server", Link{})
	echo(t, server, 7)
	home, office := l.Box("home", Link{}, Preserving), l.Box("office", Link{}, Symmetric)
	h := home.Host("laptop")
	seen := observer(t, l.Host("observer", Link{}))
	before, was := observed(t, socket(t, h, 5000), seen), h.Addr
	h.Move(office)
	after := observed(t, socket(t, h, 5001), seen)
	if before.Addr() != home.Addr || after.Addr() != office.Addr || h.Addr == was || h.Access != office.Access {
		t.Errorf("seen at %v, then at %v; want %v and %v", before, after, home.Addr, office.Addr)
	}
	if !reaches(t, h, netip.AddrPortFrom(server.Addr6, 7)) {
		t.Error("nobody is reached over IPv6 after the move")
	}
}
