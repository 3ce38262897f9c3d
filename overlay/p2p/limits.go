package p2p

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
)

// libp2p's default limits are those of a node among strangers. Some would bite gateways that have dozens of channels
// with each other or share an address behind one NAT; these replace them.
const (
	// maxPeerStreams bounds the streams of one peer: its control and repair streams, and a push stream for each of
	// 500 channels both ways. libp2p allows 64 inbound of one protocol.
	maxPeerStreams = 1024
	// maxStreams bounds the streams of all peers.
	maxStreams = 32 << 10
	// maxConns bounds the connections of all peers; each costs about 100 KB.
	maxConns = 2048
	// maxPeerConns bounds the connections of one peer: nine lanes each way, and one or two that libp2p has by itself.
	maxPeerConns = 32
	// maxAddressConns bounds the connections from one IPv4 address or IPv6 /56, behind which many gateways may be: 50
	// with ten connections each, lanes counted, and as many again. libp2p allows 8.
	maxAddressConns = 1024
	// newConns is how many connections a second one address may open in the long run, and newConnsBurst how many at
	// once. A handshake costs about 1 ms of CPU. libp2p allows 0.2 and 16: gateways behind one NAT that come back
	// after a power cut would wait for minutes.
	newConns      = 50
	newConnsBurst = 1024
	// maxShaking bounds the connections whose handshake is not over. libp2p allows 32 and some more for much memory:
	// of 50 gateways that come back at once, some would be refused.
	maxShaking = 512
	// maxMemory bounds the receive windows of all streams in bytes: 16 MB for each of a few that go over long fat
	// links, 256 KB for each of the others.
	maxMemory = 1 << 30
)

// limits returns what bounds what peers can make this process hold.
func limits() (network.ResourceManager, error) {
	peer := rcmgr.ResourceLimits{
		Streams: maxPeerStreams, StreamsInbound: maxPeerStreams, StreamsOutbound: maxPeerStreams,
		Conns: maxPeerConns, ConnsInbound: maxPeerConns, ConnsOutbound: maxPeerConns, FD: maxPeerConns, Memory: maxMemory / 4,
	}
	all := rcmgr.ResourceLimits{
		Streams: maxStreams, StreamsInbound: maxStreams, StreamsOutbound: maxStreams,
		Conns: maxConns, ConnsInbound: maxConns, ConnsOutbound: maxConns, FD: maxConns, Memory: maxMemory,
	}
	cfg := rcmgr.PartialLimitConfig{
		System: all, ServiceDefault: all, ProtocolDefault: all,
		PeerDefault: peer, ServicePeerDefault: peer, ProtocolPeerDefault: peer,
		// Where connections are until the handshake is over.
		Transient: rcmgr.ResourceLimits{
			Conns: maxShaking, ConnsInbound: maxShaking, ConnsOutbound: maxShaking, FD: maxShaking,
			Streams: maxPeerStreams, StreamsInbound: maxPeerStreams, StreamsOutbound: maxPeerStreams, Memory: maxMemory / 4,
		},
	}
	m, err := rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(cfg.Build(rcmgr.DefaultLimits.AutoScale())),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: maxAddressConns}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: maxAddressConns}}),
		rcmgr.WithConnRateLimiters(&rate.Limiter{SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: newConns, Burst: newConnsBurst}}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: rate.Limit{RPS: newConns, Burst: newConnsBurst}}},
			GracePeriod:      time.Minute, // what libp2p keeps an idle bucket for
		}}),
		rcmgr.WithMetricsDisabled(),
	)
	if err != nil {
		return nil, fmt.Errorf("limits of the overlay: %w", err)
	}
	return m, nil
}
