//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is where it was measured.
type machine struct {
	Date   time.Time `json:"date"`
	Cores  int       `json:"cores"`
	CPU    string    `json:"cpu"`
	Kernel string    `json:"kernel"`
	Go     string    `json:"go"`
	Load   float64   `json:"load_average"` // before: what others do
}

func thisMachine() machine {
	m := machine{Date: time.Now().UTC().Truncate(time.Second), Cores: runtime.NumCPU(), Go: runtime.Version(), Load: loadAverage()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	b, _ := os.ReadFile("/proc/cpuinfo") // where there is none, the model is not told
	for line := range strings.Lines(string(b)) {
		if k, v, _ := strings.Cut(line, ":"); strings.TrimSpace(k) == "model name" {
			m.CPU = strings.TrimSpace(v)
			break
		}
	}
	return m
}

func (m machine) String() string {
	return fmt.Sprintf("%s: %d cores of %s, Linux %s, %s, load average before %.2f", m.Date.Format(time.DateTime), m.Cores, m.CPU, m.Kernel, m.Go, m.Load)
}

// loadAverage returns how many threads wanted to run in the last minute.
func loadAverage() float64 {
	b, _ := os.ReadFile("/proc/loadavg") // 0 where there is none
	first, _, _ := strings.Cut(string(b), " ")
	v, _ := strconv.ParseFloat(first, 64)
	return v
}
