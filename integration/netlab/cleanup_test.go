//go:build integration

package netlab

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// victim is set in the environment of a process that builds a lab and waits for its death.
const victim = "NETLAB_TEST_VICTIM"

// TestVictim is that process; in a run of its own it only proves that a lab can be made and closed.
func TestVictim(t *testing.T) {
	l := New(t)
	a, box := l.Host("a", Link{}), l.Box("box", Link{}, Preserving)
	b := box.Host("b")
	for _, h := range []*Host{a, b} {
		cmd := h.Command("sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as hard to find as can be
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		eventually(t, "sleep is in its namespace", func() bool { return inhabited(h.space.id) })
	}
	if os.Getenv(victim) == "" {
		return
	}
	fmt.Println("lab", a.space.id, b.space.id, box.space.id)
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
}

// inhabited reports whether a process is in a namespace.
func inhabited(id string) bool {
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		panic(err) // the pattern is right
	}
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && to == id {
			return true
		}
	}
	return false
}

// devices lists the network devices of this namespace.
func devices(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return strings.Join(names, " ")
}

// TestKilled kills a process with a lab as hard as can be: nothing of the lab is left.
func TestKilled(t *testing.T) {
	before := devices(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestVictim$", "-test.count=1", "-test.v")
	cmd.Env = append(os.Environ(), victim+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var spaces []string
	for r := bufio.NewScanner(out); len(spaces) == 0 && r.Scan(); {
		if list, ok := strings.CutPrefix(r.Text(), "lab "); ok {
			spaces = strings.Fields(list)
		}
	}
	if len(spaces) != 3 {
		t.Fatalf("the victim tells of namespaces %v, want 3", spaces)
	}
	for _, id := range spaces[:2] {
		if !inhabited(id) {
			t.Errorf("nobody is in %s before the kill", id)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, of course
	for _, id := range spaces {
		eventually(t, "nobody is in "+id, func() bool { return !inhabited(id) })
	}
	if after := devices(t); after != before {
		t.Errorf("devices are %s, were %s", after, before)
	}
}

// closing is a test that ends when the test that made it says so.
type closing struct {
	testing.TB
	ends []func()
}

func (c *closing) Cleanup(f func()) { c.ends = append(c.ends, f) }

func (c *closing) end() {
	for _, f := range slices.Backward(c.ends) {
		f()
	}
}

// TestCloseSparesOthers looks at the end of a lab: its namespaces are there until the reaper has done its work, in this process and
// in the reaper, since another lab may get the number of one that is gone, and the reaper would kill what runs there.
func TestCloseSparesOthers(t *testing.T) {
	c := &closing{TB: t}
	l := New(c)
	s := l.Host("a", Link{}).space
	keeps := func(pid int) bool {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		return err == nil && slices.ContainsFunc(files, func(f string) bool {
			to, err := os.Readlink(f)
			return err == nil && to == s.id
		})
	}
	pid := l.reaper.cmd.Process.Pid
	eventually(t, "the reaper keeps the namespace", func() bool { return keeps(pid) })
	c.ends = slices.Insert(c.ends, 1, func() { // what comes first is ended last
		if !keeps(os.Getpid()) {
			t.Error("the lab lets its namespace go before the reaper has looked at it")
		}
	})
	c.end()
	if keeps(os.Getpid()) {
		t.Error("the lab is closed and keeps its namespace")
	}
}
