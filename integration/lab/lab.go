//go:build integration

// Package lab is what the integration tests stand on: gateways as real processes, real players and encoders with
// deadlines, a test clip whose frames are known by their hashes, and an RTSP client that audits every packet it gets.
// It knows a gateway only by its command line, its configuration and its ports.
package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const (
	// Patience is how long anything that should take a second may take on a machine with more work than cores.
	Patience = 60 * time.Second
	// poll is how often a condition outside this process is looked at.
	poll = 20 * time.Millisecond
)

// Main builds the gateway, runs the tests and removes what they left. A TestMain calls it.
func Main(m *testing.M) int {
	defer func() {
		if dir, err := folder(); err == nil {
			os.RemoveAll(dir)
		}
	}()
	if _, err := built(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// folder is where the binary and the clips of this run are.
var folder = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "peergate-integration-") })

// built makes the gateway once, or takes the one that PEERGATE_BINARY names: a release can be tested like that.
var built = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("PEERGATE_BINARY"); path != "" {
		return path, nil
	}
	dir, err := folder()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gateway")
	if out, err := exec.Command("go", "build", "-o", path, "peergate/gateway").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the gateway: %w\n%s", err, out)
	}
	return path, nil
})

// Binary returns the path of the gateway under test.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Build builds another program of this module and returns its path. The package is named from the folder of the tests on.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(pkg))
	if out, err := exec.Command("go", "build", "-tags", "integration", "-o", path, "peergate/integration/"+pkg).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return path
}

// Eventually waits until ok holds and fails the test when it does not within the time.
func Eventually(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	if !within(d, ok) {
		t.Fatalf("not within %v: %s", d, what)
	}
}

// within waits until ok holds and reports false when it does not within the time.
func within(d time.Duration, ok func() bool) bool {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return ok()
		}
	}
	return true
}
