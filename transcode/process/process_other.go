//go:build !linux

package process

import "os/exec"

// Contain has nothing to add: a program whose gateway was killed loses its connections and ends by itself.
func Contain(*exec.Cmd) {}

// StandBack is for Linux alone: elsewhere the gateway itself can be started with nice.
func StandBack(*exec.Cmd, int) error { return nil }
