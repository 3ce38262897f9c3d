package conf

import (
	"fmt"
	"strings"
	"time"
)

// The ways to share a line with other connections.
const (
	CongestionBBR    = "bbr"    // by measuring the line's rate: loss hardly slows it
	CongestionSystem = "system" // whatever the machine is set to
)

// The ways to choose whom to serve where upload is short.
const (
	PreferFirst        = "first"        // who came first
	PreferContributors = "contributors" // who has carried more, by the ledger of the channel's owner
)

// Overlay is how this gateway exchanges streams with others.
type Overlay struct {
	Enabled   bool          `yaml:"enabled"`
	Listen    []string      `yaml:"listen"`     // multiaddresses
	Share     []string      `yaml:"share"`      // patterns of the streams that peers may fetch
	Channels  []Channel     `yaml:"channels"`   // how some of them are shared; the others are for listed peers
	Links     []Link        `yaml:"links"`      // channels of gateways that need not be peers
	Tickets   []string      `yaml:"tickets"`    // by which other gateways let this one watch; secrets
	IdleAfter time.Duration `yaml:"idle_after"` // how long a channel is carried on after its last player
	Delay     Delay         `yaml:"delay"`      // how long a missing chunk is waited for
	Upload    Rate          `yaml:"upload"`     // what this gateway gives to others

	Trackers []string `yaml:"trackers"` // petnames of peers that help to find the members of this gateway's channels

	Prefer string `yaml:"prefer"` // whom to serve where upload is short: first or contributors

	UploadRules []UploadRule `yaml:"upload_rules"` // other limits by channel and time; of those that hold the least counts
	Relay       []string     `yaml:"relay"`        // patterns of peers' channels to carry for others though nobody watches here
	Steady      bool         `yaml:"steady"`       // play everything at one delay after the owner's clock, in step with other sites
	Congestion  string       `yaml:"congestion"`   // of TCP connections to peers: bbr where the kernel has it, or system
	NetworkKey  string       `yaml:"network_key"`  // file with the key of a private network; "" is none

	DHT          DHT         `yaml:"dht"`          // a table in which strangers find channels
	MDNS         bool        `yaml:"mdns"`         // find other gateways in the local network, and be found
	PortMapping  bool        `yaml:"port_mapping"` // ask the router to let others in, by UPnP or NAT-PMP
	Reachability string      `yaml:"reachability"` // whether others can connect: auto, public or private
	RelayFor     []string    `yaml:"relay_for"`    // patterns of the petnames of peers to pass connections on for, or any
	RelayLimits  RelayLimits `yaml:"relay_limits"` // of what is passed on
}

// DHT is this gateway's part in a distributed hash table, by which strangers find channels that are not for listed peers alone.
type DHT struct {
	Enabled   bool     `yaml:"enabled"`
	Bootstrap []string `yaml:"bootstrap"` // addresses of gateways in the table, which end in /p2p/ID; peers count too
}

func (c *DHT) check(f faults) {
	for i, a := range c.Bootstrap {
		if !strings.HasPrefix(a, "/") || !strings.Contains(a, "/p2p/") {
			f.fault(fmt.Sprintf("overlay.dht.bootstrap[%d]", i), "is %q, must be an address with an ID, such as /dns4/hq.example.org/tcp/8555/p2p/12D3KooW...", a)
		}
	}
}

func defaultOverlay() Overlay {
	return Overlay{
		Enabled: true,
		Listen: []string{
			"/ip4/0.0.0.0/tcp/8555", "/ip4/0.0.0.0/udp/8555/quic-v1", "/ip6/::/tcp/8555", "/ip6/::/udp/8555/quic-v1",
		},
		Share:     []string{"**"},
		IdleAfter: 10 * time.Second,
		Upload:    Unlimited,
		Prefer:    PreferFirst,

		Congestion: CongestionBBR,

		MDNS:         true,
		PortMapping:  true,
		Reachability: auto,
		RelayLimits:  defaultRelayLimits(),
	}
}

func (c *Overlay) check(f faults) {
	for i, a := range c.Listen {
		overlayListen(f, fmt.Sprintf("overlay.listen[%d]", i), a)
	}
	if c.Enabled && len(c.Listen) == 0 {
		f.fault("overlay.listen", "is empty: list at least one address, or set overlay.enabled to false")
	}
	patterns(f, "overlay.share", c.Share)
	for i := range c.Channels {
		c.Channels[i].check(f, fmt.Sprintf("overlay.channels[%d]", i))
	}
	for i := range c.Links {
		c.Links[i].check(f, fmt.Sprintf("overlay.links[%d]", i))
	}
	for i, t := range c.Tickets {
		if !strings.HasPrefix(t, "pgt1_") { // what it is else is not told: it may be a secret
			f.fault(fmt.Sprintf("overlay.tickets[%d]", i), "is no ticket: it must be what \"gateway ticket issue\" printed, which begins with pgt1_")
		}
	}
	atLeast(f, "overlay.idle_after", c.IdleAfter, 0)
	for i := range c.UploadRules {
		c.UploadRules[i].check(f, fmt.Sprintf("overlay.upload_rules[%d]", i))
	}
	oneOf(f, "overlay.prefer", c.Prefer, PreferFirst, PreferContributors)
	patterns(f, "overlay.relay", c.Relay)
	oneOf(f, "overlay.congestion", c.Congestion, CongestionBBR, CongestionSystem)
	oneOf(f, "overlay.reachability", c.Reachability, auto, "public", "private")
	patterns(f, "overlay.relay_for", c.RelayFor)
	c.RelayLimits.check(f)
	c.DHT.check(f)
}
