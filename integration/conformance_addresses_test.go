//go:build integration

package integration

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"peergate/integration/lab"
)

// addressClauses are about the forms of URLs (§3.2, RFC 3986).
var addressClauses = []clause{
	{"absolute", "§3.2, §6.1", address(func(u *url.URL) string { return u.String() })},
	{"with a final slash", "§14: clients resolve against the Content-Base, which has one", address(func(u *url.URL) string { return u.String() + "/" })},
	{"relative", "§6.1: the path alone, as some clients send it", address(func(u *url.URL) string { return u.Path })},
	{"scheme in capitals", "RFC 3986 §3.1: schemes are case-insensitive", address(func(u *url.URL) string { return "RTSP://" + u.Host + u.Path })},
	{"without port", "§3.2: 554 is understood", address(func(u *url.URL) string { return "rtsp://" + u.Hostname() + u.Path })},
	{"another name of the host", "§3.2: the server need not know all its names", address(func(u *url.URL) string { return "rtsp://localhost:" + u.Port() + u.Path })},
	{"percent-encoded", "RFC 3986 §2.3: %6c is l", address(func(u *url.URL) string { return "rtsp://" + u.Host + "/%6ci%76e" })},
	{"with a query", "RFC 3986 §3.4", address(func(u *url.URL) string { return u.String() + "?token=a%2Fb&x=1" })},
	{"with user and password", "RFC 3986 §3.2.1: they are no part of the name", address(func(u *url.URL) string { return "rtsp://me:secret@" + u.Host + u.Path })},
	{"IPv6 literal", "§3.2, RFC 2732", ipv6},
}

// address has a stream described and set up under a form of its URL.
func address(form func(*url.URL) string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		u, err := url.Parse(s.open.URL("live"))
		if err != nil {
			t.Fatal(err)
		}
		tryAddress(t, lab.DialRaw(t, s.open.HostPort()), form(u))
	}
}

func tryAddress(t *testing.T, c *lab.Raw, address string) {
	t.Helper()
	for i, track := range tracksOf(t, c, address) {
		m := c.Want(200, "SETUP", track, "Transport", fmt.Sprintf("RTP/AVP/TCP;unicast;interleaved=%d-%d", 2*i, 2*i+1))
		c.Session, _ = m.SessionID()
	}
	m := c.Want(200, "PLAY", address)
	if !strings.HasPrefix(address, "/") && strings.Count(m.Header.Get("RTP-Info"), "url=") != 2 {
		t.Errorf("RTP-Info is %q, want two URLs", m.Header.Get("RTP-Info"))
	}
	c.Want(200, "TEARDOWN", address)
}

func ipv6(t *testing.T, s *site) {
	hostport := net.JoinHostPort("::1", strconv.Itoa(s.open.Port))
	c := lab.DialRaw(t, hostport)
	tryAddress(t, c, "rtsp://"+hostport+"/live")
	c.Session = ""
	m := c.Want(200, "DESCRIBE", "rtsp://"+hostport+"/live")
	if base := m.Header.Get("Content-Base"); !strings.HasPrefix(base, "rtsp://"+hostport+"/") {
		t.Errorf("Content-Base is %q", base)
	}
}
