//go:build integration

package netlab

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// reap reads the namespaces of the lab, one a line. When its input ends, because the lab is closed or its process is gone, it
// kills whatever still runs in one of them, a few times over, since a process may have forked meanwhile.
const reap = `trap '' HUP INT TERM
spaces=
while read -r space; do spaces="$spaces $space "; done
for turn in 1 2 3; do
	for link in /proc/[0-9]*/ns/net; do
		case "$spaces" in
		*" $(readlink "$link" 2>/dev/null || echo none) "*) pid=${link#/proc/} && kill -9 "${pid%%/*}" 2>/dev/null ;;
		esac
	done
done
exit 0
`

// reaper is a process that outlives this one, if only for a moment.
type reaper struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

func newReaper() (*reaper, error) {
	cmd := exec.Command("sh", "-c", reap)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what is sent to the group of the test is not for it
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("reaper: %w", err)
	}
	return &reaper{cmd, in}, nil
}

// watch adds a namespace.
func (r *reaper) watch(id string) error {
	_, err := io.WriteString(r.in, id+"\n")
	return err
}

// Close kills what still runs in the namespaces.
func (r *reaper) Close() error {
	if err := r.in.Close(); err != nil {
		return err
	}
	return r.cmd.Wait()
}
