package p2p

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

func FuzzObserve(f *testing.F) {
	for _, s := range []string{
		`{"tcp":8555,"udp":8555}`, `{}`, `{"seen":"203.0.113.7:8555","tcp":"ok","udp":"no answer"}`, `{"seen":"[2001:db8::1%eth0]:0"}`,
		`{"seen":"203.0.113.7:99999"}`, `{"tcp":-1}`, `[]`, `{"seen":1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := readQuestion(bytes.NewReader(b)); err == nil {
			if out, err := json.Marshal(q); err != nil || len(out) > maxQuestion {
				t.Errorf("a question of %d bytes, %v", len(out), err)
			}
		}
		a, seen, err := readAnswer(json.NewDecoder(bytes.NewReader(b)))
		if err != nil {
			return
		}
		if !seen.IsValid() || len(a.TCP) > len(clip(a.TCP)) || len(a.UDP) > len(clip(a.UDP)) {
			t.Errorf("seen %v, tcp %q, udp %q", seen, a.TCP, a.UDP)
		}
	})
}

// TestReached tells when connections back need not be asked for.
func TestReached(t *testing.T) {
	for _, c := range []struct {
		o    observation
		q    observeQuestion
		want bool
	}{
		{observation{}, observeQuestion{TCP: 1, UDP: 1}, false},
		{observation{tcp: backOK}, observeQuestion{TCP: 1, UDP: 1}, false},
		{observation{tcp: backOK, udp: "no answer"}, observeQuestion{TCP: 1, UDP: 1}, false},
		{observation{tcp: backOK, udp: backOK}, observeQuestion{TCP: 1, UDP: 1}, true},
		{observation{udp: backOK}, observeQuestion{UDP: 1}, true},
	} {
		if got := c.o.reached(c.q); got != c.want {
			t.Errorf("%+v reached by %+v: %v, want %v", c.o, c.q, got, c.want)
		}
	}
}

// TestPlain tells when one observer suffices.
func TestPlain(t *testing.T) {
	own, q := []netip.Addr{netip.MustParseAddr("203.0.113.7")}, observeQuestion{TCP: 1, UDP: 1}
	at := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	for name, c := range map[string]struct {
		o    observation
		want bool
	}{
		"own address, reached":     {observation{seen: at("203.0.113.7:8555"), tcp: backOK, udp: backOK}, true},
		"own address, not reached": {observation{seen: at("203.0.113.7:8555"), tcp: backOK, udp: "no answer"}, false},
		"another address":          {observation{seen: at("203.0.113.8:8555"), tcp: backOK, udp: backOK}, false},
		"no answer yet":            {observation{seen: at("203.0.113.7:8555")}, false},
	} {
		os := observations{by: map[peer.ID]observation{"a": {seen: at("203.0.113.9:1")}, "b": c.o}}
		if got := os.plain(own, q); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
