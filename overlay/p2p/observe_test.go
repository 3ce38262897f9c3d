package p2p

import (
	"bytes"
	"encoding/json"
	"testing"
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
