package rtsp

import (
	"net"
	"net/url"
	"strings"

	"peergate/media"
	"peergate/rtsp/wire"
)

// redirect refuses a request about a stream that is elsewhere, by 302 (RFC 2326 §11.2).
func (q *request) redirect(name media.Name) error {
	redirects := q.conn.srv.settings().names.redirects
	to, ok := redirects[name]
	if !ok {
		return nil
	}
	// A redirect to this very gateway may lead to another one, and so back to where it began.
	for next, n := to, 0; ok && q.isHere(next); n++ {
		u, err := wire.ParseURL(next)
		if err != nil || n == len(redirects) {
			return refuse(500, "the redirect of %s leads back to itself", name)
		}
		next, ok = redirects[media.Name(u.Path)]
	}
	r := refuse(302, "%s is at %s", name, to)
	r.usual = true
	r.header.Add("Location", to)
	return r
}

// isHere reports whether a URL leads to where the request came to.
func (q *request) isHere(to string) bool {
	u, err := url.Parse(to)
	if err != nil {
		return false
	}
	host := hostPort(u.Host, u.Scheme)
	return host == q.conn.local.String() || q.url.Host != "" && strings.EqualFold(host, hostPort(q.url.Host, "rtsp"))
}

// hostPort returns a URL's host with its port, 554 or 322 when it has none (RFC 7826 §4.2).
func hostPort(host, scheme string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	if scheme == "rtsps" {
		return net.JoinHostPort(strings.Trim(host, "[]"), "322")
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), "554")
}
