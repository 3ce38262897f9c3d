//go:build integration

// Package integration tests the real gateway, as separate processes, with real players and encoders.
package integration

import (
	"flag"
	"os"
	"testing"

	"peergate/integration/lab"
)

// parallel is how many tests run side by side: they wait for streams in real time more than they compute.
const parallel = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "test.parallel" })
	if !set {
		if err := flag.Set("test.parallel", parallel); err != nil {
			panic(err)
		}
	}
	os.Exit(lab.Main(m))
}
