//go:build integration

package integration

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"peergate/integration/lab"
)

// chain starts three gateways: b knows both others, a and c know each other's ID at most, and have no way but through b.
func chain(t *testing.T) (a, b, c *lab.Gateway) {
	t.Helper()
	a, b, c = lab.NewGateway(t, "a"), lab.NewGateway(t, "b"), lab.NewGateway(t, "c")
	a.Knows(b)
	b.Knows(a, c)
	c.Knows(b)
	c.KnowsAt(a)
	a.Start()
	b.Start()
	c.Start()
	return a, b, c
}

// hopTransports are the players of the first test, each at each of the three gateways.
var hopTransports = []lab.Viewer{lab.FFmpeg("udp"), lab.FFmpeg("tcp"), lab.GStreamer("udp"), lab.GStreamer("tcp")}

// TestPlayersAtEveryHop proves that what is decoded at the owner, one hop and two hops away is the same, picture by picture.
func TestPlayersAtEveryHop(t *testing.T) {
	t.Parallel()
	clip := lab.H264(t)
	a, b, c := chain(t)
	lab.Encode(t, clip, a.URL("live"))
	a.WaitStream("live")

	const frames = 150
	dropped := lab.UDPDrops(t)
	watching := make(map[string]*lab.Watching)
	for _, v := range hopTransports {
		watching["a "+v.String()] = v.Watch(t, a.URL("live"), frames)
		watching["b "+v.String()] = v.Watch(t, b.URL("a/live"), frames)
		watching["c "+v.String()] = v.Watch(t, c.URL("a/live"), frames)
	}
	pictures := make(map[string][]string)
	for who, w := range watching {
		pictures[who] = w.Pictures()
		if w.Lossy() && lab.UDPDrops(t) > dropped {
			clip.Mostly(t, who, pictures[who], frames, mostly)
		} else {
			clip.Verify(t, who, pictures[who], frames)
		}
	}
	for _, v := range hopTransports {
		n := clip.Overlap(pictures["a "+v.String()], pictures["c "+v.String()])
		t.Logf("%s: %d pictures are the same at a and c", v, n)
		if n < frames/2 {
			t.Errorf("%s: a and c have %d of %d pictures in common", v, n, frames)
		}
	}
}

// packets collects the packets of a track by their sequence number.
type packets struct {
	mu   sync.Mutex // guards sums
	sums map[uint16][sha256.Size]byte
}

func collect(a *lab.Audit) *packets {
	p := &packets{sums: make(map[uint16][sha256.Size]byte)}
	a.Each(func(b []byte, _ time.Time) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sums[binary.BigEndian.Uint16(b[2:])] = sha256.Sum256(b)
	})
	return p
}

// same returns how many packets two collections share, and how many differ under one sequence number.
func (p *packets) same(o *packets) (equal, different int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	for seq, sum := range p.sums {
		other, ok := o.sums[seq]
		switch {
		case ok && sum == other:
			equal++
		case ok:
			different++
		}
	}
	return equal, different
}

// TestPacketsAreTheOwners proves that a player two hops away gets the owner's very packets: SSRC, sequence, timestamps
// and all, none lost, over UDP and TCP.
func TestPacketsAreTheOwners(t *testing.T) {
	t.Parallel()
	a, _, c := chain(t)
	lab.Encode(t, lab.H264(t), a.URL("live"))
	a.WaitStream("live")
	far := []*lab.Player{lab.Open(t, c.URL("a/live"), lab.UDP), lab.Open(t, c.URL("a/live"), lab.TCP)}
	near := []*lab.Player{lab.Open(t, a.URL("live"), lab.UDP), lab.Open(t, a.URL("live"), lab.TCP)}
	var got [2][2][]*packets // near and far, UDP and TCP, each track
	for i, players := range [][]*lab.Player{near, far} {
		for j, p := range players {
			for _, track := range p.Tracks {
				got[i][j] = append(got[i][j], collect(track))
			}
			p.Resume()
		}
	}
	far[0].Plays(6 * time.Second)
	for _, p := range append(near, far...) {
		p.Connected()
		p.Flawless()
		p.Stop()
		for i, track := range p.Tracks {
			if track.Stats().Reports == 0 {
				t.Errorf("%s track %d: no sender report", p.URL, i)
			}
		}
	}
	atLeast := []int{100, 20} // pictures are of several packets, an AAC packet is of several frames
	for track := range got[0][0] {
		for _, j := range []int{0, 1} {
			equal, different := got[0][0][track].same(got[1][j][track])
			if equal < atLeast[track] || different > 0 {
				t.Errorf("track %d: %d packets equal, %d different at a and c", track, equal, different)
			}
		}
	}
}

// TestStreamOfNobody proves that a name which nobody has is refused, near and far, without delay and without harm.
func TestStreamOfNobody(t *testing.T) {
	t.Parallel()
	_, _, c := chain(t)
	for _, name := range []string{"nothing", "a/nothing", "b/nothing"} {
		r, err := lab.Dial(t, c.HostPort()).Do("DESCRIBE", c.URL(name), nil, "")
		if err != nil || r.Status != 404 {
			t.Errorf("DESCRIBE %s = %d, %v, want 404", name, r.Status, err)
		}
	}
}
