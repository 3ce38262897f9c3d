//go:build !linux

package transcode

import "os/exec"

// contain has nothing to add: an ffmpeg whose gateway was killed loses its connections and ends by itself.
func contain(*exec.Cmd) {}

// standBack is for Linux alone: elsewhere the gateway itself can be started with nice.
func standBack(*exec.Cmd, int) error { return nil }
