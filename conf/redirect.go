package conf

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// checkRedirects reports redirects that lead back to where they began. Only URLs that are surely this gateway's are
// followed: those of loopback or of the address it listens at. The server refuses the rest of the circles when they are
// met, since only a player's URL tells how else this machine is called.
func (c *Config) checkRedirects(f faults) {
	for _, name := range sorted(c.Streams) {
		next, seen := name, make(map[string]bool)
		for c.isHere(c.Streams[next].Redirect) && !seen[next] {
			seen[next] = true
			u, err := url.Parse(c.Streams[next].Redirect)
			if err != nil {
				break
			}
			next = strings.Trim(u.Path, "/")
		}
		if seen[next] && next == name {
			f.fault("streams."+name+".redirect", "leads back to itself: name the gateway that has the stream")
		}
	}
}

// isHere reports whether a URL surely leads to this gateway.
func (c *Config) isHere(to string) bool {
	u, err := url.Parse(to)
	if err != nil || to == "" {
		return false
	}
	listen, usual := c.RTSP.Listen, "554"
	if u.Scheme == "rtsps" {
		listen, usual = c.RTSP.TLS.Listen, "322"
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	if p := u.Port(); p != "" {
		usual = p
	}
	a, err := netip.ParseAddr(u.Hostname())
	local := u.Hostname() == "localhost" || err == nil && a.IsLoopback()
	return usual == port && (local || strings.EqualFold(u.Hostname(), host))
}
