//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// endWithin is how long a server may take to end.
const endWithin = 12 * time.Second

// process is a server that runs.
type process struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	said tail // standard error
}

func start(path string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(path, args...)}
	in, err1 := p.cmd.StdinPipe()
	out, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewReader(out)
	p.cmd.Stderr = &p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return p, nil
}

// stop ends the server and returns what it complained of.
func (p *process) stop() string {
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })()
	p.in.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	return p.said.String()
}

// tail keeps the end of what is written to it.
type tail []byte

// tailSize is how much is kept, in bytes.
const tailSize = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	*t = append(*t, b...)
	if n := len(*t); n > 2*tailSize {
		*t = append((*t)[:0], (*t)[n-tailSize:]...)
	}
	return len(b), nil
}

func (t *tail) String() string { return string((*t)[max(0, len(*t)-tailSize):]) }

// use returns the processor time that the server has taken in user and system mode: the sum that /proc/PID/stat has in
// steps of 10 ms, in nanoseconds.
func (p *process) use() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(clockOf(p.cmd.Process.Pid), &ts); err != nil {
		return 0, fmt.Errorf("processor clock of %s: %w", p.cmd.Path, err)
	}
	return time.Duration(ts.Nano()), nil
}

// clockOf returns the ID of a process's processor clock, as clock_getcpuclockid(3) does.
func clockOf(pid int) int32 {
	const sched = 2 // CPUCLOCK_SCHED: user and system time by the scheduler's count
	return int32(^pid<<3 | sched)
}

// memory returns the resident memory of the server in KB.
func (p *process) memory() (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return statusRSS(string(b))
}

// statusRSS reads VmRSS of /proc/PID/status (proc_pid_status(5)).
func statusRSS(status string) (int, error) {
	for line := range strings.Lines(status) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			return strconv.Atoi(f[1])
		}
	}
	return 0, errors.New("/proc/PID/status has no VmRSS")
}
