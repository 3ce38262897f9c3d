package overlay

import (
	"testing"
	"time"

	"peergate/overlay/access"
	"peergate/overlay/p2p"
)

// Who has kept a request of another gateway cannot draw that one's keys to itself by sending it again.
func TestOldRequestDoesNotChangeTheWay(t *testing.T) {
	var g giver
	now := time.Now()
	g.begin(1, access.NewRotation(now))
	g.admit("x", holder{via: "old", stamp: 5, seen: now})
	g.admit("x", holder{via: "new", stamp: 6, seen: now})
	for _, stamp := range []uint64{5, 6} {
		g.admit("x", holder{via: "thief", stamp: stamp, seen: now})
		if _, _, holders := g.present(); holders["x"].via != "new" {
			t.Errorf("after an old request the keys go by %s, want new", holders["x"].via)
		}
	}
}

// Keys are given to those who ask, and no longer.
func TestHoldersWhoAskNoMore(t *testing.T) {
	var g giver
	now := time.Now()
	g.begin(1, access.NewRotation(now))
	g.admit("x", holder{seen: now})
	g.admit("y", holder{seen: now.Add(time.Second)})
	nobody := func(p2p.ID, holder) bool { return false }
	g.expel(now.Add(holderLife+time.Millisecond), nobody)
	if _, _, holders := g.present(); len(holders) != 1 || holders["y"].seen.IsZero() {
		t.Errorf("keys are given to %v, want y alone", holders)
	}
}
