//go:build linux

package camera

import "golang.org/x/sys/unix"

// Now returns the time of the machine's monotonic clock in nanoseconds: the same for all processes.
func Now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // the clock exists on every Linux
	}
	return ts.Nano()
}
