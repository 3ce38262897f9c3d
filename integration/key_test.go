//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"peergate/integration/lab"
)

// TestKeyRotation gives a gateway a new key: its peer, whose configuration has the old ID, plays its stream again. A copy of
// the old key makes another gateway the old one, which nobody serves any more.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	a, b, old := lab.NewGateway(t, "a"), lab.NewGateway(t, "b"), lab.NewGateway(t, "old")
	a.Knows(b)
	b.KnowsAt(a)
	a.Start()
	b.Start()
	lab.Encode(t, lab.H264(t), a.URL("live"))
	a.WaitStream("live")
	p := lab.Play(t, b.URL("a/live"), lab.TCP)
	p.Plays(time.Second)
	copied := filepath.Join(t.TempDir(), "key.pem")
	lab.Run(t, lab.Patience, lab.Binary(t), "key", "export", copied, a.File())
	if st, err := os.Stat(copied); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the exported key: %v, %v, want mode 0600", st, err)
	}
	running := lab.Spawn(t, lab.Binary(t), "key", "rotate", a.File())
	if err := running.Wait(lab.Patience); err == nil || !strings.Contains(running.Err.String(), "stop it first") {
		t.Errorf("key rotate of a running gateway: %v, %s", err, running.Err)
	}
	a.Stop()
	out := string(lab.Run(t, lab.Patience, lab.Binary(t), "key", "rotate", a.File()))
	if !strings.Contains(out, "old id: "+a.ID) {
		t.Errorf("key rotate prints %q", out)
	}
	a.Start()
	b.WaitLog(0, "peer has a new key", "peer=a")
	lab.Encode(t, lab.H264(t), a.URL("live"))
	a.WaitStream("live")
	b.WaitStream("a/live")
	again := lab.Play(t, b.URL("a/live"), lab.TCP)
	again.Plays(time.Second)

	if err := os.Remove(filepath.Join(old.Dir, "data", "identity.pem")); err != nil {
		t.Fatal(err)
	}
	lab.Run(t, lab.Patience, lab.Binary(t), "key", "import", copied, old.File())
	old.Knows(b)
	old.Start()
	old.WaitLog(0, "peer unreachable", "peer=b")
	again.Plays(time.Second)
	again.Connected()
	for _, g := range []*lab.Gateway{a, b, old} {
		if strings.Contains(g.Log(), "PRIVATE KEY") {
			t.Errorf("the log of %s tells a key", g.Name)
		}
	}
}
