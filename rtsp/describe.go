package rtsp

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"peergate/media"
	"peergate/rtsp/auth"
	"peergate/rtsp/wire"
)

// sdpType is the one media type in which streams are described.
const sdpType = "application/sdp"

// describe serves DESCRIBE (RFC 2326 §10.2).
func (q *request) describe(ctx context.Context) (*wire.Response, error) {
	if !q.Header.Accepts(sdpType) {
		r := refuse(406, "a stream is described as %s alone", sdpType)
		r.header.Add("Accept", sdpType)
		return nil, r
	}
	name, err := q.name()
	if err != nil {
		return nil, err
	}
	if _, err := q.allow(ctx, auth.Read, name); err != nil {
		return nil, err
	}
	st, err := q.open(ctx, name)
	if err != nil {
		return nil, err
	}
	tracks := describedTracks(ctx, st)
	a := &wire.Response{Status: 200}
	a.Header.Add("Content-Type", sdpType)
	a.Header.Add("Content-Base", q.contentBase())
	a.Header.Add("Cache-Control", "no-cache")
	a.Body = q.description(st, tracks)
	return a, nil
}

// open returns a stream, which may have to be fetched first.
func (q *request) open(ctx context.Context, name media.Name) (*media.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, q.conn.srv.settings().OpenTimeout)
	defer cancel()
	st, err := q.conn.srv.hub.Open(ctx, name)
	if err != nil {
		return nil, unavailable(err)
	}
	return st, nil
}

// contentBase returns the absolute URL to which the tracks' are relative.
func (q *request) contentBase() string {
	base := q.url.ContentBase()
	if q.url.Host == "" {
		base = "rtsp://" + q.conn.local.String() + base
	}
	return base
}

// description writes the SDP of a stream (RFC 8866, RFC 2326 §C): the media sections as the publisher wrote them.
func (q *request) description(st *media.Stream, tracks []media.Track) []byte {
	var sb strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&sb, format+"\r\n", args...) }
	local := q.conn.local.Addr().WithZone("")
	id, version := q.conn.srv.versions.of(st, tracks)
	line("v=0")
	line("o=- %d %d IN %s %s", id, version, addrType(local), local)
	line("s=%s", st.Name())
	line("c=IN %s %s", addrType(local), unspecified(local))
	line("t=0 0")
	line("a=tool:%s", serverName)
	line("a=control:*")
	line("a=range:npt=now-")
	for i := range tracks {
		keys := q.offerKeys(i)
		for n, l := range tracks[i].Lines {
			if n == 0 && keys != nil {
				l = keys.profile(l)
			}
			line("%s", l)
		}
		line("a=control:%s", wire.Control(i))
		if keys != nil {
			line("%s", keys.attribute())
		}
	}
	return []byte(sb.String())
}

func addrType(a netip.Addr) string {
	if a.Is4() {
		return "IP4"
	}
	return "IP6"
}

// unspecified is the address of a description whose client says where packets go (RFC 2326 §C.1.7).
func unspecified(a netip.Addr) string {
	if a.Is4() {
		return "0.0.0.0"
	}
	return "::"
}
