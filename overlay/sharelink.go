package overlay

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"peergate/media"
	"peergate/overlay/p2p"
)

const (
	linkScheme = "peergate"
	// maxLink bounds a link in bytes; what is longer cannot be told from garbage, and fits into no QR code.
	maxLink = 2900
	// maxVia bounds the addresses of a link: a gateway has about four, and a few others may help.
	maxVia = 16
)

// ShareLink is all that a stranger needs to have a channel, and is written as
//
//	peergate://OWNER/NAME?via=ADDRESS&via=ADDRESS&ticket=TICKET
type ShareLink struct {
	Owner  p2p.ID
	Name   media.Name // at the owner
	Via    []string   // where to ask for it: addresses of the owner, or of another gateway when they end in /p2p/ID
	Ticket string     // the owner's leave, opaque here; "" when none is needed
}

// ParseShareLink reads a link.
func ParseShareLink(s string) (ShareLink, error) {
	l, err := parseShareLink(strings.TrimSpace(s))
	if err != nil {
		return ShareLink{}, fmt.Errorf("link %q: %w", clip(s), err)
	}
	return l, nil
}

func parseShareLink(s string) (ShareLink, error) {
	if len(s) > maxLink {
		return ShareLink{}, fmt.Errorf("has %d bytes, at most %d are allowed", len(s), maxLink)
	}
	u, err := url.Parse(s)
	if err != nil {
		return ShareLink{}, errors.Unwrap(err) // without the link, which the caller tells
	}
	if u.Scheme != linkScheme || u.User != nil || u.Fragment != "" {
		return ShareLink{}, errors.New("is not of the form peergate://OWNER/NAME?via=ADDRESS")
	}
	l := ShareLink{}
	if l.Owner, err = p2p.ParseID(u.Host); err != nil {
		return ShareLink{}, err
	}
	if l.Name, err = media.ParseName(strings.TrimPrefix(u.Path, "/")); err != nil {
		return ShareLink{}, err
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return ShareLink{}, err
	}
	l.Via, l.Ticket = q["via"], q.Get("ticket") // what a later version adds is skipped
	if len(l.Via) > maxVia {
		return ShareLink{}, fmt.Errorf("has %d addresses, at most %d are allowed", len(l.Via), maxVia)
	}
	for _, via := range l.Via {
		if _, _, err := l.dial(via); err != nil {
			return ShareLink{}, err
		}
	}
	if n := len(l.String()); n > maxLink {
		return ShareLink{}, fmt.Errorf("has %d bytes when it is written as usual, at most %d are allowed", n, maxLink)
	}
	return l, nil
}

// Path returns the name under which players have the channel here, when this is the owner's petname, or "".
func (l *ShareLink) Path(petname string) string {
	return cmp.Or(petname, string(l.Owner)) + "/" + string(l.Name)
}

// Addresses returns where the link says that the owner itself is.
func (l *ShareLink) Addresses() (all []string) {
	for _, via := range l.Via {
		if id, addrs, err := l.dial(via); err == nil && id == l.Owner {
			all = append(all, addrs...)
		}
	}
	return all
}

// dial returns the gateway that an address of the link is of, and the forms in which it can be dialled.
func (l *ShareLink) dial(via string) (p2p.ID, []string, error) {
	id := l.Owner
	// A relay's ID in the midst of an address is no gateway that has the channel.
	if i := strings.LastIndex(via, "/p2p/"); i >= 0 && !strings.HasSuffix(via, "/p2p-circuit") {
		var err error
		if id, err = p2p.ParseID(via[i+len("/p2p/"):]); err != nil {
			return "", nil, err
		}
		via = via[:i]
	}
	addrs, err := p2p.ParseAddrs(via)
	return id, addrs, err
}

// readable undoes what the escaping of a query does to addresses without need (RFC 3986 §3.4).
var readable = strings.NewReplacer("%2F", "/", "%3A", ":")

// String returns the link as text.
func (l ShareLink) String() string {
	u := url.URL{Scheme: linkScheme, Host: string(l.Owner), Path: "/" + string(l.Name)}
	var q []string
	for _, via := range l.Via {
		q = append(q, "via="+readable.Replace(url.QueryEscape(via)))
	}
	if l.Ticket != "" {
		q = append(q, "ticket="+url.QueryEscape(l.Ticket))
	}
	u.RawQuery = strings.Join(q, "&")
	return u.String()
}
