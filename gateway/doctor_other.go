//go:build !linux

package main

import "runtime"

// lookAround knows only Linux.
func lookAround() machine { return machine{operatingSystem: runtime.GOOS} }
