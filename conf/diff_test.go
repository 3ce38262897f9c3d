package conf

import (
	"slices"
	"testing"
)

// TestDiff compares configurations that are written down.
func TestDiff(t *testing.T) {
	const peer = "peers: {hq: {id: " + aPeer + ", addresses: [a:1]}}"
	for _, tt := range []struct {
		name, a, b string
		want       []string
	}{
		{"the same", peer, peer, nil},
		{"settings", "log: {level: debug}", "rtsp: {listen: 'a:1', udp_ports: 8000-8001}", []string{"log.level", "rtsp.listen", "rtsp.udp_ports"}},
		{"setting of a setting", "", "rtsp: {multicast: {ttl: 2}}", []string{"rtsp.multicast.ttl"}},
		{"list", "", "overlay: {share: [a]}", []string{"overlay.share"}},
		{"users", "users: [{name: any, read: [a]}]", "users: [{name: any, read: [b]}]", []string{"users"}},
		{"streams", "streams: {a: , b: , c: }", "streams: {b: , c: {on_demand: false}, d: }", []string{"streams.a", "streams.c", "streams.d"}},
		{"peer", peer, "peers: {hq: {id: " + aPeer + ", addresses: [a:2]}}", []string{"peers.hq"}},
		{"data and group", "data: x", "rtsp: {multicast: {groups: 239.0.0.0/8}}", []string{"data", "rtsp.multicast.groups"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, errA := Parse("a", []byte(tt.a))
			b, errB := Parse("b", []byte(tt.b))
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			if got := Diff(a, b); !slices.Equal(got, tt.want) {
				t.Errorf("Diff = %q, want %q", got, tt.want)
			}
		})
	}
}
