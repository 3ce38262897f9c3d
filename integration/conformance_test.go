//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"peergate/integration/lab"
)

// site is what the clauses of RFC 2326 are tried on.
type site struct {
	open   *lab.Gateway // anybody may read
	brief  *lab.Gateway // sessions live for briefTimeout, publishers have briefGrace to return
	locked *lab.Gateway // has the users of lockedUsers
	tight  *lab.Gateway // has low limits
	secure *lab.Gateway // serves RTSPS, too
}

const (
	briefTimeout = 5 * time.Second // the least that may be configured
	briefGrace   = time.Second
)

// clause is a requirement, where it stands, and how to see that it is met.
type clause struct {
	name  string
	cites string // "§" alone is of RFC 2326
	check func(t *testing.T, s *site)
}

// TestConformance tries the server's answers over raw sockets, clause by clause. Each clause has a connection of its own.
func TestConformance(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, group := range []struct {
		name    string
		clauses []clause
	}{
		{"messages", messageClauses},
		{"addresses", addressClauses},
		{"sessions", sessionClauses},
		{"setup", setupClauses},
		{"describe", describeClauses},
		{"play", playClauses},
		{"rtcp", rtcpClauses},
		{"parameters", parameterClauses},
		{"credentials", credentialClauses},
		{"limits", limitClauses},
		{"tunnel", tunnelClauses},
		{"secure", secureClauses},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range group.clauses {
				t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
					t.Parallel()
					t.Cleanup(func() {
						if t.Failed() {
							t.Log(c.cites)
						}
					})
					c.check(t, s)
				})
			}
		})
	}
}

// newSite starts the gateways and publishes to them:
//
//	live     H.264 and AAC, with sender reports
//	solo     H.264 alone
//	quiet    the same and an audio track that is silent
//	bare     H.264 whose parameter sets come in band only
//	bare265  H.265 likewise
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{
		open: lab.NewGateway(t, "open"), brief: lab.NewGateway(t, "brief"),
		locked: lab.NewGateway(t, "locked"), tight: lab.NewGateway(t, "tight"),
		secure: lab.NewGateway(t, "secure"),
	}
	s.open.Listen = fmt.Sprintf(":%d", s.open.Port) // both IP versions
	s.brief.RTSP = []string{"session_timeout: " + briefTimeout.String(), "publisher_grace: " + briefGrace.String()}
	s.locked.More = lockedUsers
	s.tight.RTSP = []string{
		fmt.Sprintf("max_per_address: %d", tightConnections), fmt.Sprintf("max_sessions: %d", tightSessions),
		"header_timeout: 1s", fmt.Sprintf("udp_ports: %d-%d", s.tight.Port+100, s.tight.Port+101),
	}
	s.secure.SelfSigned()
	s.secure.RTSP = append(s.secure.RTSP, "header_timeout: 1s")
	for _, g := range []*lab.Gateway{s.open, s.brief, s.locked, s.tight, s.secure} {
		g.Start()
	}
	newSource(t, s.open.URL("live"), sourceOptions{reports: true})
	newSource(t, s.open.URL("solo"), sourceOptions{solo: true})
	newSource(t, s.open.URL("quiet"), sourceOptions{silent: true})
	newSource(t, s.open.URL("bare"), sourceOptions{solo: true, bare: true})
	newSource(t, s.open.URL("bare265"), sourceOptions{solo: true, bare: true, hevc: true})
	newSource(t, s.brief.URL("live"), sourceOptions{})
	newSource(t, s.tight.URL("live"), sourceOptions{solo: true})
	newSource(t, s.secure.URL("live"), sourceOptions{})
	newSource(t, lab.With(s.locked.URL("live"), "encoder", "send"), sourceOptions{})
	return s
}

// tracks describes a stream and returns the URLs of its tracks.
func tracksOf(t *testing.T, c *lab.Raw, url string) []string {
	t.Helper()
	m := c.Want(200, "DESCRIBE", url, "Accept", "application/sdp")
	urls := m.Tracks()
	if len(urls) == 0 {
		t.Fatalf("no tracks in the description of %s:\n%s", url, m.Body)
	}
	return urls
}

// interleaved sets all tracks of a stream up on a connection, on the channels 0-1, 2-3 and so on, and returns their URLs.
func interleaved(t *testing.T, c *lab.Raw, url string) []string {
	t.Helper()
	urls := tracksOf(t, c, url)
	for i, u := range urls {
		m := c.Want(200, "SETUP", u, "Transport", fmt.Sprintf("RTP/AVP/TCP;unicast;interleaved=%d-%d", 2*i, 2*i+1))
		c.Session, _ = m.SessionID()
		if c.Session == "" {
			t.Fatalf("SETUP %s gives no session: %v", u, m.Header)
		}
	}
	return urls
}
