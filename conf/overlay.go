package conf

import (
	"fmt"
	"time"
)

// Overlay is how this gateway exchanges streams with others.
type Overlay struct {
	Enabled   bool          `yaml:"enabled"`
	Listen    []string      `yaml:"listen"`     // multiaddresses
	Share     []string      `yaml:"share"`      // patterns of the streams that peers may fetch
	IdleAfter time.Duration `yaml:"idle_after"` // how long a channel is carried on after its last player
	Delay     Delay         `yaml:"delay"`      // how long a missing chunk is waited for
	Upload    Rate          `yaml:"upload"`     // what this gateway gives to others
}

func defaultOverlay() Overlay {
	return Overlay{
		Enabled: true,
		Listen: []string{
			"/ip4/0.0.0.0/tcp/8555", "/ip4/0.0.0.0/udp/8555/quic-v1", "/ip6/::/tcp/8555", "/ip6/::/udp/8555/quic-v1",
		},
		Share:     []string{"**"},
		IdleAfter: 10 * time.Second,
		Upload:    Unlimited,
	}
}

func (c *Overlay) check(f faults) {
	for i, a := range c.Listen {
		overlayListen(f, fmt.Sprintf("overlay.listen[%d]", i), a)
	}
	if c.Enabled && len(c.Listen) == 0 {
		f.fault("overlay.listen", "is empty: list at least one address, or set overlay.enabled to false")
	}
	patterns(f, "overlay.share", c.Share)
	atLeast(f, "overlay.idle_after", c.IdleAfter, 0)
}
