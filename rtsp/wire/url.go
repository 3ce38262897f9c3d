package wire

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// URL is the target of a request. Players build the URLs of tracks from what DESCRIBE gave them, so the text stays as
// it was written.
type URL struct {
	All   bool   // "*": the server itself
	Text  string // as written, without user and fragment
	Base  string // as written, without user, track control and final slash, but with the query
	Host  string // as written, with its port; "" of a path
	Path  string // decoded, without slashes at its ends and without the control
	Query string // as written, without the question mark
	Track int    // number of the control "trackID=N", or -1

	prefix, rawPath string // what Base is made of
}

// control precedes the number of a track in its URL.
const control = "trackID="

// Control returns the URL, relative to a description's base, under which a track is set up.
func Control(track int) string { return control + strconv.Itoa(track) }

// TrackURL returns the URL of a track; it is absolute if the URL is.
func (u *URL) TrackURL(track int) string { return u.Base + "/" + Control(track) }

// ContentBase returns what a description's relative URLs refer to. A query stands behind a slash, so that clients that
// resolve "trackID=0" by RFC 3986 (GStreamer) get rtsp://host/path/trackID=0, and those that append it (live555,
// ffmpeg) get rtsp://host/path/?query/trackID=0: ParseURL understands both.
func (u *URL) ContentBase() string {
	if u.Query == "" {
		return u.Base + "/"
	}
	return u.prefix + u.rawPath + "/?" + u.Query + "/"
}

// ParseURL reads an absolute URL, a path or "*". A control may follow the path or, as ffmpeg, VLC and GStreamer append
// it to a URL with a query, the query. The host is checked but never looked up.
func ParseURL(s string) (*URL, error) {
	if s == "*" {
		return &URL{All: true, Text: s, Track: -1}, nil
	}
	u := &URL{Track: -1}
	rest, err := u.cutHost(s)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(rest, isControl) {
		return nil, fmt.Errorf("URL %q: has a space or a control character", clip(s))
	}
	rest, _, _ = strings.Cut(rest, "#")
	u.Text = u.prefix + rest
	path, query, _ := strings.Cut(rest, "?")
	query = strings.TrimRight(u.cutControl(query), "/")
	if u.Track < 0 {
		path = u.cutControl(path)
	}
	path = strings.TrimRight(path, "/")
	u.rawPath, u.Query, u.Base = path, query, u.prefix+path
	switch {
	case query == "":
	case u.Base == "": // the root needs its slash for the rest to be a path
		u.Base = "/?" + query
	default:
		u.Base += "?" + query
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return nil, fmt.Errorf("URL %q: a percent sign is not followed by two hexadecimal digits", clip(s))
	}
	u.Path = strings.Trim(decoded, "/")
	for seg := range strings.SplitSeq(u.Path, "/") {
		if seg == ".." || seg == "." {
			return nil, fmt.Errorf("URL %q: has a %q in its path", clip(s), seg)
		}
	}
	return u, nil
}

// cutControl takes a final "/trackID=N" off.
func (u *URL) cutControl(s string) string {
	t := strings.TrimSuffix(s, "/")
	i := strings.LastIndexByte(t, '/')
	num, ok := strings.CutPrefix(t[i+1:], control)
	if !ok {
		return s
	}
	n, err := strconv.ParseUint(num, 10, 8)
	if err != nil || num != strconv.FormatUint(n, 10) {
		return s
	}
	u.Track = int(n)
	return t[:max(i, 0)]
}

// cutHost takes scheme, user and host of an absolute URL off; a path it returns as it is.
func (u *URL) cutHost(s string) (rest string, err error) {
	if strings.HasPrefix(s, "/") {
		return s, nil
	}
	scheme, after, ok := strings.Cut(s, "://")
	switch strings.ToLower(scheme) {
	case "rtsp", "rtsps", "rtspu":
	default:
		ok = false
	}
	if !ok {
		return "", fmt.Errorf("URL %q: must begin with rtsp:// or rtsps://", clip(s))
	}
	end := strings.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	u.Host = after[:end]
	u.Host = u.Host[strings.LastIndexByte(u.Host, '@')+1:]
	if err := checkHost(u.Host); err != nil {
		return "", fmt.Errorf("URL %q: %w", clip(s), err)
	}
	u.prefix = scheme + "://" + u.Host
	return after[end:], nil
}

// checkHost checks host, host:port, [v6] and [v6]:port.
func checkHost(h string) error {
	name, port := h, ""
	if inner, ok := strings.CutPrefix(h, "["); ok {
		addr, rest, ok := strings.Cut(inner, "]")
		// A zone has its percent sign encoded (RFC 6874), or, as most write it, not.
		addr = strings.Replace(addr, "%25", "%", 1)
		if a, err := netip.ParseAddr(addr); !ok || err != nil || !a.Is6() || strings.ContainsFunc(addr, isControl) {
			return errors.New("the IPv6 address is malformed")
		}
		if rest != "" && rest[0] != ':' {
			return errors.New("the host is malformed")
		}
		port = rest
	} else if i := strings.IndexByte(h, ':'); i >= 0 {
		name, port = h[:i], h[i:]
	}
	if name == "" || name == h && strings.ContainsFunc(name, isControl) || strings.ContainsAny(name, "\\\"<>^`{|} ") {
		return errors.New("the host is malformed")
	}
	if port == "" || port == ":" {
		return nil
	}
	if n, err := strconv.ParseUint(port[1:], 10, 16); err != nil || n == 0 {
		return errors.New("the port is not a number of 1 to 65535")
	}
	return nil
}
