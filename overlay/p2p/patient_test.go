package p2p

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
)

// slowTransport connects, if it does, at once, and then needs so long for its handshakes, which fail.
type slowTransport struct {
	transport.Transport
	connects bool
	takes    time.Duration
}

var errSlow = errors.New("handshakes failed")

func (t *slowTransport) DialWithUpdates(_ context.Context, a ma.Multiaddr, _ peer.ID, updates chan<- transport.DialUpdate) (transport.CapableConn, error) {
	if t.connects {
		updates <- transport.DialUpdate{Kind: transport.UpdateKindHandshakeProgressed, Addr: a}
	}
	time.Sleep(t.takes) // in a bubble
	return nil, errSlow
}

// TestPatient tells how long libp2p is kept from dialling the next address.
func TestPatient(t *testing.T) {
	for name, tt := range map[string]struct {
		connects       bool
		takes          time.Duration
		private        bool
		least, most    int
		latest, before time.Duration // the last update is within
	}{
		"nobody answers":         {false, time.Second, false, 0, 0, 0, 0},
		"at once":                {true, time.Millisecond, false, 1, 1, 0, time.Millisecond},
		"slow":                   {true, time.Second, false, 6, 8, time.Second - sayAgain, time.Second},
		"in a private network":   {true, time.Second, true, 6, 8, time.Second - sayAgain, time.Second},
		"nothing is passed on":   {true, 10 * time.Second, false, 12, 14, sayFor - sayAgain, sayFor},
		"libp2p listens no more": {true, time.Second, false, -1, -1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &Host{}
				if tt.private {
					h.o.NetworkKey = make([]byte, leastKey)
				}
				at, updates := time.Now(), make(chan transport.DialUpdate)
				got, last := 0, time.Duration(0)
				if tt.least >= 0 {
					go func() {
						for range updates {
							got, last = got+1, time.Since(at)
						}
					}()
				}
				c, err := patient{h.private(&slowTransport{connects: tt.connects, takes: tt.takes})}.DialWithUpdates(t.Context(), nil, "", updates)
				close(updates)
				synctest.Wait()
				if c != nil || !errors.Is(err, errSlow) || time.Since(at) != tt.takes {
					t.Errorf("DialWithUpdates = %v, %v after %v, want %v after %v", c, err, time.Since(at), errSlow, tt.takes)
				}
				if tt.least >= 0 && (got < tt.least || got > tt.most || last < tt.latest || last > tt.before) {
					t.Errorf("%d updates, the last after %v, want %d to %d, %v to %v", got, last, tt.least, tt.most, tt.latest, tt.before)
				}
			})
		})
	}
}
