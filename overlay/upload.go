package overlay

import (
	"reflect"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/swarm"
)

// someRate is the rate in bits a second assumed of a channel that is not measured yet.
const someRate = 2_000_000

// lesser returns the lesser of two rates, of which any may be unlimited.
func lesser(a, b conf.Rate) conf.Rate {
	if a == conf.Unlimited || b != conf.Unlimited && b < a {
		return b
	}
	return a
}

// uploads returns what this gateway may give to others at a time: on all channels, and on one of that name.
func uploads(c *conf.Overlay, name media.Name, now time.Time) (all, one conf.Rate) {
	all, one = c.Upload, conf.Unlimited
	for i := range c.UploadRules {
		r := &c.UploadRules[i]
		switch {
		case !r.At(now):
		case len(r.Channels) == 0:
			all = lesser(all, r.Limit)
		case shares(r.Channels, name):
			one = lesser(one, r.Limit)
		}
	}
	return all, one
}

// localName is the name under which rules know the channel.
func (ch *channel) localName() media.Name {
	if ch.owner == ch.n.ID() {
		return ch.name
	}
	return media.Name(ch.n.book.name(ch.owner) + "/" + string(ch.name))
}

// rate returns the bits a second of the channel, as far as known.
func (ch *channel) rate() int {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	switch {
	case ch.state.Swarm.Rate > 0:
		return ch.state.Swarm.Rate
	case ch.desc.Rate > 0:
		return ch.desc.Rate
	}
	return someRate
}

// upload returns what the channel may give to others: its part of what all may, by their rates.
func (ch *channel) upload(now time.Time) int {
	c := ch.n.options().Conf
	all, one := uploads(&c, ch.localName(), now)
	if all != conf.Unlimited {
		sum, mine := 0, ch.rate()
		for _, other := range ch.n.allChannels() {
			if other != ch {
				sum += other.rate()
			}
		}
		all = conf.Rate(float64(all) * float64(mine) / float64(sum+mine))
	}
	if r := lesser(all, one); r != conf.Unlimited {
		return int(r)
	}
	return swarm.Unlimited
}

// uplinkTo returns the uplink by which a peer is sent chunks: none when it is at this site.
func (n *Node) uplinkTo(l *link) *uplink {
	if l == nil || l.stream.Local() {
		return nil
	}
	return &n.uplink
}

// pace has the uplink keep to what all channels may give together.
func (ch *channel) pace(now time.Time) {
	c := ch.n.options().Conf
	all, _ := uploads(&c, ch.localName(), now)
	ch.n.uplink.limit(all)
}

// limit tells the machine when its part of the upload has changed by more than what measuring wavers.
func (ch *channel) limit(now time.Time) {
	ch.pace(now)
	u := ch.upload(now)
	if d := u - ch.limited; d > ch.limited/20 || -d > ch.limited/20 {
		ch.limited = u
		ch.step(swarm.Limit{Upload: u})
	}
}

// reconfigure takes over what may have changed.
func (ch *channel) reconfigure() {
	ch.limit(time.Now())
	ch.demands()
	ch.expel()
	if ch.source == nil {
		return
	}
	c := ch.n.options().Conf
	if !shares(c.Share, ch.name) {
		if err := ch.source.end(ch); err != nil {
			ch.log.Error("channel not ended", "err", err)
		}
		return
	}
	d, _ := ch.description()
	if d.Access != accessTo(&c, ch.name) || !reflect.DeepEqual(d.Trackers, ch.n.trackers()) {
		ch.source.again.Store(true)
	}
}
