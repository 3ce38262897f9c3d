package main

import (
	"context"
	"os/exec"
	"runtime"
)

// player returns the command that plays a URL, nil when there is none, and whether it runs as long as the player does.
func player(ctx context.Context, url string) (cmd *exec.Cmd, stays bool) {
	for _, p := range [][]string{{"vlc"}, {"mpv"}, {"ffplay", "-loglevel", "error"}} {
		if path, err := exec.LookPath(p[0]); err == nil {
			return exec.CommandContext(ctx, path, append(p[1:], url)...), true
		}
	}
	system := []string{"xdg-open"}
	switch runtime.GOOS {
	case "darwin":
		system = []string{"open"}
	case "windows":
		system = []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	path, err := exec.LookPath(system[0])
	if err != nil {
		return nil, false
	}
	return exec.CommandContext(ctx, path, append(system[1:], url)...), false
}
