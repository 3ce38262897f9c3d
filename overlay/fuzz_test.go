package overlay

import (
	"context"
	"crypto/ed25519"
	"io"
	"log/slog"
	"testing"
	"time"

	"peergate/conf"
	"peergate/media"
	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"
)

// fixedIdentity makes the same identity each time, so that a kept corpus stays good.
func fixedIdentity(t testing.TB, n byte) p2p.Identity {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	key := ed25519.NewKeyFromSeed(seed)
	id, err := p2p.IDOf(key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return p2p.Identity{ID: id, Key: key}
}

// The kinds of stream that FuzzPeer opens, by the first byte of an input modulo kinds.
const (
	kindControl    = iota // after a hello
	kindRawControl        // from the first byte on
	kindPush              // after the channel
	kindRawPush
	kindRepair
	kinds
)

// messages are valid messages about a channel.
func messages(id chunk.ID) [][]byte {
	var all [][]byte
	self := swarm.Member{ID: "x", Slots: 1, Spare: 1, Stripes: 1, Depth: -1}
	for _, m := range []swarm.Message{
		swarm.Find{Self: self, Want: 3},
		swarm.Describe{},
		swarm.Attach{Epoch: 1, Stripes: 255, Self: self},
		swarm.Detach{Stripes: 255},
		swarm.Leave{},
		swarm.Heartbeat{Ask: true, Stamp: 1},
		swarm.Ack{Epoch: 1, Seqs: []uint64{1, 2}},
		swarm.Report{Self: self},
		swarm.Want{Epoch: 1, Seqs: []uint64{1, 2, 3}},
		swarm.Lack{Epoch: 1, Seqs: []uint64{1}},
		swarm.Members{Self: self},
		swarm.Description{Descriptor: []byte("d")},
		swarm.Refused{Reason: swarm.RefusedFull},
	} {
		all = append(all, swarm.Append(nil, swarm.Channel(id), m))
	}
	return all
}

// FuzzPeer is a listed peer that opens any stream and says anything on it: the gateway goes on, and serves another.
func FuzzPeer(f *testing.F) {
	owner, liar := fixedIdentity(f, 1), fixedIdentity(f, 2)
	id := channelID(owner.ID, "live")
	frames := func(kind byte, bodies ...[]byte) {
		b := []byte{kind}
		for _, body := range bodies {
			b = appendFrame(b, body)
		}
		f.Add(b)
	}
	for _, m := range messages(id) {
		frames(kindControl, envelope(fieldSwarm, m))
		frames(kindPush, m)
		frames(kindRepair, m)
	}
	for _, c := range controls {
		frames(kindControl, c.wire)
		frames(kindRawControl, c.wire, c.wire)
	}
	frames(kindRawPush, id[:])
	frames(kindRawPush, []byte("no channel"))

	c := conf.Default().Overlay
	c.MDNS = false                                                      // tests stay on this machine
	c.Listen, c.IdleAfter = []string{"/ip4/127.0.0.1/tcp/0"}, time.Hour // the channel stays though nobody attaches
	hub := media.NewHub(slog.New(slog.DiscardHandler))
	node, err := New(Options{
		Conf: c, Identity: owner, Peers: map[string]conf.Peer{"liar": {ID: string(liar.ID)}},
	}, hub, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	host := p2p.New(p2p.Options{
		Identity: liar, Listen: c.Listen, Allow: func(p2p.ID) bool { return true },
	}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- node.Run(ctx) }()
	go func() { ended <- host.Run(ctx) }()
	f.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				f.Errorf("Run = %v", err)
			}
		}
	})
	addrs, err := node.host.Addrs(ctx)
	if err != nil {
		f.Fatal(err)
	}
	pub, err := hub.Publish("live", []media.Track{h264}, media.Origin{})
	if err != nil {
		f.Fatal(err)
	}
	cam := &camera{pub: pub}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		cam.picture()
		ch, err := node.ownChannel(ctx, "live")
		if err != nil {
			t.Fatal(err)
		}
		node.book.mu.Lock()
		clear(node.book.banned)
		node.book.mu.Unlock()
		say(t, host, owner.ID, addrs, id, b)
		if _, _, err := node.describe("other", []media.Track{h264}, 0, false); err != nil {
			t.Error(err)
		}
		select {
		case <-ch.done:
			t.Error("the channel has ended")
		default:
		}
	})
}

// say opens a stream, says what is to be said, and waits for the other end to react.
func say(t *testing.T, host *p2p.Host, to p2p.ID, addrs []string, id chunk.ID, b []byte) {
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	if err := host.Connect(ctx, to, addrs); err != nil {
		return // the gateway has just hung up because of what was said before
	}
	kind, b := b[0]%kinds, b[1:]
	proto := map[byte]p2p.Protocol{
		kindControl: p2p.Control, kindRawControl: p2p.Control, kindPush: p2p.Push, kindRawPush: p2p.Push, kindRepair: p2p.Repair,
	}[kind]
	s, err := host.Open(ctx, to, proto)
	if err != nil {
		return
	}
	defer s.Reset()
	switch kind {
	case kindControl:
		b = append(appendFrame(nil, (&hello{instance: 1}).encode()), b...)
	case kindPush:
		b = append(appendFrame(nil, id[:]), b...)
	}
	if _, err := s.Write(b); err != nil {
		return
	}
	_ = s.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
	_, _ = io.Copy(io.Discard, s)
}

// FuzzAnswer is what a peer may answer on a repair stream, or push.
func FuzzAnswer(f *testing.F) {
	owner, member := fixedIdentity(f, 1), fixedIdentity(f, 2)
	log := slog.New(slog.DiscardHandler)
	from, err := New(Options{Identity: owner}, media.NewHub(log), log)
	if err != nil {
		f.Fatal(err)
	}
	d, key, err := from.describe("live", []media.Track{h264}, 0, false)
	if err != nil {
		f.Fatal(err)
	}
	id := d.Channel()
	raw := chunk.Sign(id, key, nil, d.Epoch, 0, chunk.Cut{Packets: []media.Packet{{Data: make([]byte, 20)}}, Wall: time.Now()})
	f.Add(raw)
	for _, m := range messages(id) {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := New(Options{Identity: member}, media.NewHub(log), log)
		if err != nil {
			t.Fatal(err)
		}
		ch := newChannel(n, d)
		n.channels[id] = ch
		r := newRepair(n, &link{peer: owner.ID})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		for _, err := range []error{
			ch.accept(ctx, owner.ID, newFrame(b), false),
			r.answered(ctx, append([]byte{answerLack}, b...)),
			r.answered(ctx, append(append([]byte{answerChunk}, id[:]...), b...)),
			r.answered(ctx, b),
		} {
			if err != nil && !isLie(err) && ctx.Err() == nil {
				t.Errorf("accept or answered = %v, want a lie", err)
			}
		}
		if got := len(ch.box.take()); got > 2 && string(b) != string(raw) && ch.in.Load() > 0 {
			t.Errorf("a chunk that the owner has not signed was taken")
		}
	})
}
