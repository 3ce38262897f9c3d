//go:build integration

package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// clockTicks is the unit of times in /proc, fixed by Linux for user space (USER_HZ).
const clockTicks = 100

// CPUTime returns the processor time that a running program has taken, in steps of 10 ms.
func (p *Program) CPUTime(t testing.TB) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name may have spaces
	f := strings.Fields(rest)
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * time.Second / clockTicks
}

// RSS returns the memory of a running program in bytes.
func (p *Program) RSS(t testing.TB) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kb, _ := strconv.Atoi(f[1])
			return kb << 10
		}
	}
	t.Fatal("no VmRSS in /proc")
	return 0
}

// UDPDrops returns how many packets the kernel has thrown away since it started because a program did not fetch them in time
// (RFC 4113, udpInErrors, as Linux counts them in RcvbufErrors), in the namespace of the calling thread.
func UDPDrops(t testing.TB) int {
	t.Helper()
	b, err := os.ReadFile("/proc/thread-self/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "Udp:" {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		for i, name := range names {
			if name == "RcvbufErrors" {
				n, _ := strconv.Atoi(f[i])
				return n
			}
		}
	}
	t.Fatal("no RcvbufErrors in /proc/thread-self/net/snmp")
	return 0
}
