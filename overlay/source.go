package overlay

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"peergate/media"
	"peergate/overlay/access"
	"peergate/overlay/chunk"
	"peergate/overlay/ledger"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"
)

// descriptorLife is how long a descriptor is good for: longer than any stream runs without a restart.
const descriptorLife = 365 * 24 * time.Hour

// source is what the owner of a channel has beside a member: the stream, which it cuts into signed chunks.
type source struct {
	n      *Node
	stream *media.Stream
	key    ed25519.PrivateKey // of this epoch's chunks
	tracks []media.Track
	epoch  uint64
	seq    uint64 // of the next chunk
	cutter *chunk.Cutter
	made   *ledger.Emission
	wanted time.Time // when somebody last wanted the channel; the loop's

	again atomic.Bool // what the descriptor says has changed, beside the tracks
}

// describe begins an epoch of a stream of this gateway's: a new key, a new descriptor.
func (n *Node) describe(name media.Name, tracks []media.Track, rate int, ended bool) (description, ed25519.PrivateKey, error) {
	now, c := time.Now(), n.options().Conf
	epoch, err := n.epochs.next(now)
	if err != nil {
		n.log.Warn("epoch not kept", "stream", name, "err", err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return description{}, nil, fmt.Errorf("make a channel's key: %w", err)
	}
	d := chunk.Descriptor{
		Owner: n.identity.Key.Public().(ed25519.PublicKey), Name: name, Tracks: tracks, Key: public,
		Stripes: chunk.Stripes(rate), Rate: rate, Epoch: epoch, Issued: now, Expires: now.Add(descriptorLife),
		Access: accessTo(&c, name), Trackers: n.trackers(),
	}
	if ended {
		d.Expires = d.Issued
	}
	return description{&d, d.Sign(n.identity.Key)}, private, nil
}

// trackers returns the peers that the configuration has help to find the members of this gateway's channels.
func (n *Node) trackers() (ts []chunk.Tracker) {
	o := n.options()
	for _, name := range o.Conf.Trackers {
		id, err := p2p.ParseID(o.Peers[name].ID)
		if err != nil {
			continue // conf has told
		}
		t := chunk.Tracker{Key: id.Key()}
		for _, a := range o.Peers[name].Addresses {
			if addrs, err := p2p.ParseAddrs(a); err == nil {
				t.Addresses = append(t.Addresses, addrs...)
			}
		}
		ts = append(ts, t)
	}
	return ts
}

// newSource begins to own a channel: the stream's packets become chunks once the channel's loop runs.
func newSource(n *Node, st *media.Stream) (*channel, error) {
	s := &source{n: n, stream: st, tracks: st.Tracks(), wanted: time.Now()}
	d, key, err := n.describe(st.Name(), s.tracks, rate(st), false)
	if err != nil {
		return nil, err
	}
	s.key, s.epoch, s.cutter = key, d.Epoch, chunk.NewCutter(s.tracks)
	s.made = n.accounts.emits(d.Channel(), d.Epoch, d.Name)
	ch := newChannel(n, d)
	ch.source = s
	ch.giver.begin(d.Epoch, rotation(d))
	return ch, nil
}

// soundRate is the rate in bits a second assumed of a stream that has no video.
const soundRate = 128_000

// rate returns the bits a second of a stream so far; of one that is too young to tell, what its kind suggests, or 0.
func rate(st *media.Stream) int {
	s := st.Stats()
	if d := time.Since(s.Since); d >= time.Second {
		return int(float64(s.Bytes) * 8 / d.Seconds())
	}
	for _, t := range st.Tracks() {
		if t.Kind == "video" {
			return 0
		}
	}
	return soundRate
}

// begin starts to produce.
func (s *source) begin(ch *channel) {
	ch.start(func(ctx context.Context) {
		defer func() { s.made.End() }()
		if err := s.produce(ctx, ch); err != nil && ctx.Err() == nil {
			ch.box.put(func() { ch.giveUp(err) })
		}
	})
}

// produce makes chunks until the stream is over and so is the channel, as all members are told.
func (s *source) produce(ctx context.Context, ch *channel) error {
	for {
		sub := s.stream.Subscribe(media.SubscribeOptions{FromKey: true})
		err := s.pump(ctx, ch, sub)
		sub.Close()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, io.EOF) {
			return err
		}
		// Another publisher with other tracks may have taken the name.
		if st := s.n.hub.Stream(s.stream.Name()); st != nil && st != s.stream {
			s.stream = st
			if err := s.renew(ch); err != nil {
				return err
			}
			continue
		}
		if s.n.stopping() {
			return nil // this gateway ends, perhaps for a restart: members wait for it
		}
		return s.end(ch)
	}
}

// end tells all members that the channel is over.
func (s *source) end(ch *channel) error {
	old, _ := ch.description()
	d, _, err := s.n.describe(ch.name, old.Tracks, 0, true)
	if err != nil {
		return err
	}
	return ch.renew(d.raw)
}

// pump makes chunks of what a subscription brings.
func (s *source) pump(ctx context.Context, ch *channel, sub *media.Subscription) error {
	for {
		pkts, err := s.next(ctx, sub)
		now := time.Now()
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			s.cutter.Flush(now, func(c chunk.Cut) { s.emit(ctx, ch, c) })
			continue
		case err != nil:
			s.cutter.Flush(now, func(c chunk.Cut) { s.emit(ctx, ch, c) })
			return err
		}
		if t := s.stream.Tracks(); s.again.Swap(false) || &t[0] != &s.tracks[0] && !same(t, s.tracks) {
			s.cutter.Flush(now, func(c chunk.Cut) { s.emit(ctx, ch, c) })
			if err := s.renew(ch); err != nil {
				return err
			}
		}
		for _, p := range pkts {
			s.cutter.Add(p, now, func(c chunk.Cut) { s.emit(ctx, ch, c) })
		}
	}
}

// next waits for packets, until an open chunk is due.
func (s *source) next(ctx context.Context, sub *media.Subscription) ([]media.Packet, error) {
	due, open := s.cutter.Due()
	if !open {
		return sub.Next(ctx)
	}
	ctx, cancel := context.WithDeadline(ctx, due)
	defer cancel()
	return sub.Next(ctx)
}

// same tells whether two descriptions of tracks are equal to the letter.
func same(a, b []media.Track) bool {
	return bytes.Equal(media.MarshalTracks(a), media.MarshalTracks(b))
}

// renew begins a new epoch with the stream's present tracks.
func (s *source) renew(ch *channel) error {
	s.tracks = s.stream.Tracks()
	d, key, err := s.n.describe(s.stream.Name(), s.tracks, rate(s.stream), false)
	if err != nil {
		return err
	}
	s.key, s.epoch, s.seq, s.cutter = key, d.Epoch, 0, chunk.NewCutter(s.tracks)
	s.made.End()
	s.made = s.n.accounts.emits(d.Channel(), d.Epoch, d.Name)
	ch.giver.begin(d.Epoch, rotation(d))
	if err := ch.renew(d.raw); err != nil {
		return err
	}
	ch.box.put(func() { ch.start(func(context.Context) { ch.giveAll() }) })
	return nil
}

// rotation returns keys for the epoch that a descriptor begins, or nil when its chunks are not sealed.
func rotation(d description) *access.Rotation {
	if d.Access != chunk.Members {
		return nil
	}
	return access.NewRotation(d.Issued)
}

// emit signs a chunk and hands it to the channel's loop.
func (s *source) emit(ctx context.Context, ch *channel, cut chunk.Cut) {
	f := newFrame(chunk.Sign(ch.id, s.key, ch.giver.content(cut.Wall), s.epoch, s.seq, cut))
	c, err := chunk.Parse(f.body())
	if err != nil {
		ch.log.Error("chunk left out", "err", err)
		return
	}
	s.seq++
	s.made.Count(c.Seq, c.Raw, time.Now())
	ch.box.chunk(ctx.Done(), func() {
		ch.fresh = held{f, c, cut.Wall}
		ch.step(swarm.Produced{Epoch: c.Epoch, Seq: c.Seq, Size: len(c.Raw), Key: c.Key, Vital: c.Vital, Wall: c.Wall})
		ch.fresh = held{}
	})
}

// idle tells whether nobody has wanted the channel for a while.
func (s *source) idle(children int, after time.Duration) bool {
	now := time.Now()
	if children > 0 {
		s.wanted = now
	}
	return now.Sub(s.wanted) > max(after, holdFor)
}
