package main

import (
	"errors"
	"os"
	"path/filepath"

	"peergate/conf"
)

// systemData is where a system's service keeps what belongs to it (Filesystem Hierarchy Standard 3.0 §5.8).
const systemData = "/var/lib/peergate"

// dataFolder returns the folder of the gateway's key and all else that is kept: the configured one, that of the systemd
// service (systemd.exec(5), StateDirectory), the user's (XDG Base Directory Specification), or the system's.
func dataFolder(c conf.Config, env func(string) string) (string, error) {
	if c.Data != "" {
		return c.Data, nil
	}
	if dirs := filepath.SplitList(env("STATE_DIRECTORY")); len(dirs) > 0 && dirs[0] != "" {
		return dirs[0], nil
	}
	if d := env("XDG_DATA_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "peergate"), nil
	}
	if home := env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "share", "peergate"), nil
	}
	if os.Geteuid() == 0 {
		return systemData, nil
	}
	return "", errors.New("there is no HOME to keep the gateway's key in: set data in gateway.yml")
}
