package overlay

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"peergate/overlay/p2p"
)

func FuzzGauge(f *testing.F) {
	f.Add(make([]byte, 16))
	f.Add(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, 1_000_000), 1_000_000))
	f.Add(bytes.Repeat([]byte{255}, 16))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 16 {
			return
		}
		if rate, err := rateOf([16]byte(b[:16])); err == nil && (rate < 0 || rate > 16*gaugeMost*8) {
			t.Errorf("rate = %d", rate)
		}
	})
}

// TestGauge has a peer count, which does not do so twice in a row.
func TestGauge(t *testing.T) {
	t.Parallel()
	a, b := newGateway(t, "a"), newGateway(t, "b")
	a.knowsAt(b).start()
	b.knows(a).start()
	eventually(t, "they are connected", func() bool { return b.node.link(a.id.ID) != nil })
	if g, err := b.node.Gauge(t.Context()); err == nil {
		t.Errorf("Gauge = %+v, want an error: the peer is on this machine", g)
	}
	rate, err := b.node.gauge(t.Context(), a.id.ID)
	if err != nil || rate < 1_000_000 {
		t.Errorf("gauge = %d, %v", rate, err)
	}
	if rate, err := b.node.gauge(t.Context(), a.id.ID); err == nil {
		t.Errorf("gauge at once again = %d, want an error", rate)
	}
}

func TestGaugesAgain(t *testing.T) {
	var g gauges
	now := time.Now()
	if id := p2p.ID("x"); !g.may(id, now) || g.may(id, now.Add(gaugeAgain-1)) || !g.may(id, now.Add(gaugeAgain)) || !g.may("y", now) {
		t.Error("a peer may not, or too often")
	}
}
