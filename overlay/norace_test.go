//go:build !race

package overlay

// members is how many gateways watch in the simulation.
const members = 49
