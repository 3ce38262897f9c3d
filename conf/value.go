package conf

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// auto stands for a value that the gateway finds by itself.
const auto = "auto"

// Delay is a time, or "auto", which is 0.
type Delay time.Duration

// UnmarshalYAML reads "auto" or a duration.
func (d *Delay) UnmarshalYAML(n *yaml.Node) error {
	if n.Value == auto {
		*d = 0
		return nil
	}
	v, err := time.ParseDuration(n.Value)
	if err != nil || v <= 0 {
		return errors.New("not a delay")
	}
	*d = Delay(v)
	return nil
}

func (*Delay) want() string { return "auto or a duration such as 800ms" }

// Rate is a bit rate in bits a second; Unlimited stands for "auto".
type Rate int64

// Unlimited is the rate "auto": whatever the line bears.
const Unlimited Rate = -1

// rateUnits are the suffixes of a rate.
var rateUnits = []struct {
	suffix string
	bits   float64
}{{"Gbit", 1e9}, {"Mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}, {"M", 1e6}, {"k", 1e3}, {"", 1}}

// UnmarshalYAML reads "auto", 0, or a number with a unit such as 20Mbit.
func (r *Rate) UnmarshalYAML(n *yaml.Node) error {
	if n.Value == auto {
		*r = Unlimited
		return nil
	}
	for _, u := range rateUnits {
		num, ok := strings.CutSuffix(strings.TrimSuffix(n.Value, "/s"), u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
		if err != nil || !(v >= 0 && v*u.bits < 1e15) || u.suffix == "" && v != 0 {
			break
		}
		*r = Rate(v * u.bits)
		return nil
	}
	return errors.New("not a rate")
}

func (*Rate) want() string { return "auto, 0, or a rate such as 800kbit or 20Mbit" }

// Price is an amount in millionths of whatever unit the operator has in mind.
type Price int64

// maxPrice bounds a price, a million.
const maxPrice = 1e6

// ParsePrice returns a price in whole units as a Price. It must be at least 0 and have six decimals at most.
func ParsePrice(v float64) (Price, error) {
	micro := math.Round(v * 1e6)
	if !(v >= 0 && v <= maxPrice) || math.Abs(v*1e6-micro) > 1e-3 {
		return 0, fmt.Errorf("is %v, must be %s", v, (*Price)(nil).want())
	}
	return Price(micro), nil
}

// Units returns the price in whole units.
func (p Price) Units() float64 { return float64(p) / 1e6 }

// UnmarshalYAML reads a number such as 0.02, of at most six decimals.
func (p *Price) UnmarshalYAML(n *yaml.Node) error {
	v, err := strconv.ParseFloat(n.Value, 64)
	if err != nil || !(v >= 0 && v <= maxPrice) {
		return errors.New("not a price")
	}
	*p = Price(math.Round(v * 1e6))
	if _, decimals, _ := strings.Cut(n.Value, "."); len(decimals) > 6 {
		return errors.New("not a price")
	}
	return nil
}

func (*Price) want() string { return "a number such as 0.02, of at most six decimals" }

// Network is a range of addresses.
type Network struct{ netip.Prefix }

// UnmarshalYAML reads an address or a network in CIDR form, or "" as the zero Network.
func (p *Network) UnmarshalYAML(n *yaml.Node) error {
	if n.Value == "" {
		*p = Network{}
		return nil
	}
	v, err := netip.ParsePrefix(n.Value)
	if err != nil {
		a, err := netip.ParseAddr(n.Value)
		if err != nil {
			return err
		}
		v = netip.PrefixFrom(a, a.BitLen())
	}
	p.Prefix = v.Masked()
	return nil
}

func (*Network) want() string { return "an address or a network such as 192.168.1.0/24" }

// atLeast reports a number that is too small.
func atLeast[T int | time.Duration](f faults, key string, v, least T) {
	if v < least {
		f.fault(key, "is %v, must be at least %v", v, least)
	}
}

// oneOf reports a word that is none of the choices.
func oneOf(f faults, key, v string, choices ...string) {
	for _, c := range choices {
		if v == c {
			return
		}
	}
	f.fault(key, "is %q, must be one of %s", v, strings.Join(choices, ", "))
}
