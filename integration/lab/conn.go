//go:build integration

package lab

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Response is an answer of the server.
type Response struct {
	Status int
	Header textproto.MIMEHeader
	Body   string
}

// Conn is an RTSP connection, as plain as can be: it adds CSeq and Session to requests and knows answers from packets.
type Conn struct {
	t       testing.TB
	conn    net.Conn
	answers chan Response
	gone    chan struct{} // closed when the connection has ended

	one sync.Mutex // held from a request to its answer

	mu      sync.Mutex // guards the fields below
	cseq    int
	session string
	proof   string // the Authorization header, "" for none
	packet  func(channel uint8, b []byte)
}

// Dial connects to an RTSP server.
func Dial(t testing.TB, hostport string) *Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", hostport, Patience)
	if err != nil {
		t.Fatal(err)
	}
	return newConn(t, c)
}

// DialURL connects to the server of a URL, whose user and password go into each request, and returns the URL without them.
func DialURL(t testing.TB, address string) (c *Conn, clean string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme == "rtsps" {
		c = DialTLS(t, u.Host)
	} else {
		c = Dial(t, u.Host)
	}
	if u.User != nil {
		password, _ := u.User.Password()
		c.proof = BasicProof(u.User.Username(), password)
		u.User = nil
	}
	return c, u.String()
}

// BasicProof is an Authorization header by RFC 7617.
func BasicProof(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// DialTLS connects to an RTSPS server, whatever its certificate.
func DialTLS(t testing.TB, hostport string) *Conn {
	t.Helper()
	d := &tls.Dialer{NetDialer: &net.Dialer{Timeout: Patience}, Config: &tls.Config{InsecureSkipVerify: true}}
	c, err := d.DialContext(t.Context(), "tcp", hostport)
	if err != nil {
		t.Fatal(err)
	}
	return newConn(t, c)
}

func newConn(t testing.TB, conn net.Conn) *Conn {
	c := &Conn{t: t, conn: conn, answers: make(chan Response, 16), gone: make(chan struct{})}
	go c.read()
	t.Cleanup(c.Close)
	return c
}

// Close closes the connection and nothing else.
func (c *Conn) Close() { c.conn.Close() }

// Gone is closed when the connection has ended.
func (c *Conn) Gone() <-chan struct{} { return c.gone }

// OnPacket has interleaved packets handed to f, which must not block.
func (c *Conn) OnPacket(f func(channel uint8, b []byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.packet = f
}

func (c *Conn) read() {
	defer close(c.gone)
	r := bufio.NewReaderSize(c.conn, 64<<10)
	for {
		b, err := r.Peek(1)
		if err != nil {
			return
		}
		if b[0] == '$' {
			err = c.readPacket(r)
		} else {
			err = c.readAnswer(r)
		}
		if err != nil {
			return
		}
	}
}

func (c *Conn) readPacket(r *bufio.Reader) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	b := make([]byte, binary.BigEndian.Uint16(head[2:]))
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	c.mu.Lock()
	f := c.packet
	c.mu.Unlock()
	if f != nil {
		f(head[1], b)
	}
	return nil
}

func (c *Conn) readAnswer(r *bufio.Reader) error {
	tp := textproto.NewReader(r)
	line, err := tp.ReadLine()
	if err != nil {
		return err
	}
	h, err := tp.ReadMIMEHeader()
	if err != nil {
		return err
	}
	body := make([]byte, 0)
	if n, _ := strconv.Atoi(h.Get("Content-Length")); n > 0 {
		body = make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
	}
	version, rest, _ := strings.Cut(line, " ")
	if !strings.HasPrefix(version, "RTSP/") {
		return nil // a request of the server
	}
	code, _, _ := strings.Cut(rest, " ")
	status, _ := strconv.Atoi(code)
	select {
	case c.answers <- Response{status, h, string(body)}:
		return nil
	default:
		return errors.New("more answers than requests")
	}
}

// errGone is what Do returns when the server has closed the connection.
var errGone = errors.New("connection closed by the server")

// Do sends a request and returns its answer. Headers are name and value in turn.
func (c *Conn) Do(method, url string, headers []string, body string) (Response, error) {
	c.one.Lock()
	defer c.one.Unlock()
	c.mu.Lock()
	c.cseq++
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s RTSP/1.0\r\nCSeq: %d\r\n", method, url, c.cseq)
	if c.session != "" {
		fmt.Fprintf(&b, "Session: %s\r\n", c.session)
	}
	if c.proof != "" {
		fmt.Fprintf(&b, "Authorization: %s\r\n", c.proof)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	cseq := strconv.Itoa(c.cseq)
	c.mu.Unlock()
	return c.exchange(b.String()+"\r\n"+body, cseq)
}

// Exchange sends a request as it is written and returns the answer with its CSeq.
func (c *Conn) Exchange(request, cseq string) (Response, error) {
	c.one.Lock()
	defer c.one.Unlock()
	return c.exchange(request, cseq)
}

func (c *Conn) exchange(request, cseq string) (Response, error) {
	if _, err := io.WriteString(c.conn, request); err != nil {
		return Response{}, err
	}
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	for {
		select {
		case r := <-c.answers:
			if r.Header.Get("Cseq") != cseq {
				continue // of a request whose answer nobody waited for
			}
			if id, _, _ := strings.Cut(r.Header.Get("Session"), ";"); id != "" {
				c.mu.Lock()
				c.session = id
				c.mu.Unlock()
			}
			return r, nil
		case <-c.gone:
			return Response{}, errGone
		case <-timer.C:
			method, _, _ := strings.Cut(request, " ")
			return Response{}, fmt.Errorf("no answer to %s within %v", method, Patience)
		}
	}
}

// Must sends a request and fails the test unless the answer is 200.
func (c *Conn) Must(method, url string, headers []string, body string) Response {
	c.t.Helper()
	r, err := c.Do(method, url, headers, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, url, err)
	}
	if r.Status != 200 {
		c.t.Fatalf("%s %s: answer is %d, want 200\n%v", method, url, r.Status, r.Header)
	}
	return r
}

// WritePacket sends an interleaved packet.
func (c *Conn) WritePacket(channel uint8, b []byte) error {
	frame := make([]byte, 4, 4+len(b))
	frame[0], frame[1] = '$', channel
	binary.BigEndian.PutUint16(frame[2:], uint16(len(b)))
	_, err := c.conn.Write(append(frame, b...))
	return err
}

// Sections splits an SDP body into its media sections: lines without line ends, from "m=" on, without those that belong
// to the connection rather than the track: c=, a=control, a=crypto, a=key-mgmt.
func Sections(sdp string) [][]string {
	var all [][]string
	for line := range strings.Lines(sdp) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "m=") {
			all = append(all, nil)
		}
		if len(all) == 0 || strings.HasPrefix(line, "c=") || strings.HasPrefix(line, "a=control:") ||
			strings.HasPrefix(line, "a=crypto:") || strings.HasPrefix(line, "a=key-mgmt:") {
			continue
		}
		all[len(all)-1] = append(all[len(all)-1], line)
	}
	return all
}

// controls returns the URL of each track of a description.
func controls(base, sdp string) []string {
	var urls []string
	for line := range strings.Lines(sdp) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "m=") {
			urls = append(urls, "")
		}
		if v, ok := strings.CutPrefix(line, "a=control:"); ok && len(urls) > 0 {
			if !strings.Contains(v, "://") {
				v = strings.TrimSuffix(base, "/") + "/" + v
			}
			urls[len(urls)-1] = v
		}
	}
	return urls
}
