package p2p

import (
	"encoding/json"
	"testing"
)

// FuzzMeeting reads what a peer tells of its addresses.
func FuzzMeeting(f *testing.F) {
	f.Add([]byte(`{"own":["/ip4/192.168.1.2/tcp/8555"],"seen":["/ip4/203.0.113.1/udp/8555/quic-v1"]}`))
	f.Add([]byte(`{"own":["/ip4/203.0.113.1/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/p2p-circuit"],"go":true}`))
	f.Add([]byte(`{"own":["/p2p-circuit","/ip6zone/x/ip6/fe80::1/tcp/1",""]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m meeting
		if json.Unmarshal(b, &m) != nil {
			return
		}
		_ = m.outside()
		addrs := m.addrs()
		if len(addrs) > 2*maxCandidates {
			t.Errorf("%d addresses", len(addrs))
		}
		for _, a := range addrs {
			if !isTCP(a) && !isQUIC(a) {
				t.Errorf("%v is to be dialled", a)
			}
		}
	})
}
