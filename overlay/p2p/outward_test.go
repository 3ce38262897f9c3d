package p2p

import (
	"slices"
	"testing"
)

func TestOutward(t *testing.T) {
	const relayed = "/ip4/9.9.9.8/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/p2p-circuit"
	addrs, err := parseAll([]string{
		"/ip4/127.0.0.1/tcp/1", "/ip6/fe80::1/tcp/1", "/ip4/192.168.1.7/udp/1/quic-v1", "/ip4/192.168.1.7/tcp/1",
		"/ip6/2001:470::7/udp/1/quic-v1", "/ip4/9.9.9.9/tcp/1", relayed,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/ip4/9.9.9.9/tcp/1", "/ip6/2001:470::7/udp/1/quic-v1", relayed, "/ip4/192.168.1.7/tcp/1", "/ip4/192.168.1.7/udp/1/quic-v1"}
	if got := texts(outward(addrs)); !slices.Equal(got, want) {
		t.Errorf("outward = %v, want %v", got, want)
	}
	if got := texts(outward(addrs[:2])); !slices.Equal(got, []string{"/ip4/127.0.0.1/tcp/1"}) {
		t.Errorf("outward of loopback alone = %v", got)
	}
}
