package conf

import (
	"fmt"
	"net/netip"
)

// WebRTC is what browsers play with the least delay (WHEP), and publish with (WHIP).
type WebRTC struct {
	Listen      string   `yaml:"listen"`       // host:port of HTTP; "" is no WebRTC
	UDP         string   `yaml:"udp"`          // host:port of all media over UDP; "" is none
	TCP         string   `yaml:"tcp"`          // host:port of media over TCP, where UDP does not pass; "" is none
	Addresses   []string `yaml:"addresses"`    // of this machine that it does not know, such as that of the router before it
	MaxSessions int      `yaml:"max_sessions"` // at once
	AllowOrigin string   `yaml:"allow_origin"` // web pages that may use it, as of hls
}

func defaultWebRTC() WebRTC {
	return WebRTC{Listen: ":8889", UDP: ":8889", TCP: ":8890", MaxSessions: 1000, AllowOrigin: "*"}
}

func (c *WebRTC) check(f faults) {
	if c.Listen == "" {
		return
	}
	listenAddress(f, "webrtc.listen", c.Listen)
	if c.UDP != "" {
		listenAddress(f, "webrtc.udp", c.UDP)
	}
	if c.TCP != "" {
		listenAddress(f, "webrtc.tcp", c.TCP)
	}
	if c.UDP == "" && c.TCP == "" {
		f.fault("webrtc.udp", "is empty, as webrtc.tcp is: media need one of them, or set webrtc.listen to \"\"")
	}
	for i, a := range c.Addresses {
		if _, err := netip.ParseAddr(a); err != nil {
			f.fault(fmt.Sprintf("webrtc.addresses[%d]", i), "is %q, must be an address such as 203.0.113.7", a)
		}
	}
	atLeast(f, "webrtc.max_sessions", c.MaxSessions, 1)
}
