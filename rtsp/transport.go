package rtsp

import (
	"net/netip"
	"strings"

	"peergate/rtsp/delivery"
	"peergate/rtsp/wire"
)

// leg is a track that was set up, and the way of its packets.
type leg struct {
	track    int     // of the stream, or of the announcement
	url      string  // of SETUP, for RTP-Info
	resource string  // likewise, without scheme and host
	seal     *sealer // of a player with SRTP, else nil

	// Over UDP:
	pair      *pair          // of the server
	rtp, rtcp netip.AddrPort // of the client

	// Interleaved:
	conn        *conn // nil over UDP
	channel     uint8
	rtcpChannel uint8

	group *group // of the stream's multicast; nil when unicast

	intake *intake // of a publisher's track
}

// isURL reports whether a URL is that of the track and not that of the stream.
func (l *leg) isURL(u *wire.URL) bool {
	if u.Track >= 0 && l.intake == nil {
		return u.Track == l.track
	}
	return resource(u) == l.resource && l.intake != nil
}

// resource returns a URL without scheme, host and final slash.
func resource(u *wire.URL) string {
	r := u.Text
	if u.Host != "" {
		_, r, _ = strings.Cut(r, "://")
		_, r, _ = strings.Cut(r, "/")
	}
	return strings.Trim(r, "/")
}

// release gives back the leg's ports and channels.
func (l *leg) release(srv *Server) {
	if l.pair != nil {
		srv.ports.release(l)
	}
	if l.conn != nil {
		l.conn.release(l)
	}
}

// choose returns the leg and the answer for the first alternative that can be served, or nil.
func (q *request) choose(ses *session, track int, mode string) (*leg, wire.Transport) {
	for _, t := range wire.ParseTransports(q.Header.Values("Transport")) {
		if t.Mode == "RECORD" && ses.announce == nil { // nothing was announced
			continue
		}
		l := &leg{track: track, url: q.trackURL(), resource: resource(q.url)}
		if ses.announce != nil {
			l.intake = newIntake(&ses.announce.desc.Tracks[track], ses.log())
		}
		if !q.secureTransport(l, &t) {
			continue
		}
		if !q.route(ses, l, &t) || !ses.agrees(l) {
			l.release(q.conn.srv)
			continue
		}
		t.Mode, t.Append, t.HasSSRC = mode, false, false
		if ses.stream != nil {
			t.SSRC = ses.stream.SSRC(track)
			t.HasSSRC = t.SSRC != 0
		}
		return l, t
	}
	return nil, wire.Transport{}
}

// agrees reports whether a leg goes the way that those of other tracks go: all over UDP, or all over one connection.
func (ses *session) agrees(l *leg) bool {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	for _, o := range ses.legs {
		if o.track != l.track && (o.conn != l.conn || o.group != l.group) {
			return false
		}
	}
	return true
}

// route finds the way of a leg's packets.
func (q *request) route(ses *session, l *leg, t *wire.Transport) bool {
	switch {
	case t.Multicast:
		return q.routeMulticast(ses, l, t)
	case t.TCP:
		return q.interleave(ses, l, t)
	}
	return q.routeUDP(l, t)
}

// interleave finds channels on the client's connection: those it asks for, or else the first free ones.
func (q *request) interleave(ses *session, l *leg, t *wire.Transport) bool {
	l.conn = q.conn
	want := -1
	if t.Interleaved != nil {
		if t.Interleaved.Second <= t.Interleaved.First {
			return false
		}
		want = t.Interleaved.First
		if t.Interleaved.Second != want+1 {
			return false
		}
	}
	first, ok := q.conn.reserve(ses, l, want)
	if !ok {
		return false
	}
	l.channel, l.rtcpChannel = first, first+1
	t.Interleaved = &wire.Pair{First: int(first), Second: int(first) + 1}
	t.Client, t.Server, t.Port, t.Destination, t.Source = nil, nil, nil, "", ""
	return true
}

// reserve gives two channels to a leg: the wanted ones unless another track has them. Its track's own it may have again.
func (c *conn) reserve(ses *session, l *leg, want int) (first uint8, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	free := func(n int) bool {
		for _, k := range []int{n, n + 1} {
			if ch, ok := c.channels[uint8(k)]; ok && (ch.ses != ses || ch.leg.track != l.track) {
				return false
			}
		}
		return true
	}
	n := want
	if n < 0 || !free(n) {
		for n = 0; n < 255 && !free(n); n += 2 {
		}
	}
	if n >= 255 {
		return 0, false
	}
	if c.channels == nil {
		c.channels = make(map[uint8]channel, 4)
	}
	c.channels[uint8(n)] = channel{ses, l, false}
	c.channels[uint8(n+1)] = channel{ses, l, true}
	return uint8(n), true
}

// release takes the channels of a leg back.
func (c *conn) release(l *leg) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n, ch := range c.channels {
		if ch.leg == l {
			delete(c.channels, n)
		}
	}
}

// routeUDP sends to the client's ports, and to no other host: a server that did would be a weapon. Over a secure
// connection only sealed packets may leave beside it, and through a tunnel none would arrive.
func (q *request) routeUDP(l *leg, t *wire.Transport) bool {
	p := q.conn.srv.socketsNow()[family(q.conn.remote.Addr())]
	if p == nil || t.Client == nil || t.Client.Second <= t.Client.First || q.conn.tunnelled || q.conn.secure && l.seal == nil {
		return false
	}
	host := q.conn.remote.Addr()
	if t.Destination != "" {
		if a, err := netip.ParseAddr(t.Destination); err != nil || a.Unmap() != host.WithZone("") {
			return false
		}
	}
	l.pair = p
	l.rtp = netip.AddrPortFrom(host, uint16(t.Client.First))
	l.rtcp = netip.AddrPortFrom(host, uint16(t.Client.Second))
	rtp, rtcp := p.numbers()
	t.Server = &wire.Pair{First: rtp, Second: rtcp}
	t.Interleaved, t.Port, t.Source = nil, nil, ""
	return true
}

// outlet returns the way of a leg as delivery wants it.
func (l *leg) outlet(c *conn) delivery.Outlet {
	o := delivery.Outlet{Track: l.track}
	if l.seal != nil {
		o.Seal = l.seal
	}
	if l.conn != nil {
		o.Link, o.RTPChannel, o.RTCPChannel = l.conn.link, l.channel, l.rtcpChannel
		return o
	}
	o.RTP, o.RTCP, o.RTPAddr, o.RTCPAddr = l.pair.rtp, l.pair.rtcp, l.rtp, l.rtcp
	o.Source = c.local.Addr()
	return o
}

// trackURL returns the absolute URL of SETUP, as RTP-Info has it (RFC 2326 §12.33).
func (q *request) trackURL() string {
	if q.url.Host != "" {
		return q.url.Text
	}
	return "rtsp://" + q.conn.local.String() + q.url.Text
}

func (s *Server) socketsNow() sockets {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sockets
}
