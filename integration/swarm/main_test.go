//go:build integration

// Package swarm tests an audience of real gateways in the network namespaces of package netlab: one owner with a camera and members
// on access links with rates, delays and losses, each with a player that knows every packet and when it was sent. The tests
// print the figures that the swarm is measured by. With the flag -gateways 20 they take the size they are meant for, and the
// time; without, they are small enough for every run.
package swarm

import (
	"flag"
	"os"
	"runtime/debug"
	"testing"

	"peergate/integration/lab"
)

// gateways is how many there are in a test, the owner included.
var gateways = flag.Int("gateways", 6, "how many gateways a swarm has, the owner included")

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
