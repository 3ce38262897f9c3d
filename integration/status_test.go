//go:build integration

package integration

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"peergate/integration/lab"
)

// status is what the test reads of "gateway status --json".
type status struct {
	ID   string
	RTSP struct{ Players int }
	HLS  struct {
		Players int
		Streams []struct {
			Name  string
			Bytes int
		}
	}
	WebRTC struct {
		Sessions []struct {
			Stream    string
			Publisher bool
		}
	}
	// Overlay has every channel that the gateway carries.
	Overlay struct {
		Peers []struct {
			Name      string
			Connected bool
		}
		Channels []struct {
			Owner, Name       string
			Own               bool
			Parents, Children []string
			Depth             int
		}
	}
}

func statusOf(t *testing.T, g *lab.Gateway) (st status) {
	t.Helper()
	out := lab.Run(t, lab.Patience, lab.Binary(t), "status", "--json", g.File())
	if err := json.Unmarshal(out, &st); err != nil {
		t.Fatalf("gateway status --json at %s: %v\n%s", g.Name, err, out)
	}
	return st
}

// TestStatus proves that each gateway of a chain tells its place in it, to its own user, and that a killed or ended one
// tells nothing.
func TestStatus(t *testing.T) {
	t.Parallel()
	a, b, c := chain(t)
	lab.Encode(t, lab.H264(t), a.URL("live"))
	a.WaitStream("live")
	p := lab.Play(t, c.URL("a/live"), lab.TCP)
	p.Plays(2 * time.Second)
	for _, want := range []struct {
		g                 *lab.Gateway
		owner             string
		depth, players    int
		parents, children string
	}{
		{a, "", 0, 0, "", "b"},
		{b, "a", 1, 0, "a", "c"},
		{c, "a", 2, 1, "b", ""},
	} {
		st := statusOf(t, want.g)
		if st.ID != want.g.ID || st.RTSP.Players != want.players || len(st.Overlay.Channels) != 1 {
			t.Fatalf("%s: %+v", want.g.Name, st)
		}
		ch := st.Overlay.Channels[0]
		if ch.Name != "live" || ch.Own != (want.owner == "") || !ch.Own && ch.Owner != want.owner || ch.Depth != want.depth ||
			strings.Join(ch.Parents, " ") != want.parents || strings.Join(ch.Children, " ") != want.children {
			t.Errorf("%s: channel %+v, want %+v", want.g.Name, ch, want)
		}
	}
	text := string(lab.Run(t, lab.Patience, lab.Binary(t), "status", c.File()))
	if !strings.Contains(text, "a/live") || !strings.Contains(text, "1 player") {
		t.Errorf("gateway status:\n%s", text)
	}
	text = string(lab.Run(t, lab.Patience, lab.Binary(t), "doctor", b.File()))
	if strings.Contains(text, "failure") || !strings.Contains(text, "peer a: connected") {
		t.Errorf("gateway doctor:\n%s", text)
	}
	second := lab.Spawn(t, lab.Binary(t), "run", c.File())
	if err := second.Wait(lab.Patience); err == nil || second.Code() < 1 {
		t.Errorf("a second gateway with the same configuration: %v, code %d", err, second.Code())
	}
	p.Plays(time.Second)
	p.Flawless()
	c.Stop()
	b.Kill()
	for _, g := range []*lab.Gateway{b, c} {
		none := lab.Spawn(t, lab.Binary(t), "status", g.File())
		if err := none.Wait(lab.Patience); err == nil || !strings.Contains(none.Err.String(), "no gateway runs") {
			t.Errorf("status of %s, which has ended: %v\n%s", g.Name, err, none.Err)
		}
	}
}
