package p2p

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

// TestNearby keeps, of what a neighbour announces, what another machine can dial, and not without end.
func TestNearby(t *testing.T) {
	var all []ma.Multiaddr
	add := func(s string) {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	add("/ip4/127.0.0.1/tcp/8555")
	add("/ip6/fe80::1/tcp/8555")
	add("/ip4/192.0.2.7/udp/53")
	add("/dns4/example.org/tcp/8555")
	add("/ip4/192.0.2.7/tcp/8555")
	add("/ip6/2001:db8::7/udp/8555/quic-v1")
	if got, want := nearby(all), []string{"/ip4/192.0.2.7/tcp/8555", "/ip6/2001:db8::7/udp/8555/quic-v1"}; !slices.Equal(got, want) {
		t.Errorf("nearby = %v, want %v", got, want)
	}
	for i := range 100 {
		add(fmt.Sprintf("/ip4/192.0.2.7/tcp/%d", i+1))
	}
	if n := len(nearby(all)); n != maxNearby {
		t.Errorf("%d addresses are kept, want %d", n, maxNearby)
	}
}

// Gateways of a private network announce themselves under a name of its own, which does not tell the key.
func TestPrivateService(t *testing.T) {
	a, b := serviceOf([]byte("one key")), serviceOf([]byte("another"))
	if a == b || a != serviceOf([]byte("one key")) || a == serviceOf(nil) {
		t.Errorf("services %s, %s and, without a key, %s", a, b, serviceOf(nil))
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(a, "_"), ".")
	if len(name) > 15 { // RFC 6335 §5.1
		t.Errorf("the name %s has more than 15 characters", name)
	}
}
