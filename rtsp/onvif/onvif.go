// Package onvif finds cameras in the local network and asks them for the URLs of their streams: WS-Discovery, and the device
// and media services of ONVIF.
package onvif

import (
	"encoding/xml"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Device is a camera that has answered.
type Device struct {
	Address  netip.Addr
	Name     string
	Hardware string
	Streams  []Stream
	Err      error // why it does not tell its streams
	service  string
}

// Stream is one of a camera's profiles.
type Stream struct {
	Profile string // its name
	URL     string // without a password
	Codec   string
	Width   int // pixels; 0 unknown
	Height  int
}

// match is one answer to a probe (WS-Discovery 1.0 §5.3).
type match struct {
	Types  string `xml:"Types"`
	Scopes string `xml:"Scopes"`
	XAddrs string `xml:"XAddrs"`
}

// probeMatches is the envelope of answers.
type probeMatches struct {
	Matches []match `xml:"Body>ProbeMatches>ProbeMatch"`
}

// parseAnswer reads what came from an address as the answer to a probe. What is none, or of no camera, gives nothing.
func parseAnswer(b []byte, from netip.Addr) []Device {
	var m probeMatches
	if err := xml.Unmarshal(b, &m); err != nil {
		return nil
	}
	var all []Device
	for _, a := range m.Matches {
		service := serviceAt(strings.Fields(a.XAddrs), from)
		if service == "" {
			continue
		}
		all = append(all, Device{Address: from, Name: scope(a.Scopes, "name"), Hardware: scope(a.Scopes, "hardware"), service: service})
	}
	return all
}

// serviceAt returns the URL of the device service that is at the address which has answered. A device behind two networks
// names several; one that names only others is believed its port and path: nobody may send us elsewhere.
func serviceAt(urls []string, from netip.Addr) string {
	found := ""
	for _, s := range urls {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			continue
		}
		if u.Hostname() == from.String() {
			return u.String()
		}
		if a, err := netip.ParseAddr(u.Hostname()); found == "" && (err != nil || a.Is4() == from.Is4()) {
			found = moved(u, from)
		}
	}
	return found
}

// moved returns a URL with the given address in place of its host.
func moved(u *url.URL, to netip.Addr) string {
	c := *u
	c.User = nil
	c.Host = to.String()
	if to.Is6() {
		c.Host = "[" + c.Host + "]"
	}
	if p := u.Port(); p != "" {
		c.Host += ":" + p
	}
	return c.String()
}

// scope returns a value such as Front%20Door of onvif://www.onvif.org/name/Front%20Door.
func scope(scopes, key string) string {
	for s := range strings.FieldsSeq(scopes) {
		if v, ok := strings.CutPrefix(s, "onvif://www.onvif.org/"+key+"/"); ok {
			if name, err := url.PathUnescape(v); err == nil {
				return printable(name)
			}
		}
	}
	return ""
}

// printable takes out what would disturb a terminal, and what is too long.
func printable(s string) string {
	r := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, s))
	return string(r[:min(len(r), 256)])
}

// sortDevices puts devices in the order of their addresses, each one once.
func sortDevices(all []Device) []Device {
	slices.SortStableFunc(all, func(a, b Device) int { return a.Address.Compare(b.Address) })
	return slices.CompactFunc(all, func(a, b Device) bool { return a.Address == b.Address && a.service == b.service })
}
