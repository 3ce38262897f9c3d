//go:build integration

package lab

import (
	"errors"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Program is a running program. The test's end kills it with all its children; a failure prints what it wrote.
type Program struct {
	Out *Output // standard output
	Err *Output // standard error

	t    testing.TB
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended, once done is closed
}

// Spawn starts a program. One that is not installed fails the test.
func Spawn(t testing.TB, name string, args ...string) *Program {
	t.Helper()
	return spawn(t, nil, nil, name, args...)
}

// SpawnEnv starts a program with an environment of its own.
func SpawnEnv(t testing.TB, env []string, name string, args ...string) *Program {
	t.Helper()
	return spawn(t, env, nil, name, args...)
}

// spawn starts a program; out takes its standard output in place of Program.Out unless it is nil.
func spawn(t testing.TB, env []string, out io.Writer, name string, args ...string) *Program {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test needs %s: %v", name, err)
	}
	p := &Program{Out: new(Output), Err: new(Output), t: t, name: name, done: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = env
	p.cmd.Stdout, p.cmd.Stderr = p.Out, p.Err
	if out != nil {
		p.cmd.Stdout = out
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = 5 * time.Second // a grandchild may hold the pipes open
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s %s\n%s\n%s", name, strings.Join(args, " "), cut(p.Out.tail(40)), cut(p.Err.tail(120)))
		}
	})
	return p
}

// cut shortens what would flood the log of a failed test: players write pictures to their standard output.
func cut(s string) string { return s[max(0, len(s)-16<<10):] }

// Run runs a program to its end and returns its standard output. A failure or a missed deadline fails the test.
func Run(t testing.TB, within time.Duration, name string, args ...string) []byte {
	t.Helper()
	p := Spawn(t, name, args...)
	if err := p.Wait(within); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, cut(p.Err.tail(60)))
	}
	return p.Out.Bytes()
}

// errDeadline is what Wait returns for a program that goes on.
var errDeadline = errors.New("did not end in time")

// Wait waits for the program's end and returns how it ended; one that misses the deadline is killed.
func (p *Program) Wait(within time.Duration) error {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.done: // before the deadline is looked at, which may be over: then either case would do
		return p.err
	default:
	}
	select {
	case <-p.done:
		return p.err
	case <-timer.C:
		p.Kill()
		return errDeadline
	}
}

// Done is closed when the program has ended.
func (p *Program) Done() <-chan struct{} { return p.done }

// Pid returns the process's number.
func (p *Program) Pid() int { return p.cmd.Process.Pid }

// Code returns the exit code of a program that has ended, -1 when a signal ended it.
func (p *Program) Code() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends a signal to the program alone.
func (p *Program) Signal(s syscall.Signal) {
	select {
	case <-p.done:
	default:
		if err := p.cmd.Process.Signal(s); err != nil {
			p.t.Logf("signal %s: %v", p.name, err)
		}
	}
}

// Kill kills the program and all its children (kill -9) and waits until it is gone.
func (p *Program) Kill() {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}
