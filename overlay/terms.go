package overlay

import (
	"peergate/conf"
	"peergate/media"
	"peergate/overlay/ledger"
)

// terms returns what a channel of this gateway costs.
func terms(c *conf.Overlay, name media.Name) ledger.Terms {
	t := ledger.Terms{Name: string(name)}
	for i := range c.Channels {
		if ch := &c.Channels[i]; shares([]string{ch.Name}, name) {
			t.Price, t.Hourly, t.Credit = int64(ch.Price), int64(ch.Hourly), int64(ch.Credit)
			break
		}
	}
	return t
}
