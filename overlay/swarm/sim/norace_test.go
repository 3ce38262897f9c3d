//go:build !race

package sim

// members of TestMembers.
const members = 300
