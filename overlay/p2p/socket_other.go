//go:build !linux

package p2p

import "syscall"

// tuneSocket does nothing where the kernel's way to choose a congestion control is unknown.
func tuneSocket(_ syscall.RawConn, _ bool) error { return nil }
