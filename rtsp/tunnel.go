package rtsp

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"peergate/rtsp/wire"
)

// tunnelType is the media type of RTSP over HTTP.
const tunnelType = "application/x-rtsp-tunnelled"

// handover is how long a new POST waits for the end of the one before, whose bytes come first; after that the old one is
// taken for dead. A tunnel whose GET the client has ended gets as long for the rest of its POST.
const handover = time.Second

// maxCookie bounds the name of a tunnel in bytes; clients use 15 to 24.
const maxCookie = 256

// tunnel is RTSP over HTTP as QuickTime made it, for clients that are let out to the web alone. What the server sends
// comes as the endless answer to a GET; what the client sends is, in base64, the endless body of a POST with the same
// x-sessioncookie, which is never answered. The client may end the POST and make another.
//
//	client ──GET──► conn, serves the requests     ◄─ pipe ◄─ base64 ─◄ POST ── client
//	       ◄──────── answers, packets
type tunnel struct {
	down *conn // of the GET
	in   *io.PipeReader
	feed *io.PipeWriter

	turn   chan struct{} // holds a token while a POST is read; it guards the field below
	decode base64Reader  // goes on from one POST to the next
}

// tunnelKey names a tunnel: no other host can take a client's cookie, or find out that it is in use.
type tunnelKey struct {
	client netip.Addr
	secure bool
	cookie string
}

// serveHTTP serves the one HTTP request of a connection.
func (c *conn) serveHTTP(ctx context.Context, m *wire.Request, r *wire.Reader) {
	cookie := m.Header.Get("x-sessioncookie")
	switch {
	case cookie == "" || len(cookie) > maxCookie:
		c.refuseHTTP(m, 400, "this port speaks RTSP: open rtsp:// instead of http://")
	case c.tunnelled:
		c.refuseHTTP(m, 400, "a tunnel in a tunnel")
	case m.Method == "GET":
		c.serveGet(ctx, m, r, tunnelKey{c.remote.Addr(), c.secure, cookie})
	case m.Method == "POST":
		c.servePost(ctx, m, r, tunnelKey{c.remote.Addr(), c.secure, cookie})
	default:
		c.refuseHTTP(m, 405, "a tunnel is made of GET and POST")
	}
}

// httpAnswer begins an answer of the tunnel.
func httpAnswer(m *wire.Request, status int) *wire.Response {
	a := &wire.Response{Proto: m.Proto, Status: status}
	a.Header.Add("Server", serverName)
	a.Header.Add("Connection", "close")
	a.Header.Add("Date", date())
	a.Header.Add("Cache-Control", "no-store")
	a.Header.Add("Pragma", "no-cache")
	return a
}

func (c *conn) refuseHTTP(m *wire.Request, status int, text string) {
	c.srv.complaints.about(c.remote, "", "request refused", errors.New(text))
	a := httpAnswer(m, status)
	if status == 405 {
		a.Header.Add("Allow", "GET, POST")
	}
	a.Header.Add("Content-Type", "text/plain; charset=utf-8")
	a.Body = []byte(text + "\r\n")
	_ = c.send(a.Append(nil)) // the connection ends in any case
}

// serveGet serves the requests that come through the tunnel until one of both ends.
func (c *conn) serveGet(ctx context.Context, m *wire.Request, r *wire.Reader, key tunnelKey) {
	t := &tunnel{down: c, turn: make(chan struct{}, 1)}
	t.in, t.feed = io.Pipe()
	if !c.srv.addTunnel(key, t) {
		c.refuseHTTP(m, 400, "this x-sessioncookie is in use")
		return
	}
	defer c.srv.dropTunnel(key)
	c.tunnelled = true
	c.halved.Store(true)
	a := httpAnswer(m, 200)
	a.Header.Add("Content-Type", tunnelType)
	if c.send(a.Append(nil)) != nil {
		return
	}
	var g errgroup.Group
	over := make(chan struct{})
	g.Go(func() error { // the client says nothing more here, but ends it
		_, err := io.Copy(io.Discard, r.Buffered())
		if err == nil { // its TEARDOWN may still be on the way: GStreamer 1.22 ends the GET first, over TLS
			select {
			case <-over:
			case <-time.After(handover):
			}
		}
		return t.feed.CloseWithError(err) // nil is io.EOF
	})
	c.serve(ctx, wire.NewReader(t.in, c.beginMessage))
	close(over)
	t.in.Close() // a POST ends
	c.abandon()
	_ = c.flushFor(flushTime) // it ends in any case
	c.close()                 // and the goroutine
	_ = g.Wait()
}

// servePost takes what the client sends until it ends the POST or its tunnel has ended. Content-Length is not heeded:
// ffmpeg, VLC and GStreamer promise 32767 bytes and send on.
func (c *conn) servePost(ctx context.Context, m *wire.Request, r *wire.Reader, key tunnelKey) {
	t := c.srv.tunnel(key)
	if t == nil {
		c.refuseHTTP(m, 404, "no GET with this x-sessioncookie has come before")
		return
	}
	c.posting.Store(true)
	if first := t.down.halved.Swap(false); !first {
		c.waitForOlder(ctx)
	}
	if !t.begin(ctx, c) {
		return
	}
	defer t.end(c)
	c.show()
	t.decode.from = r.Buffered()
	_, err := io.Copy(t.feed, &t.decode)
	if err != nil && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, net.ErrClosed) {
		c.log().Debug("connection lost", "err", err)
	}
}

// waitForOlder waits until the connections of the same host that were accepted before this one have shown what they are
// for: one of them may be an earlier POST of the tunnel, whose bytes come first, though its goroutine runs later. One that
// says nothing is not waited for longer than an old POST.
func (c *conn) waitForOlder(ctx context.Context) {
	late := time.NewTimer(handover)
	defer late.Stop()
	for _, o := range c.srv.allConns() {
		if o.id >= c.id || o.remote.Addr() != c.remote.Addr() {
			continue
		}
		select {
		case <-o.shown:
		case <-late.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// show tells those who wait that it is known what the connection is for.
func (c *conn) show() {
	if !c.isShown {
		c.isShown = true
		close(c.shown)
	}
}

// begin waits until a POST is the one to be read; false when the tunnel has ended.
func (t *tunnel) begin(ctx context.Context, post *conn) bool {
	d := t.down
	d.mu.Lock()
	closed := d.closed
	before := d.post
	d.post = post
	d.mu.Unlock()
	if closed {
		return false
	}
	if before != nil {
		timer := time.AfterFunc(handover, before.close)
		defer timer.Stop()
	}
	select {
	case t.turn <- struct{}{}:
		t.decode.err = nil
		return true
	case <-ctx.Done():
		return false
	}
}

// end lets the next POST be read.
func (t *tunnel) end(post *conn) {
	d := t.down
	d.mu.Lock()
	if d.post == post {
		d.post = nil
	}
	d.mu.Unlock()
	<-t.turn
}

func (s *Server) addTunnel(key tunnelKey, t *tunnel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tunnels[key] != nil {
		return false
	}
	s.tunnels[key] = t
	return true
}

func (s *Server) dropTunnel(key tunnelKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tunnels, key)
}

func (s *Server) tunnel(key tunnelKey) *tunnel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tunnels[key]
}

// base64Reader decodes base64 as it comes: each request may have been encoded by itself, so that padding stands
// anywhere, and lines may be of any length.
type base64Reader struct {
	from io.Reader
	raw  [1024]byte
	quad [4]byte // characters of the group that has begun
	n    int     // how many
	out  []byte  // decoded, not read yet
	err  error   // when out has been read
	buf  [1024]byte
}

// Read implements io.Reader.
func (r *base64Reader) Read(b []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		var n int
		n, r.err = r.from.Read(r.raw[:])
		r.out = r.buf[:0]
		for _, ch := range r.raw[:n] {
			if err := r.take(ch); err != nil {
				r.err = err
				break
			}
		}
	}
	n := copy(b, r.out)
	r.out = r.out[n:]
	return n, nil
}

// take takes one character.
func (r *base64Reader) take(ch byte) error {
	if ch == '\r' || ch == '\n' || ch == ' ' || ch == '\t' {
		return nil
	}
	r.quad[r.n] = ch
	if r.n++; r.n < len(r.quad) {
		return nil
	}
	r.n = 0
	var dst [3]byte
	n, err := base64.StdEncoding.Decode(dst[:], r.quad[:])
	if err != nil {
		return errors.New("tunnel: " + strings.TrimSpace(err.Error()))
	}
	r.out = append(r.out, dst[:n]...)
	return nil
}
