package overlay

import (
	"strings"
	"testing"
	"time"
)

// TestLinkLasts has two idle gateways stay linked over several pings. Once a link ended with the first.
func TestLinkLasts(t *testing.T) {
	t.Parallel()
	a, b := newGateway(t, "a"), newGateway(t, "b")
	a.knowsAt(b).start()
	b.knows(a).start()
	eventually(t, "b has a link", func() bool { return b.node.link(a.id.ID) != nil })
	l := b.node.link(a.id.ID)
	select {
	case <-l.done:
		t.Errorf("the link ended: %v", l.reason())
	case <-time.After(2*pingEvery + time.Second):
	}
	if s := a.log.String() + b.log.String(); strings.Contains(s, "peer lost") {
		t.Errorf("the logs say\n%s", s)
	}
	if l.rtt.Load() <= 0 {
		t.Errorf("round trip = %v", time.Duration(l.rtt.Load()))
	}
}
