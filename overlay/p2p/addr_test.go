package p2p

import (
	"slices"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func TestParseAddrs(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7:8555":                "/ip4/192.0.2.7/tcp/8555 /ip4/192.0.2.7/udp/8555/quic-v1",
		"[2001:db8::1]:8555":            "/ip6/2001:db8::1/tcp/8555 /ip6/2001:db8::1/udp/8555/quic-v1",
		"gw.example.org:1":              "/dns/gw.example.org/tcp/1 /dns/gw.example.org/udp/1/quic-v1",
		"/ip4/192.0.2.7/tcp/8555":       "/ip4/192.0.2.7/tcp/8555",
		"/ip4/0.0.0.0/udp/8555/quic-v1": "/ip4/0.0.0.0/udp/8555/quic-v1",
		"/dns4/a/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA": "/dns4/a/tcp/1",
	} {
		got, err := ParseAddrs(in)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("ParseAddrs(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "hq", "192.0.2.7", "192.0.2.7:0", "192.0.2.7:65536", "192.0.2.7:http", ":8555", "/", "/ip4/192.0.2.7",
		"/ip4/192.0.2.7/udp/8555", "/ip4/256.0.2.7/tcp/8555", "/unix/tmp/tcp/1", "/ip4/1.2.3.4/tcp/1/ws",
	} {
		if got, err := ParseAddrs(in); err == nil {
			t.Errorf("ParseAddrs(%q) = %q, want an error", in, got)
		}
	}
}

func FuzzParseAddrs(f *testing.F) {
	for _, s := range []string{"a:1", "[::1]:1", "/ip4/1.2.3.4/tcp/1", "/dns/a/udp/1/quic-v1/p2p/x", "/ip6zone/a/ip6/::1/tcp/1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseAddrs(s)
		if err != nil {
			return
		}
		for _, a := range got {
			if again, err := ParseAddrs(a); err != nil || !slices.Equal(again, []string{a}) {
				t.Errorf("ParseAddrs(%q) = %q, %v: not itself", a, again, err)
			}
		}
	})
}

func TestRank(t *testing.T) {
	in := []string{
		"/ip4/192.0.2.7/udp/1/quic-v1", "/ip4/192.0.2.7/tcp/1", "/ip6/2001:db8::1/udp/1/quic-v1", "/ip6/2001:db8::1/tcp/1",
		"/ip4/10.0.0.1/tcp/1",
	}
	var addrs []ma.Multiaddr
	for _, s := range in {
		addrs = append(addrs, ma.StringCast(s))
	}
	var got []string
	for _, d := range rank(addrs) {
		got = append(got, d.Delay.String()+" "+d.Addr.String())
	}
	want := []string{
		"0s /ip4/10.0.0.1/tcp/1", "0s /ip6/2001:db8::1/tcp/1", "250ms /ip4/192.0.2.7/tcp/1",
		"500ms /ip6/2001:db8::1/udp/1/quic-v1", "750ms /ip4/192.0.2.7/udp/1/quic-v1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("rank = %q, want %q", got, want)
	}
}

func TestAnnounce(t *testing.T) {
	got, err := Announce([]string{"127.0.0.1:8555"})
	if err != nil || !slices.Equal(got, []string{"/ip4/127.0.0.1/tcp/8555", "/ip4/127.0.0.1/udp/8555/quic-v1"}) {
		t.Errorf("Announce of loopback = %q, %v", got, err)
	}
	got, err = Announce([]string{"/ip4/0.0.0.0/tcp/8555"})
	if err != nil || len(got) == 0 || slices.Contains(got, "/ip4/0.0.0.0/tcp/8555") {
		t.Errorf("Announce of every address = %q, %v", got, err)
	}
}
