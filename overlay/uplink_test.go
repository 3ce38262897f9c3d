package overlay

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"peergate/conf"
)

// Chunks for several children take turns on the uplink: each when what was let on before has left, but for what may be ahead; and
// none that comes too late takes the time of the others.
func TestUplink(t *testing.T) {
	const size = 12_500 // 107 ms of 1 Mbit/s
	for _, tt := range []struct {
		name  string
		rate  conf.Rate
		until time.Duration
		want  string // when each is written
	}{
		{"as much as the network takes", conf.Unlimited, time.Second, "0ms 0ms 0ms 0ms"},
		{"1 Mbit/s", 1_000_000, time.Second, "0ms 57ms 164ms 271ms"},
		{"too late", 1_000_000, 200 * time.Millisecond, "0ms 57ms 164ms"},
		{"none", 0, time.Second, "0ms 0ms 0ms 0ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := new(uplink)
				u.limit(tt.rate)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				at, written := time.Now(), make(chan string, 10)
				for range 4 { // children
					c := newCourier()
					go func() { _ = c.run(ctx, new(slowWriter)) }()
					c.put(parcel{wire: make([]byte, size), put: at, until: at.Add(tt.until), uplink: u, report: func(dropped bool, _ int, _ time.Duration) {
						if !dropped {
							written <- fmt.Sprintf("%dms", time.Since(at).Milliseconds())
						}
					}})
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				close(written)
				var got []string
				for s := range written {
					got = append(got, s)
				}
				if s := strings.Join(got, " "); s != tt.want {
					t.Errorf("written at %s, want %s", s, tt.want)
				}
			})
		})
	}
}

// What was let on long ago has left.
func TestUplinkIdle(t *testing.T) {
	u, now := new(uplink), time.Now()
	u.limit(1_000_000)
	u.turn(1_000_000, now, now.Add(time.Minute))
	later := now.Add(10 * time.Second)
	if at := u.turn(1, later, later); at.After(later) {
		t.Errorf("a turn %v late", at.Sub(later))
	}
}
