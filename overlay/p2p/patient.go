package p2p

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// sayAgain is how often a dial says that it goes on; libp2p begins the next one 250 ms after it has heard so last.
	sayAgain = 150 * time.Millisecond
	// sayFor is for how long: some proxies accept every connection and pass nothing on.
	sayFor = 2 * time.Second
)

// patient is a transport that has libp2p wait for the handshakes of a connection that has been made, before it dials the
// peer's next address: on a busy machine, or in a private network, they take longer than libp2p waits by itself, and each
// peer would be dialled over QUIC, too.
type patient struct{ transport.Transport }

// DialWithUpdates implements transport.DialUpdater.
func (t patient) DialWithUpdates(ctx context.Context, a ma.Multiaddr, p peer.ID, updates chan<- transport.DialUpdate) (transport.CapableConn, error) {
	connected := make(chan transport.DialUpdate, 1)
	over := make(chan struct{})
	var saying sync.WaitGroup
	saying.Go(func() { repeat(connected, updates, over) })
	defer saying.Wait()
	defer close(over)
	return dialWithUpdates(ctx, t.Transport, a, p, connected)
}

// repeat hands an update on, and again until over is closed, for sayFor at most.
func repeat(from <-chan transport.DialUpdate, to chan<- transport.DialUpdate, over <-chan struct{}) {
	var u transport.DialUpdate
	select {
	case u = <-from:
	case <-over:
		return
	}
	again := time.NewTicker(sayAgain)
	defer again.Stop()
	enough := time.NewTimer(sayFor)
	defer enough.Stop()
	for {
		select {
		case to <- u:
		case <-enough.C:
			return
		case <-over:
			return
		}
		select {
		case <-again.C:
		case <-enough.C:
			return
		case <-over:
			return
		}
	}
}

// dialWithUpdates dials with updates where the transport has them.
func dialWithUpdates(
	ctx context.Context, t transport.Transport, a ma.Multiaddr, p peer.ID, updates chan<- transport.DialUpdate,
) (transport.CapableConn, error) {
	if u, ok := t.(transport.DialUpdater); ok {
		return u.DialWithUpdates(ctx, a, p, updates)
	}
	return t.Dial(ctx, a, p)
}
