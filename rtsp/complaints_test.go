package rtsp

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestComplaintsAreBounded: what a hostile client writes into the log is little, and not what others have to say.
func TestComplaintsAreBounded(t *testing.T) {
	var out bytes.Buffer
	c := newComplaints(slog.New(slog.NewTextHandler(&out, nil)))
	count := func() int { return strings.Count(out.String(), "\n") }
	bad, good := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2")
	now := time.Now()
	c.tick(now)
	for range 1000 {
		c.about(bad, strings.Repeat("n", 4096), "request refused", errors.New("line\nlevel=ERROR "+strings.Repeat("x", 16<<10)))
	}
	if n := count(); n != maxComplaints {
		t.Errorf("%d lines of one address, want %d", n, maxComplaints)
	}
	if n := out.Len() / maxComplaints; n > 1000 {
		t.Errorf("a line has %d bytes", n)
	}
	c.about(good, "", "request refused", errors.New("another"))
	if n := count(); n != maxComplaints+1 {
		t.Errorf("%d lines, want one more for the other address", n)
	}
	for i := range 1000 {
		c.about(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1), "", "request refused", errors.New("many"))
	}
	if n := count(); n != maxAllComplaints {
		t.Errorf("%d lines of all addresses, want %d", n, maxAllComplaints)
	}
	c.tick(now.Add(complaintsEvery))
	if s := out.String(); !strings.Contains(s, "dropped=1801") {
		t.Errorf("what was not logged is not told: %s", s[len(s)-100:])
	}
	before := count()
	c.about(bad, "", "request refused", errors.New("again"))
	c.tick(now.Add(2 * complaintsEvery))
	if n := count(); n != before+1 {
		t.Errorf("%d more lines in the next interval, want 1", n-before)
	}
}
