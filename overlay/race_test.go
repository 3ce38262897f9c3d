//go:build race

package overlay

// members is how many gateways watch in the simulation: the race detector makes each ten times as costly, and each has links
// to most others.
const members = 9
