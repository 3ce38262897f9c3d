package rtsp

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"peergate/media"
	"peergate/rtsp/auth"
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

// setup serves SETUP (RFC 2326 §10.4).
func (q *request) setup(ctx context.Context) (*wire.Response, error) {
	if !q.Header.Has("Transport") {
		return nil, refuse(400, "the Transport header is missing")
	}
	if ses := q.ses; ses != nil {
		ses.mu.Lock()
		st := ses.state
		ses.mu.Unlock()
		if st != ready {
			return nil, st.wrong(q.Method, ses.announce != nil)
		}
	}
	if an := q.announcement(); an != nil {
		return q.setupPublisher(an)
	}
	return q.setupPlayer(ctx)
}

// setupPlayer sets a track of a stream up for playing.
func (q *request) setupPlayer(ctx context.Context) (*wire.Response, error) {
	name, err := q.name()
	if err != nil {
		return nil, err
	}
	user, err := q.allow(ctx, auth.Read, name)
	if err != nil {
		return nil, err
	}
	if q.ses != nil && (q.ses.name != name || q.ses.announce != nil) {
		return nil, refuse(459, "the session is of %s", q.ses.name)
	}
	var st *media.Stream
	if q.ses != nil {
		st = q.ses.stream
	} else if st, err = q.open(ctx, name); err != nil {
		return nil, err
	}
	n := len(st.Tracks())
	track := q.url.Track
	switch {
	case track < 0 && n > 1:
		return nil, refuse(459, "%s has %d tracks: set each up by the URL of its a=control", name, n)
	case track < 0:
		track = 0
	case track >= n:
		return nil, refuse(404, "%s has %d tracks, there is no track %d", name, n, track)
	}
	ses := q.ses
	if ses == nil {
		ses = newSession(q.conn, name, user)
		ses.stream = st
	}
	return q.settle(ses, track, "PLAY")
}

// settle chooses a transport for a track and adds it to the session, which begins if it is new.
func (q *request) settle(ses *session, track int, mode string) (*wire.Response, error) {
	l, t := q.choose(ses, track, mode)
	if l == nil {
		return nil, refuse(461, "no transport of %q can be had here", strings.Join(q.Header.Values("Transport"), ", "))
	}
	if q.ses == nil {
		if err := q.conn.srv.enter(ses); err != nil {
			l.release(q.conn.srv)
			return nil, err
		}
	}
	if !q.conn.attach(ses) || !ses.settle(l) {
		l.release(q.conn.srv)
		ses.end(errConnection)
		return nil, refuse(454, "the session has ended")
	}
	q.ses = ses
	if l.seal != nil {
		delete(q.conn.keys, q.keyName(track))
	}
	a := &wire.Response{Status: 200}
	a.Header.Add("Transport", t.String())
	return a, nil
}

// settle takes a leg in, in the place of one that the track has. A player that exists is made anew by the next PLAY.
func (ses *session) settle(l *leg) bool {
	if l.pair != nil {
		ses.srv.ports.claim(ses, l)
	}
	old, player, ok := ses.replace(l)
	if player != nil {
		player.Close(false)
	}
	if old != nil {
		old.release(ses.srv)
	}
	return ok
}

// replace puts a leg into the list; it returns the one it replaces and a player that does not know the new one.
func (ses *session) replace(l *leg) (old *leg, player sending, ok bool) {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if ses.ended {
		return nil, nil, false
	}
	player, ses.player = ses.player, nil
	legs := slices.Clone(ses.legs) // others read the list without the lock
	i := slices.IndexFunc(legs, func(o *leg) bool { return o.track == l.track })
	if i < 0 {
		ses.legs = append(legs, l)
		return nil, player, true
	}
	old, legs[i] = legs[i], l
	ses.legs = legs
	return old, player, true
}

// choose returns the leg and the answer for the first alternative that can be served, or nil.
func (q *request) choose(ses *session, track int, mode string) (*leg, wire.Transport) {
	for _, t := range wire.ParseTransports(q.Header.Values("Transport")) {
		if t.Mode == "RECORD" && ses.announce == nil { // nothing was announced
			continue
		}
		l := &leg{track: track, url: q.trackURL(), resource: resource(q.url)}
		if ses.announce != nil {
			l.intake = newIntake(&ses.announce.desc.Tracks[track], ses.log)
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
