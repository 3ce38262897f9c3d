//go:build integration

package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"peergate/integration/lab"
)

// TestMembersOnly has a stream that is for members only go over a gateway without a ticket to one that has one. The one
// in the middle refuses its own players and holds no byte of a packet; a revoked ticket ends its player within 10 s, and
// one with another ticket notices nothing.
func TestMembersOnly(t *testing.T) {
	t.Parallel()
	a, relay, b, c := lab.NewGateway(t, "a"), lab.NewGateway(t, "relay"), lab.NewGateway(t, "b"), lab.NewGateway(t, "c")
	a.Overlay = append(a.Overlay, "channels: [{name: live, access: members}]")
	a.Knows(relay)
	a.KnowsAt(c)
	relay.Knows(a)
	relay.KnowsAt(b)
	relay.KnowsAt(c)
	b.Knows(relay)
	b.KnowsAt(a) // which does not list b: its keys come over the relay
	c.Knows(a, relay)
	for _, g := range []*lab.Gateway{a, relay, b, c} {
		g.Start()
	}
	lab.Encode(t, lab.H264(t), a.URL("live"))
	a.WaitStream("live")
	for _, g := range []*lab.Gateway{relay, b} {
		r := ask(t, g, "a/live")
		if r.Status != 403 || !strings.Contains(r.Body, "ticket") {
			t.Errorf("DESCRIBE at %s without a ticket = %d %q, want 403 that speaks of a ticket", g.Name, r.Status, r.Body)
		}
	}
	give(t, b, a.Ticket("--for", b.ID, "--channels", "live"))
	give(t, c, a.Ticket("--bearer", "--uses", "1"))

	near := lab.Open(t, a.URL("live"), lab.TCP)
	marks := newMarks(near)
	near.Resume()
	gone, stays := lab.Play(t, b.URL("a/live"), lab.TCP), lab.Play(t, c.URL("a/live"), lab.UDP)
	lab.Run(t, 2*lab.Patience, "ffmpeg", "-v", "error", "-nostdin", "-xerror", "-rtsp_transport", "tcp", "-i", b.URL("a/live"), "-t", "1", "-f", "null", "-")
	gone.Plays(2 * time.Second)
	near.Plays(time.Second)
	if n := marks.in(t, b); n == 0 {
		t.Error("no packet is in the memory of the gateway with the ticket: the search finds nothing")
	}
	if n := marks.in(t, relay); n > 0 {
		t.Errorf("%d of %d packets are in the memory of the gateway without a ticket", n, marks.count())
	}

	list := string(lab.Run(t, lab.Patience, lab.Binary(t), "ticket", "list", a.File()))
	serial := serialFor(t, list, b.ID)
	began := time.Now()
	lab.Run(t, lab.Patience, lab.Binary(t), "ticket", "revoke", serial, a.File())
	lab.Eventually(t, lab.Patience, "the stream of a revoked ticket ends", func() bool { return gone.Tracks[0].Stats().Bye })
	took := time.Since(began)
	t.Logf("the stream of a revoked ticket ended after %v", took)
	if took > 10*time.Second {
		t.Errorf("the stream of a revoked ticket ended after %v, want 10 s at most", took)
	}
	stays.Plays(5 * time.Second) // the keys change meanwhile
	stays.Flawless()
	r := ask(t, b, "a/live")
	if r.Status != 403 || !strings.Contains(r.Body, "revoked") {
		t.Errorf("DESCRIBE with a revoked ticket = %d %q, want 403 that says so", r.Status, r.Body)
	}
	for _, g := range []*lab.Gateway{a, relay, b, c} {
		if strings.Contains(g.Log(), "pgt1_") {
			t.Errorf("the log of %s tells a ticket", g.Name)
		}
	}
}

// ask returns the answer to a DESCRIBE.
func ask(t *testing.T, g *lab.Gateway, name string) lab.Response {
	t.Helper()
	r, err := lab.Dial(t, g.HostPort()).Do("DESCRIBE", g.URL(name), nil, "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// give gives a running gateway a ticket.
func give(t *testing.T, g *lab.Gateway, ticket string) {
	t.Helper()
	from := len(g.Log())
	g.Overlay = append(g.Overlay, "tickets: ["+ticket+"]")
	g.Reload()
	g.WaitLog(from, "overlay.tickets")
}

// serialFor returns the serial of the ticket in a list that is for a gateway.
func serialFor(t *testing.T, list, id string) string {
	t.Helper()
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); len(f) > 0 && f[len(f)-1] == id {
			return f[0]
		}
	}
	t.Fatalf("no ticket is for %s:\n%s", id, list)
	return ""
}

// marks are pieces of the payloads of a player's packets.
type marks struct {
	mu     sync.Mutex // guards pieces
	pieces [][]byte
}

// markSize is the bytes of a piece: random enough to be nowhere by accident. maxMarks is how many are kept, the newest.
const markSize, maxMarks = 32, 64

func newMarks(p *lab.Player) *marks {
	m := new(marks)
	p.Tracks[0].Each(func(b []byte, _ time.Time) {
		if len(b) < 600 {
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.pieces) == maxMarks {
			m.pieces = m.pieces[1:]
		}
		m.pieces = append(m.pieces, bytes.Clone(b[300:300+markSize]))
	})
	return m
}

func (m *marks) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.pieces)
}

// in returns how many of the pieces are anywhere in the memory of a gateway.
func (m *marks) in(t *testing.T, g *lab.Gateway) (n int) {
	t.Helper()
	m.mu.Lock()
	pieces := m.pieces
	m.mu.Unlock()
	memory := dump(t, g.Process().Pid())
	for _, p := range pieces {
		if bytes.Contains(memory, p) {
			n++
		}
	}
	t.Logf("%d of %d pieces of packets are in the %d MB of %s", n, len(pieces), len(memory)>>20, g.Name)
	return n
}

// dump returns all writable memory of a process.
func dump(t *testing.T, pid int) []byte {
	t.Helper()
	folder := filepath.Join("/proc", fmt.Sprint(pid))
	maps, err := os.Open(filepath.Join(folder, "maps"))
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	mem, err := os.Open(filepath.Join(folder, "mem"))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	var all []byte
	for s := bufio.NewScanner(maps); s.Scan(); {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(s.Text(), "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasPrefix(mode, "rw") {
			continue
		}
		part := make([]byte, to-from)
		got, err := io.ReadFull(io.NewSectionReader(mem, from, to-from), part)
		if err == nil || got > 0 {
			all = append(all, part[:got]...)
		}
	}
	return all
}
