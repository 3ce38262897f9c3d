//go:build integration

// Package swarm tests an audience of real gateways in the network namespaces of package netlab: one owner with a camera and members
// on access links with rates, delays and losses, each with a player that knows every packet and when it was sent. The tests
// print the figures that the swarm is measured by, and fail on what is wrong whatever the machine: spoilt packets, lost
// connections, players that see nothing. They are small enough for every run; by hand, on a machine with nothing else to do, they
// take the size that they are meant for, the time, and the targets for the figures as well:
//
//	go test -tags integration ./integration/swarm -v -timeout 30m -parallel 1 -args -gateways 20 -window 30s -targets
package swarm

import (
	"flag"
	"os"
	"runtime/debug"
	"testing"
	"time"

	"peergate/integration/lab"
)

var (
	gateways = flag.Int("gateways", 6, "how many gateways a swarm has, the owner included")
	targets  = flag.Bool("targets", false, "fail on a figure that misses its target, instead of only telling it")
	window   = flag.Duration("window", 6*time.Second, "how long figures are taken for")
)

// memory is what this process may use in bytes before it collects garbage.
const memory = 1 << 30

func TestMain(m *testing.M) {
	if role := os.Getenv(copyRole); role != "" {
		runCopy(role)
		return
	}
	flag.Parse()
	// A collection stops the thread that holds packets back until a busy machine has let all others run.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memory)
	os.Exit(lab.Main(m))
}
