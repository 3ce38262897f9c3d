package process

import (
	"os/exec"
	"syscall"
)

// Contain makes a process, before its start, the head of a group of its own, which is killed as a whole, and has the
// kernel kill it when the thread that starts it ends, as it does when the gateway is killed: so the caller must stay
// on that thread.
func Contain(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// StandBack makes a process that has just begun give way to others; its threads will take after it.
func StandBack(cmd *exec.Cmd, nice int) error {
	return syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, nice)
}
