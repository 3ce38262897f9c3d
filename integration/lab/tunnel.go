//go:build integration

package lab

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// tunnel is RTSP over HTTP as QuickTime made it: answers and packets come on a GET that never ends, requests go on a POST that
// never ends, in base64.
type tunnel struct {
	net.Conn // of the GET
	answers  *bufio.Reader
	post     net.Conn
}

// DialTunnel opens both connections of a tunnel with the given heads of their requests.
func DialTunnel(t testing.TB, hostport, get, post string) *Conn {
	t.Helper()
	c, err := dialTunnel(hostport, get, post)
	if err != nil {
		t.Fatalf("tunnel: %v", err)
	}
	return newConn(t, c)
}

func dialTunnel(hostport, get, post string) (*tunnel, error) {
	down, err := net.DialTimeout("tcp", hostport, Patience)
	if err != nil {
		return nil, err
	}
	c := &tunnel{Conn: down, answers: bufio.NewReaderSize(down, 64<<10)}
	if err := c.open(hostport, get, post); err != nil {
		down.Close()
		return nil, err
	}
	return c, nil
}

func (c *tunnel) open(hostport, get, post string) error {
	if _, err := io.WriteString(c.Conn, get); err != nil {
		return err
	}
	status, err := c.answers.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.Contains(status, " 200 ") {
		return errors.New("GET is answered " + status)
	}
	for line := status; strings.TrimSpace(line) != ""; {
		if line, err = c.answers.ReadString('\n'); err != nil {
			return err
		}
	}
	if c.post, err = net.DialTimeout("tcp", hostport, Patience); err != nil {
		return err
	}
	_, err = io.WriteString(c.post, post)
	return err
}

func (c *tunnel) Read(b []byte) (int, error) { return c.answers.Read(b) }

// Write sends a request in base64 with padding of its own, as live555, ffmpeg and GStreamer do.
func (c *tunnel) Write(b []byte) (int, error) {
	if _, err := io.WriteString(c.post, base64.StdEncoding.EncodeToString(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (c *tunnel) Close() error { return errors.Join(c.Conn.Close(), c.post.Close()) }
