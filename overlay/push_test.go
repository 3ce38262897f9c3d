package overlay

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"peergate/media"
	"peergate/overlay/chunk"
	"peergate/overlay/p2p"
	"peergate/overlay/swarm"
)

func TestHandshake(t *testing.T) {
	id := chunk.ID{1, 2, 3}
	for _, tt := range []struct {
		name        string
		wire        []byte
		lane, lanes int
		ok          bool
	}{
		{"one", id[:], 0, 1, true},
		{"last of four", append(id[:], 3, 4), 3, 4, true},
		{"too short", id[:31], 0, 0, false},
		{"half a lane", append(id[:], 0), 0, 0, false},
		{"lane beyond", append(id[:], 4, 4), 0, 0, false},
		{"no lanes", append(id[:], 0, 0), 0, 0, false},
		{"too many", append(id[:], 0, maxLanes+1), 0, 0, false},
	} {
		got, lane, lanes, err := handshake(tt.wire)
		if tt.ok && (err != nil || got != id || lane != tt.lane || lanes != tt.lanes) {
			t.Errorf("%s: handshake = %v, %d of %d, %v", tt.name, got, lane, lanes, err)
		}
		if !tt.ok && !errors.Is(err, errMalformed) {
			t.Errorf("%s: handshake = %v, want %v", tt.name, err, errMalformed)
		}
	}
}

func TestAdopt(t *testing.T) { synctest.Test(t, testAdopt) }

func testAdopt(t *testing.T) {
	ch := &channel{outflows: make(map[p2p.ID]*outflow)}
	stopped := make(chan string, 3) // as many streams as are opened here
	stop := func(name string) func() { return func() { stopped <- name } }
	var dropped []int
	wait := ch.outflow("child")
	for stripe := range 8 {
		wait.put(parcel{wire: []byte("x"), stripe: stripe, report: func(drop bool, _ int, _ time.Duration) {
			if drop {
				dropped = append(dropped, stripe)
			}
		}})
	}
	first := ch.adopt("child", 0, 4, stop("first 0"))
	if got := ch.adopt("child", 2, 4, stop("first 2")); got != first || len(stopped) > 0 {
		t.Errorf("another lane ends %d streams", len(stopped))
	}
	for lane, c := range first.posts {
		if len(c.queue) != 2 || c.queue[0].stripe != lane || c.queue[1].stripe != lane+4 {
			t.Errorf("lane %d holds %+v", lane, c.queue)
		}
	}
	second := ch.adopt("child", 0, 4, stop("second 0"))
	if second == first || len(stopped) > 0 || len(dropped) > 0 || len(second.posts[3].queue) != 2 {
		t.Errorf("a new stream of the same lane: ended %d, dropped %v, holds %+v", len(stopped), dropped, second.posts[3].queue)
	}
	for _, name := range []string{"first 0", "first 2"} {
		if got := <-stopped; got != name {
			t.Errorf("a moment later %s is ended, not %s", got, name)
		}
	}
	synctest.Wait()
	if len(dropped) > 0 {
		t.Errorf("a moment later dropped %v", dropped)
	}
	ch.broken(first) // must not touch the second
	if ch.outflow("child") != second {
		t.Error("the end of an old stream takes the new one away")
	}
	ch.shut("child")
	if got := <-stopped; len(ch.outflows) != 0 || got != "second 0" {
		t.Errorf("after shut: ended %q, left %d", got, len(ch.outflows))
	}
}

// TestChildWithoutStream has a gateway attach and never open the push stream: it does not stay a child. In simulations
// children that had given up kept a third of all slots.
func TestChildWithoutStream(t *testing.T) {
	t.Parallel()
	a, b := newGateway(t, "a"), newGateway(t, "b")
	a.knowsAt(b).start()
	b.knows(a).start()
	a.film("live")
	eventually(t, "the gateways are linked", func() bool { return b.node.link(a.id.ID) != nil && a.node.link(b.id.ID) != nil })
	ch, err := a.node.ownChannel(t.Context(), "live")
	if err != nil {
		t.Fatal(err)
	}
	children := func() int {
		s := a.node.Status().Channels
		if len(s) == 0 {
			return -1
		}
		return len(s[0].Children)
	}
	d, _ := ch.description()
	self := swarm.Member{ID: swarm.ID(b.id.ID), Depth: -1}
	b.node.link(a.id.ID).send(ch.message(swarm.Attach{Epoch: d.Epoch, Stripes: 255, Self: self}))
	eventually(t, "b is a child", func() bool { return children() == 1 })
	eventually(t, "b is none any more", func() bool { return children() == 0 })
}

// TestLanesToTheOnlyParent has two gateways that reach each other over QUIC use several connections.
func TestLanesToTheOnlyParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(t, []int{10_000_000, 10_000_000})
		ctx, cancel := context.WithCancel(t.Context())
		var nodes, work sync.WaitGroup
		s.run(ctx, &nodes)
		pub, err := s.nodes[0].hub.Publish("live", []media.Track{h264}, media.Origin{Kind: "publish"})
		if err != nil {
			t.Fatal(err)
		}
		work.Go(func() { pictures(ctx, pub, 25, 10) })
		time.Sleep(2 * time.Second)
		var r report
		work.Go(func() { r = s.nodes[1].watch(ctx, t, "n0/live", 20*time.Second) })
		time.Sleep(10 * time.Second)
		ch := s.nodes[0].node.channel(channelID(s.nodes[0].o.Identity.ID, "live"))
		ch.mu.Lock()
		o := ch.outflows[s.nodes[1].o.Identity.ID]
		ch.mu.Unlock()
		if o == nil || len(o.posts) != maxLanes {
			t.Errorf("outflow = %+v, want one of %d lanes", o, maxLanes)
		}
		time.Sleep(15 * time.Second)
		cancel()
		work.Wait()
		nodes.Wait()
		s.net.Close()
		if r.got < 2000 || r.missing > 0 {
			t.Errorf("%d packets came, %d are missing: %v", r.got, r.missing, r.err)
		}
	})
}
