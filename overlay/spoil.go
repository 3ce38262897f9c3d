//go:build integration

package overlay

// Spoil makes a test's node a liar: what it hands on to peers goes through f. It must be called before Run.
func (n *Node) Spoil(f func(chunk []byte) []byte) { n.spoil = f }
