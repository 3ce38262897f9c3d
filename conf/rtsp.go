package conf

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// RTSP is what players and publishers meet.
type RTSP struct {
	Listen         string        `yaml:"listen"`          // host:port
	UDPPorts       Ports         `yaml:"udp_ports"`       // for RTP (even) and RTCP over UDP; 0 lets the system choose
	SessionTimeout time.Duration `yaml:"session_timeout"` // of a silent session (RFC 2326 §12.37)
	HeaderTimeout  time.Duration `yaml:"header_timeout"`  // from the first byte of a request to its last
	WriteTimeout   time.Duration `yaml:"write_timeout"`   // of a player that takes nothing
	OpenTimeout    time.Duration `yaml:"open_timeout"`    // for a stream that has to be fetched first
	PublisherGrace time.Duration `yaml:"publisher_grace"` // how long players wait for a publisher to return
	StartMaxAge    time.Duration `yaml:"start_max_age"`   // of the key frame a new player begins with
	MaxConnections int           `yaml:"max_connections"` // at once
	MaxPerAddress  int           `yaml:"max_per_address"` // connections of one address at once
	MaxSessions    int           `yaml:"max_sessions"`    // sessions of one address at once
	TLS            TLS           `yaml:"tls"`
	Multicast      Multicast     `yaml:"multicast"`
}

// TLS is RTSP over TLS, "rtsps://".
type TLS struct {
	Listen      string `yaml:"listen"`      // host:port, usually :8322; "" is no RTSPS
	Certificate string `yaml:"certificate"` // PEM file, read again when it changes
	Key         string `yaml:"key"`         // PEM file
	SelfSigned  bool   `yaml:"self_signed"` // instead of the files: make a pair for a lab, kept in the data folder
}

// Multicast is what players get who ask for it (RFC 2326 §12.39).
type Multicast struct {
	Groups    Network `yaml:"groups"`    // addresses, such as 239.255.42.0/24: one for each stream; "" is no multicast
	Port      int     `yaml:"port"`      // of the first track's RTP; RTCP has the next, further tracks those that follow
	TTL       int     `yaml:"ttl"`       // how many routers packets pass; 1 stays in the local network
	Interface string  `yaml:"interface"` // to send from, such as eth0; "" lets the system choose
}

func defaultRTSP() RTSP {
	return RTSP{
		Listen:         ":8554",
		SessionTimeout: 60 * time.Second,
		HeaderTimeout:  10 * time.Second,
		WriteTimeout:   10 * time.Second,
		OpenTimeout:    10 * time.Second,
		PublisherGrace: 10 * time.Second,
		StartMaxAge:    2 * time.Second,
		MaxConnections: 10000,
		MaxPerAddress:  1000,
		MaxSessions:    1000,
		Multicast:      Multicast{Port: 5000, TTL: 1},
	}
}

func (c *RTSP) check(f faults) {
	listenAddress(f, "rtsp.listen", c.Listen)
	atLeast(f, "rtsp.session_timeout", c.SessionTimeout, 5*time.Second)
	atLeast(f, "rtsp.header_timeout", c.HeaderTimeout, time.Second)
	atLeast(f, "rtsp.write_timeout", c.WriteTimeout, time.Second)
	atLeast(f, "rtsp.open_timeout", c.OpenTimeout, time.Second)
	atLeast(f, "rtsp.publisher_grace", c.PublisherGrace, 0)
	atLeast(f, "rtsp.start_max_age", c.StartMaxAge, 0)
	atLeast(f, "rtsp.max_connections", c.MaxConnections, 1)
	atLeast(f, "rtsp.max_per_address", c.MaxPerAddress, 1)
	atLeast(f, "rtsp.max_sessions", c.MaxSessions, 1)
	c.TLS.check(f)
	c.Multicast.check(f)
}

func (c *TLS) check(f faults) {
	files := c.Certificate != "" || c.Key != ""
	if c.Listen != "" {
		listenAddress(f, "rtsp.tls.listen", c.Listen)
		if !files && !c.SelfSigned {
			f.fault("rtsp.tls.certificate", "is missing: name the files of certificate and key, or set rtsp.tls.self_signed to true")
		}
	}
	if files && (c.Certificate == "" || c.Key == "") {
		f.fault("rtsp.tls.key", "is not set together with rtsp.tls.certificate: name both files")
	}
	if files && c.SelfSigned {
		f.fault("rtsp.tls.self_signed", "is true, but a certificate is named too: choose one")
	}
}

// maxMulticastPort leaves the ports of 16 tracks above it.
const maxMulticastPort = 65500

func (c *Multicast) check(f faults) {
	if c.Groups.IsValid() && !c.Groups.Addr().IsMulticast() {
		f.fault("rtsp.multicast.groups", "is %s, must be multicast addresses such as 239.255.42.0/24", c.Groups)
	}
	if c.Port < 1024 || c.Port > maxMulticastPort || c.Port%2 != 0 {
		f.fault("rtsp.multicast.port", "is %d, must be an even port of 1024 to %d", c.Port, maxMulticastPort)
	}
	if c.TTL < 1 || c.TTL > 255 {
		f.fault("rtsp.multicast.ttl", "is %d, must be 1 to 255", c.TTL)
	}
}

// Ports is a pair of UDP ports, an even one for RTP and the next for RTCP (RFC 3550 §11). Zero lets the system choose.
type Ports struct{ RTP int }

// UnmarshalYAML reads 0 or a pair such as 8000-8001.
func (p *Ports) UnmarshalYAML(n *yaml.Node) error {
	if n.Value == "0" {
		p.RTP = 0
		return nil
	}
	a, b, _ := strings.Cut(n.Value, "-")
	rtp, err := strconv.ParseUint(a, 10, 16)
	if err != nil || rtp == 0 || rtp%2 != 0 || b != strconv.FormatUint(rtp+1, 10) {
		return fmt.Errorf("%q is no pair of ports", n.Value)
	}
	p.RTP = int(rtp)
	return nil
}

func (*Ports) want() string { return "0, or an even port and the next, such as 8000-8001" }
