//go:build integration

package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// space is a network namespace without a name: it lives as long as this file or a process in it.
type space struct {
	f  *os.File
	id string // as the kernel shows it, "net:[4026532281]"
}

// ownSpace is the namespace of the calling thread.
const ownSpace = "/proc/thread-self/ns/net"

func newSpace() (*space, error) {
	var s *space
	err := elsewhere(func() error { return unix.Unshare(unix.CLONE_NEWNET) }, func() error {
		f, err := os.Open(ownSpace)
		if err != nil {
			return err
		}
		id, err := os.Readlink(ownSpace)
		s = &space{f, id}
		return err
	})
	return s, err
}

// elsewhere runs f on a thread that enter has taken to another namespace, and takes it back.
func elsewhere(enter, f func() error) (err error) {
	runtime.LockOSThread()
	home, err := os.Open(ownSpace)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() { // also when f ends its goroutine, as a failed test does
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			err = errors.Join(err, fmt.Errorf("leave a network namespace: %w", back))
		} else {
			runtime.UnlockOSThread() // else the thread ends with its goroutine
		}
		home.Close()
	}()
	if err := enter(); err != nil {
		return fmt.Errorf("enter a network namespace: %w", err)
	}
	return f()
}

// do runs f with its thread in the namespace: sockets, devices and processes that f itself makes belong there for good.
func (s *space) do(f func() error) error {
	return elsewhere(func() error { return unix.Setns(int(s.f.Fd()), unix.CLONE_NEWNET) }, f)
}

// path is where other processes find the namespace.
func (s *space) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), s.f.Fd()) }

// prefix is a command that starts another one in the namespace.
func (s *space) prefix() []string { return []string{"nsenter", "--net=" + s.path(), "--"} }

// run runs a program in the namespace and gives it its standard input.
func (s *space) run(stdin, name string, args ...string) error {
	all := append(append(s.prefix(), name), args...)
	cmd := exec.Command(all[0], all[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s\n%s", name, strings.Join(args, " "), err, out, stdin)
	}
	return nil
}

// ip has ip(8) do something in the namespace, line by line.
func (s *space) ip(lines ...string) error {
	return s.run(strings.Join(lines, "\n")+"\n", "ip", "-batch", "-")
}

// sysctl sets "net/ipv4/ip_forward=1".
func (s *space) sysctl(assignment string) error {
	key, value, _ := strings.Cut(assignment, "=")
	return s.do(func() error { return os.WriteFile("/proc/sys/"+key, []byte(value), 0o644) })
}

// Close lets the namespace go.
func (s *space) Close() { s.f.Close() }

// openTUN makes the device wan0 in the namespace and returns its other end, which does not block.
func openTUN(s *space) (int, error) {
	fd := -1
	err := s.do(func() error {
		var err error
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("/dev/net/tun: %w", err)
		}
		req, err := unix.NewIfreq("wan0")
		if err != nil {
			return err
		}
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
			unix.Close(fd)
			return fmt.Errorf("make a TUN device: %w", err)
		}
		return nil
	})
	return fd, err
}
