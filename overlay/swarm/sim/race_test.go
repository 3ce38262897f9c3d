//go:build race

package sim

// members of TestMembers: the race detector makes a run ten times as long, and one goroutine cannot race.
const members = 60
