package conf

import (
	"errors"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// RelayAny stands, in Overlay.RelayFor, for all who may connect.
const RelayAny = "any"

// RelayLimits bound what a gateway passes on for others, which costs it as much download as upload.
type RelayLimits struct {
	Rate  Rate `yaml:"rate"`  // of all together
	Bytes Size `yaml:"bytes"` // that one gateway may send through this one in a day
	Peers int  `yaml:"peers"` // gateways that can be reached through this one at once
}

func defaultRelayLimits() RelayLimits { return RelayLimits{Rate: 50e6, Peers: 64} }

func (c *RelayLimits) check(f faults) {
	if c.Rate == 0 {
		f.fault("overlay.relay_limits.rate", "is 0: leave overlay.relay_for empty to pass nothing on")
	}
	atLeast(f, "overlay.relay_limits.peers", c.Peers, 1)
}

// Size is a number of bytes.
type Size int64

// sizeUnits are the suffixes of a size.
var sizeUnits = []struct {
	suffix string
	bytes  float64
}{{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}, {"", 1}}

// UnmarshalYAML reads 0, or a number with a unit such as 200GB.
func (s *Size) UnmarshalYAML(n *yaml.Node) error {
	for _, u := range sizeUnits {
		num, ok := strings.CutSuffix(n.Value, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
		if err != nil || !(v >= 0 && v*u.bytes < 1e18) || u.suffix == "" && v != 0 {
			break
		}
		*s = Size(v * u.bytes)
		return nil
	}
	return errors.New("not a size")
}

func (*Size) want() string { return "0 or a number of bytes such as 200GB" }
