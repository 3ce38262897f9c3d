//go:build integration

package swarm

import (
	"encoding/json"

	"peergate/integration/lab"
)

// counts are what gateways tell of themselves, summed up.
type counts struct {
	streams    float64 // bytes that came from peers, before encryption
	chunks     float64 // of them, those of chunks
	received   float64 // chunks, without duplicates
	duplicates float64 // chunks that came again
}

// add adds what one gateway tells.
func (c *counts) add(s *stage, a *site) {
	s.t.Helper()
	var status struct {
		Overlay struct {
			BytesIn  float64 `json:"bytes_in"`
			Channels []struct {
				BytesIn float64 `json:"bytes_in"`
				Chunks  struct {
					Received   float64 `json:"received"`
					Duplicates float64 `json:"duplicates"`
				} `json:"chunks"`
			} `json:"channels"`
		} `json:"overlay"`
	}
	out := lab.Run(s.t, lab.Patience, lab.Binary(s.t), "status", "--json", a.File())
	if err := json.Unmarshal(out, &status); err != nil {
		s.t.Fatalf("status of %s: %v\n%s", a.Name, err, out)
	}
	c.streams += status.Overlay.BytesIn
	for _, ch := range status.Overlay.Channels {
		c.chunks += ch.BytesIn
		c.received += ch.Chunks.Received
		c.duplicates += ch.Chunks.Duplicates
	}
}

// told sums up what the members tell.
func (s *stage) told() counts {
	s.t.Helper()
	var c counts
	for _, a := range s.members() {
		c.add(s, a)
	}
	return c
}

// overhead returns the share of a time's bytes that is not chunks, and that of chunks which came again.
func overhead(from, to counts) (control, duplicates float64) {
	chunks := to.chunks - from.chunks
	return (to.streams - from.streams - chunks) / chunks, (to.duplicates - from.duplicates) / (to.received - from.received)
}
