package p2p

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	// neighbourService is what gateways announce in the local network (RFC 6763 §7): privateService those of a private network,
	// so that each hears of its own alone.
	neighbourService = "_peergate._udp"
	privateService   = "_pg-%x._udp" // eight digits of a hash of the key: a name has at most 15 characters
	// lookAgain is the time after which a look around that failed is tried again: there may be no network yet.
	lookAgain = 30 * time.Second
)

// lookAround announces this gateway in the local network by multicast DNS (RFC 6762) and hears of others, until ctx ends.
// It begins anew when this machine has other addresses.
func (h *Host) lookAround(ctx context.Context) {
	for ctx.Err() == nil {
		s := mdns.NewMdnsService(h.inner, serviceOf(h.o.NetworkKey), notifee{h})
		again := make(<-chan time.Time)
		if err := s.Start(); err != nil {
			h.log.Debug("local network not searched", "err", err, "redial", lookAgain)
			again = time.After(lookAgain)
		}
		select {
		case <-h.around:
		case <-again:
		case <-ctx.Done():
		}
		_ = s.Close() // it has nothing to save
	}
}

// serviceOf returns what gateways with a key, or without one, announce.
func serviceOf(key []byte) string {
	if key == nil {
		return neighbourService
	}
	sum := sha256.Sum256(append([]byte("peergate neighbours\x00"), key...))
	return fmt.Sprintf(privateService, sum[:4])
}

// notifee takes what is heard.
type notifee struct{ h *Host }

// HandlePeerFound implements mdns.Notifee.
func (n notifee) HandlePeerFound(found peer.AddrInfo) {
	id, err := ParseID(found.ID.String())
	if err != nil || id == n.h.ID() {
		return
	}
	if addrs := nearby(found.Addrs); len(addrs) > 0 {
		n.h.o.Neighbour(id, addrs)
	}
}

// maxNearby bounds the addresses of a neighbour.
const maxNearby = 16

// nearby returns, of the addresses that a neighbour announces, those at which another machine can dial it.
func nearby(addrs []ma.Multiaddr) []string {
	var good []ma.Multiaddr
	for _, a := range addrs {
		_, err := manet.ToIP(a) // a name could lead anywhere
		if err == nil && (isTCP(a) || isQUIC(a)) && !manet.IsIPLoopback(a) && !manet.IsIP6LinkLocal(a) && len(good) < maxNearby {
			good = append(good, a)
		}
	}
	return texts(good)
}
