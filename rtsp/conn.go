package rtsp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"peergate/rtsp/delivery"
	"peergate/rtsp/wire"
)

const (
	// flushTime is how long a connection that the server closes stays open for the last answer to leave.
	flushTime = time.Second
	// maxUnread is after how many bytes of answers the client has to take them before more of its requests are read: one
	// that asks on and on without listening would make us keep all answers. With the longest description, of 64 KiB, it
	// stays below what a link takes.
	maxUnread = 32 << 10
)

// conn is a client's connection. One goroutine reads its messages and serves its requests one after another, so that
// answers come in their order; what is sent goes over the link.
type conn struct {
	srv           *Server
	id            uint64
	nc            net.Conn // as it was accepted: under TLS, the connection below
	remote, local netip.AddrPort
	secure        bool // over TLS
	link          *delivery.Link
	shown         chan struct{} // closed when it is known what it is for, and, of a POST, when its turn has come

	began   atomic.Int64 // when the message that is being read began, in Unix nanoseconds; 0 between messages
	heard   atomic.Int64 // when the last message ended
	halved  atomic.Bool  // the GET of a tunnel whose POST has not come
	posting atomic.Bool  // the POST of a tunnel
	useless atomic.Bool  // what it was for is over

	// The fields below belong to the goroutine that reads.
	tunnelled bool // requests come through an HTTP tunnel
	isShown   bool // shown is closed
	announced *announcement
	complaint string                // logged last
	unread    int                   // bytes of answers that the client may not have taken
	keys      map[string]*trackKeys // SRTP keys that were described, by URL of the track; nil until some were

	mu       sync.Mutex            // guards the fields below; taken inside a session's
	channels map[uint8]channel     // nil until one is set up
	sessions map[*session]struct{} // that were used over this connection; nil until one was
	post     *conn                 // the newest one of a tunnel; nil when it has ended
	closed   bool
}

// channel is an interleaved channel (RFC 2326 §10.12).
type channel struct {
	ses  *session
	leg  *leg
	rtcp bool
}

func newConn(s *Server, id uint64, nc net.Conn, remote, local netip.AddrPort) *conn {
	c := &conn{srv: s, id: id, nc: nc, remote: remote, local: local, shown: make(chan struct{})}
	c.heard.Store(time.Now().UnixNano())
	return c
}

// log returns a log that names the client. It is made when it is needed: most connections have nothing to tell.
func (c *conn) log() *slog.Logger { return c.srv.log.With("remote", c.remote.String()) }

// begin serves the connection until it ends.
func (c *conn) begin(ctx context.Context, secure *secureListener) {
	defer c.close()
	defer c.show()
	stream := c.nc
	if secure != nil {
		t, err := secure.handshake(ctx, c.nc, c.srv.settings().HeaderTimeout)
		if err != nil {
			c.srv.complaints.about(c.remote, "", "connection refused", err)
			return
		}
		stream, c.secure = t, true
	}
	link := c.srv.sender.Link(stream)
	defer link.Close()
	c.mu.Lock()
	c.link = link
	c.mu.Unlock()
	c.serve(ctx, wire.NewReader(stream, c.beginMessage))
	c.abandon()
	_ = c.flushFor(flushTime) // it ends in any case
}

func (c *conn) beginMessage() { c.began.Store(time.Now().UnixNano()) }

// serve reads and answers messages until the connection ends or framing is lost.
func (c *conn) serve(ctx context.Context, r *wire.Reader) {
	for {
		m, err := r.Read()
		now := time.Now()
		c.began.Store(0)
		c.heard.Store(now.UnixNano())
		if q, ok := m.(*wire.Request); !ok || q.Method != "POST" {
			c.show()
		}
		var fault *wire.Error
		switch {
		case errors.As(err, &fault):
			c.complain("", fault)
			if c.sendRefusal(fault) != nil || fault.Fatal {
				return
			}
			continue
		case err != nil:
			if err != io.EOF && !errors.Is(err, net.ErrClosed) {
				c.log().Debug("connection lost", "err", err)
			}
			return
		}
		switch m := m.(type) {
		case *wire.Frame:
			c.take(m, now)
		case *wire.Request:
			if strings.HasPrefix(m.Proto, "HTTP/") {
				c.serveHTTP(ctx, m, r)
				return
			}
			if !c.answer(ctx, m) {
				return
			}
		}
	}
}

// take hands an interleaved packet to its session; one that nobody has set up is ignored.
func (c *conn) take(f *wire.Frame, now time.Time) {
	c.mu.Lock()
	ch, ok := c.channels[f.Channel]
	c.mu.Unlock()
	if ok {
		ch.ses.take(ch.leg, ch.rtcp, f.Payload, now)
	}
}

// answer serves a request; false ends the connection.
func (c *conn) answer(ctx context.Context, m *wire.Request) bool {
	q := &request{Request: m, conn: c}
	a, err := q.serve(ctx)
	if err != nil {
		r := asRefusal(err)
		if !r.usual {
			c.complain(q.stream(), r)
		}
		a = r.response()
	}
	if a != nil {
		err = c.reply(q.finish(a))
	}
	return err == nil && !strings.EqualFold(m.Header.Get("Connection"), "close")
}

// reply sends an answer. When the client has many to take, it waits until it has.
func (c *conn) reply(b []byte) error {
	if err := c.send(b); err != nil {
		return err
	}
	if c.unread += len(b); c.unread <= maxUnread {
		return nil
	}
	c.unread = 0
	return c.flushFor(c.srv.settings().WriteTimeout)
}

// complain logs why a request was refused, but not the same again and again.
func (c *conn) complain(stream string, why error) {
	if text := shorten(why.Error()); text != c.complaint {
		c.complaint = text
		c.srv.complaints.about(c.remote, stream, "request refused", why)
	}
}

func (c *conn) send(b []byte) error { return c.link.Send(b) }

// sendRefusal answers a message that could not be read as a request.
func (c *conn) sendRefusal(e *wire.Error) error {
	q := &request{Request: &wire.Request{}, conn: c}
	if e.CSeq != "" {
		q.Header.Set("CSeq", e.CSeq)
	}
	return c.reply(q.finish(refuse(e.Status, "%s", e.Text).response()))
}

// attach notes that a session is used over this connection; false if that has ended.
func (c *conn) attach(ses *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if c.sessions == nil {
		c.sessions = make(map[*session]struct{}, 1)
	}
	c.sessions[ses] = struct{}{}
	return true
}

// detach forgets a session and its channels.
func (c *conn) detach(ses *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, ses)
	for n, ch := range c.channels {
		if ch.ses == ses {
			delete(c.channels, n)
		}
	}
}

// attached returns the sessions that are used over this connection.
func (c *conn) attached() []*session {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*session, 0, len(c.sessions))
	for ses := range c.sessions {
		all = append(all, ses)
	}
	return all
}

// abandon tells the sessions that the connection has ended.
func (c *conn) abandon() {
	c.mu.Lock()
	c.closed = true
	post := c.post
	c.mu.Unlock()
	if post != nil {
		post.close()
	}
	for _, ses := range c.attached() {
		ses.lose(c)
	}
}

// tick closes the connection when a message takes too long, or when nothing is done over it.
func (c *conn) tick(now time.Time) {
	set := c.srv.settings()
	since := func(t *atomic.Int64) time.Duration { return now.Sub(time.Unix(0, t.Load())) }
	switch {
	case c.began.Load() != 0 && since(&c.began) > set.HeaderTimeout:
		c.srv.complaints.about(c.remote, "", "connection closed", errSlow)
	case c.posting.Load(): // its GET knows
		return
	case c.halved.Load() && since(&c.heard) > set.HeaderTimeout:
		c.srv.complaints.about(c.remote, "", "connection closed", errNoPost)
	case c.useless.Load() && len(c.attached()) == 0:
	case since(&c.heard) > set.SessionTimeout && len(c.attached()) == 0:
		c.log().Debug("connection closed", "err", "nothing is done over it")
	default:
		return
	}
	c.close()
}

// flush waits until all that was sent has left, or ctx ends.
func (c *conn) flush(ctx context.Context) error {
	c.mu.Lock()
	link := c.link
	c.mu.Unlock()
	if link == nil {
		return nil
	}
	return link.Flush(ctx)
}

func (c *conn) flushFor(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return c.flush(ctx)
}

// close closes the connection; reading it ends.
func (c *conn) close() { c.nc.Close() }
