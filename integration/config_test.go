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

// badConfig has a fault in each of the lines that faults names.
const badConfig = `rtsp:
  listen: "8554"
  sesion_timeout: 60s
  max_connections: 0
overlay:
  idle_after: soon
peers:
  hq:
    id: nonsense
streams:
  cam:
    source: http://192.0.2.1/x
`

// faults are what the messages about badConfig must contain, each after the file and line.
var faults = []struct{ line, key, remedy string }{
	{":2:", "rtsp.listen", "host:port"},
	{":3:", "sesion_timeout", "session_timeout"},
	{":4:", "rtsp.max_connections", "at least 1"},
	{":6:", "overlay.idle_after", "duration"},
	{":9:", "peers.hq.id", "12D3KooW"},
	{":12:", "streams.cam.source", "rtsp://"},
}

// TestBadConfiguration proves that check and run report all faults at once, each with its place and remedy, and end.
func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "gateway.yml")
	if err := os.WriteFile(file, []byte(badConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "run"} {
		p := lab.Spawn(t, lab.Binary(t), command, file)
		if err := p.Wait(lab.Patience); err == nil || p.Code() < 1 {
			t.Errorf("%s: %v, exit code %d, want a failure", command, err, p.Code())
		}
		checkFaults(t, command, file, p.Err.String())
		if p.Out.Len() > 0 {
			t.Errorf("%s writes its errors to standard output: %s", command, p.Out)
		}
	}
}

func checkFaults(t *testing.T, who, file, text string) {
	t.Helper()
	for _, f := range faults {
		found := false
		for line := range strings.Lines(text) {
			found = found || strings.Contains(line, file+f.line) && strings.Contains(line, f.key) && strings.Contains(line, f.remedy)
		}
		if !found {
			t.Errorf("%s: no line with %s%s, %s and %s in\n%s", who, file, f.line, f.key, f.remedy, text)
		}
	}
	if n := strings.Count(text, file+":"); n != len(faults) {
		t.Errorf("%s: %d faults reported, want %d:\n%s", who, n, len(faults), text)
	}
}

// TestCommands proves that every command helps, that the shipped configuration is valid, and that mistakes are failures.
func TestCommands(t *testing.T) {
	t.Parallel()
	bin := lab.Binary(t)
	for _, args := range [][]string{{}, {"run"}, {"check"}, {"id"}, {"version"}, {"demo"}} {
		out := string(lab.Run(t, lab.Patience, bin, append(args, "--help")...))
		if !strings.Contains(out, "Usage:") || len(out) < 200 {
			t.Errorf("gateway %s --help says only\n%s", strings.Join(args, " "), out)
		}
	}
	if out := lab.Run(t, lab.Patience, bin, "version"); len(strings.Fields(string(out))) < 2 {
		t.Errorf("version prints %q", out)
	}
	lab.Run(t, lab.Patience, bin, "check", "../gateway.yml")
	for _, args := range [][]string{{"nonsense"}, {"run", "/does/not/exist.yml"}, {"check", "/does/not/exist.yml"}, {"run", "--nonsense"}} {
		p := lab.Spawn(t, bin, args...)
		if err := p.Wait(lab.Patience); err == nil || p.Code() < 1 {
			t.Errorf("gateway %s: %v, exit code %d, want a failure", strings.Join(args, " "), err, p.Code())
		}
		if p.Err.Len() == 0 {
			t.Errorf("gateway %s says nothing", strings.Join(args, " "))
		}
	}
}

// TestIdentityStays proves that the key is made once, for its user alone.
func TestIdentityStays(t *testing.T) {
	t.Parallel()
	g := lab.NewGateway(t, "a")
	again := string(lab.Run(t, lab.Patience, lab.Binary(t), "id", g.File()))
	if !strings.Contains(again, g.ID) {
		t.Errorf("gateway id prints %q, first it was %s", again, g.ID)
	}
	keys, err := filepath.Glob(filepath.Join(g.Dir, "data", "*.pem"))
	if err != nil || len(keys) == 0 {
		t.Fatalf("no key in the data folder: %v", err)
	}
	for _, k := range keys {
		if st, err := os.Stat(k); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", k, st.Mode(), err)
		}
	}
}

// TestReload proves that an invalid configuration changes nothing, and that a valid one keeps the players it does not
// concern.
func TestReload(t *testing.T) {
	t.Parallel()
	g := lab.NewGateway(t, "a")
	g.Start()
	lab.Encode(t, lab.H264(t), g.URL("live"))
	g.WaitStream("live")
	p := lab.Play(t, g.URL("live"), lab.TCP)
	p.Plays(time.Second)

	mark := len(g.Log())
	g.More = "nonsense: 1\n"
	g.Reload()
	g.WaitLog(mark, "nonsense", "gateway.yml:")
	p.Plays(time.Second)
	g.WaitStream("live")

	mark = len(g.Log())
	g.More = "users:\n  - name: viewer\n    password: secret\n    read: [\"**\"]\n"
	g.Reload()
	g.WaitLog(mark, "configuration")
	lab.Eventually(t, lab.Patience, "players need a password", func() bool {
		r, err := lab.Dial(t, g.HostPort()).Do("DESCRIBE", g.URL("live"), nil, "")
		return err == nil && r.Status == 401
	})
	p.Plays(time.Second)
	p.Connected()
	p.Flawless()
}

// TestTermination proves that SIGTERM ends a gateway within 10 s, and that its players are told by RTCP BYE.
func TestTermination(t *testing.T) {
	t.Parallel()
	a, b := lab.NewGateway(t, "a"), lab.NewGateway(t, "b")
	a.Knows(b)
	b.Knows(a)
	a.Start()
	b.Start()
	lab.Encode(t, lab.H264(t), a.URL("live"))
	a.WaitStream("live")
	players := []*lab.Player{
		lab.Play(t, a.URL("live"), lab.TCP), lab.Play(t, a.URL("live"), lab.UDP),
		lab.Play(t, b.URL("a/live"), lab.TCP), lab.Play(t, b.URL("a/live"), lab.UDP),
	}
	for _, p := range players {
		p.Plays(time.Second)
	}
	b.Stop()
	a.Stop()
	for _, g := range []*lab.Gateway{a, b} {
		if code := g.Process().Code(); code != 0 {
			t.Errorf("gateway %s: exit code %d, want 0", g.Name, code)
		}
	}
	for _, p := range players {
		for i, track := range p.Tracks {
			lab.Eventually(t, 5*time.Second, p.URL+": RTCP BYE", func() bool { return track.Stats().Bye })
			if s := track.Stats(); s.Missing+s.Late > 0 {
				t.Errorf("%s track %d: %+v", p.URL, i, s)
			}
		}
	}
}
