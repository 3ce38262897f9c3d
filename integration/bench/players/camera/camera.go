//go:build linux

package camera

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// answerWithin is how long a server may take to answer, on a machine with more work than cores.
const answerWithin = 20 * time.Second

// Camera publishes a stream over RTSP, interleaved.
type Camera struct {
	host, url string
	format    Format
	live      chan struct{} // closed when it publishes
	sent      atomic.Uint32 // number of the next packet
}

// New returns a camera that publishes a name at host:port when it runs.
func New(host, name string, f Format) *Camera {
	return &Camera{host: host, url: "rtsp://" + host + "/" + name, format: f, live: make(chan struct{})}
}

// URL is where players find the stream.
func (c *Camera) URL() string { return c.url }

// Live is closed when the camera publishes.
func (c *Camera) Live() <-chan struct{} { return c.live }

// Sent returns the number of the next packet.
func (c *Camera) Sent() uint32 { return c.sent.Load() }

// Run publishes until ctx ends and then returns nil.
func (c *Camera) Run(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.host)
	if err != nil {
		return fmt.Errorf("publish to %s: %w", c.url, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		r := bufio.NewReader(conn)
		if err := c.record(conn, r); err != nil {
			return err
		}
		close(c.live)
		g.Go(func() error { // receiver reports and the like
			_, err := io.Copy(io.Discard, r)
			return errors.Join(err, errors.New("the server hung up"))
		})
		return c.film(gctx, conn)
	})
	err = g.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("publish to %s: %w", c.url, err)
}

// record makes the server ready to take packets.
func (c *Camera) record(conn net.Conn, r *bufio.Reader) error {
	if err := conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	var session string
	for i, q := range []struct{ method, url, header, body string }{
		{"ANNOUNCE", c.url, "Content-Type: application/sdp\r\n", SDP},
		{"SETUP", c.url + "/track0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\r\n", ""},
		{"RECORD", c.url, "Range: npt=0.000-\r\n", ""},
	} {
		_, err := fmt.Fprintf(conn, "%s %s RTSP/1.0\r\nCSeq: %d\r\n%s%sContent-Length: %d\r\n\r\n%s",
			q.method, q.url, i+1, session, q.header, len(q.body), q.body)
		if err != nil {
			return err
		}
		h, err := answer(r)
		if err != nil {
			return fmt.Errorf("%s: %w", q.method, err)
		}
		if id, _, _ := strings.Cut(h.Get("Session"), ";"); id != "" {
			session = "Session: " + id + "\r\n"
		}
	}
	return conn.SetDeadline(time.Time{})
}

// answer reads an answer without a body; anything but 200 is an error.
func answer(r *bufio.Reader) (textproto.MIMEHeader, error) {
	tp := textproto.NewReader(r)
	line, err := tp.ReadLine()
	if err != nil {
		return nil, err
	}
	h, err := tp.ReadMIMEHeader()
	if err != nil {
		return nil, err
	}
	if f := strings.Fields(line); len(f) < 2 || f[1] != "200" {
		return nil, fmt.Errorf("the answer is %q", line)
	}
	return h, nil
}

// film sends a frame at each time that is due. A frame that had to wait for the one before it, because the server does
// not read fast enough, is stamped with the time at which it was due: the wait is part of its latency.
func (c *Camera) film(ctx context.Context, w io.Writer) error {
	fr := NewFrames(c.format)
	every := int64(time.Second) / int64(c.format.FrameRate)
	due := Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		b := fr.Next(Now()).Interleaved()
		for {
			if _, err := w.Write(b); err != nil {
				return err
			}
			c.sent.Store(fr.Number())
			if due += every; due > Now() {
				break
			}
			b = fr.Next(due).Interleaved()
		}
		timer.Reset(time.Duration(due - Now()))
	}
}
