//go:build integration

package netlab

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// reap reads the namespaces of the lab and where each is found, one a line. When its input ends, because the lab is closed or
// its process is gone, it kills whatever still runs in one of them, a few times over, since a process may have forked meanwhile.
// It keeps the namespaces open all that time: the kernel gives the number of one that is gone to the next, which may be that of
// another lab.
const reap = `trap '' HUP INT TERM
spaces=
while read -r space path; do
	{ exec {fd}<"$path"; } 2>/dev/null # fails when the process has died meanwhile
	spaces="$spaces $space "
done
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
	cmd := exec.Command("bash", "-c", reap)
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

// watch adds a namespace, which must stay open until Close has returned.
func (r *reaper) watch(s *space) error {
	_, err := fmt.Fprintln(r.in, s.id, s.path())
	return err
}

// Close kills what still runs in the namespaces.
func (r *reaper) Close() error {
	if err := r.in.Close(); err != nil {
		return err
	}
	return r.cmd.Wait()
}
