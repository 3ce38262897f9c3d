//go:build integration

package lab

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// answerWithin is how long an answer may take: longer than any that waits for a stream to open or a track to speak.
const answerWithin = 20 * time.Second

// Raw is a connection that sends what it is told, byte for byte, and is strict about what comes back.
type Raw struct {
	// Frames are the interleaved frames that came while an answer was waited for.
	Frames []Frame
	// Session is put into the requests of Ask unless it is empty.
	Session string

	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	cseq int
}

// Frame is an interleaved frame (RFC 2326 §10.12).
type Frame struct {
	Channel uint8
	Payload []byte
}

// Message is what a server sent: an answer, or a frame.
type Message struct {
	Response
	Line  string // the status line
	Frame *Frame
}

// DialRaw connects to a server.
func DialRaw(t testing.TB, hostport string) *Raw {
	t.Helper()
	return DialRawFrom(t, "", hostport)
}

// DialRawFrom connects to a server from an address of this machine, as another host would.
func DialRawFrom(t testing.TB, from, hostport string) *Raw {
	t.Helper()
	d := net.Dialer{Timeout: Patience}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.Dial("tcp", hostport)
	if err != nil {
		t.Fatal(err)
	}
	return RawOver(t, c)
}

// RawOver speaks over a connection that exists, which the test's end closes.
func RawOver(t testing.TB, c net.Conn) *Raw {
	t.Cleanup(func() { c.Close() })
	return &Raw{t: t, conn: c, r: bufio.NewReaderSize(c, 64<<10)}
}

// Close closes the connection.
func (c *Raw) Close() { c.conn.Close() }

// Send sends text as it is. That the server does not take it is seen when its answer is read.
func (c *Raw) Send(text string) {
	_ = c.conn.SetWriteDeadline(time.Now().Add(Patience))
	_, _ = io.WriteString(c.conn, text)
}

// Ask sends a request with CSeq and the Session, headers being name and value in turn, and returns its answer, which must
// echo the CSeq and have a Date and a Server.
func (c *Raw) Ask(method, url string, headers ...string) Message {
	c.t.Helper()
	return c.AskBody(method, url, "", headers...)
}

// AskBody is Ask with a body.
func (c *Raw) AskBody(method, url, body string, headers ...string) Message {
	c.t.Helper()
	c.cseq++
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s RTSP/1.0\r\nCSeq: %d\r\n", method, url, c.cseq)
	if c.Session != "" {
		fmt.Fprintf(&b, "Session: %s\r\n", c.Session)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	c.Send(b.String() + "\r\n" + body)
	m := c.Answer()
	what := method + " " + cutLine(url)
	if got := m.Header["Cseq"]; len(got) != 1 || got[0] != strconv.Itoa(c.cseq) {
		c.t.Errorf("%s: CSeq is %q, want %d", what, got, c.cseq)
	}
	if _, err := http.ParseTime(m.Header.Get("Date")); err != nil || !strings.HasSuffix(m.Header.Get("Date"), " GMT") {
		c.t.Errorf("%s: Date is %q", what, m.Header.Get("Date"))
	}
	if m.Header.Get("Server") == "" {
		c.t.Errorf("%s: no Server in the answer", what)
	}
	return m
}

func cutLine(s string) string { return s[:min(len(s), 100)] }

// Want is Ask that fails the test unless the status is one of those given.
func (c *Raw) Want(status int, method, url string, headers ...string) Message {
	c.t.Helper()
	m := c.Ask(method, url, headers...)
	if m.Status != status {
		c.t.Fatalf("%s %s %q = %s, want %d\n%s", method, cutLine(url), headers, m.Line, status, m.Body)
	}
	return m
}

// Answer returns the next answer.
func (c *Raw) Answer() Message {
	c.t.Helper()
	for {
		m := c.Next()
		if m.Frame == nil {
			return m
		}
		c.Frames = append(c.Frames, *m.Frame)
	}
}

// Next returns the next message; that there is none in time fails the test.
func (c *Raw) Next() Message {
	c.t.Helper()
	m, err := c.read(answerWithin)
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	return m
}

// NextWithin returns the next message, or an error when none comes in time.
func (c *Raw) NextWithin(d time.Duration) (Message, error) { return c.read(d) }

// Ends fails the test unless the server closes the connection, and returns how often it said something before.
func (c *Raw) Ends() (messages int) {
	c.t.Helper()
	deadline := time.Now().Add(answerWithin)
	for {
		_, err := c.read(time.Until(deadline))
		switch {
		case errors.Is(err, errLate):
			c.t.Fatalf("the connection is still open after %v", answerWithin)
		case err != nil:
			return messages
		}
		messages++
	}
}

// Alive fails the test unless the connection still answers, without being about a session.
func (c *Raw) Alive() {
	c.t.Helper()
	session := c.Session
	c.Session = ""
	defer func() { c.Session = session }()
	if m := c.Ask("OPTIONS", "*"); m.Status != 200 {
		c.t.Errorf("OPTIONS * afterwards = %s, want 200", m.Line)
	}
}

// errLate means that nothing came in time.
var errLate = errors.New("nothing came in time")

func (c *Raw) read(d time.Duration) (Message, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(d))
	m, err := c.message()
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		err = errLate
	}
	return m, err
}

func (c *Raw) message() (Message, error) {
	b, err := c.r.Peek(1)
	if err != nil {
		return Message{}, err
	}
	if b[0] == '$' {
		f, err := c.frame()
		return Message{Frame: f}, err
	}
	return c.answer()
}

func (c *Raw) frame() (*Frame, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return nil, err
	}
	f := &Frame{Channel: head[1], Payload: make([]byte, binary.BigEndian.Uint16(head[2:]))}
	_, err := io.ReadFull(c.r, f.Payload)
	return f, err
}

var (
	statusLine = regexp.MustCompile(`^(?:RTSP|HTTP)/1\.[01] [1-5][0-9][0-9] [ -~]+$`)
	headerLine = regexp.MustCompile(`^[!#$%&'*+.^_\x60|~0-9A-Za-z-]+: ?[ -~\x80-\xff]*$`)
)

// answer reads an answer as RFC 2326 §7 has it: a status line, header lines, all with CRLF, and a body of Content-Length.
func (c *Raw) answer() (Message, error) {
	line, err := c.line()
	if err != nil {
		return Message{}, err
	}
	if !statusLine.MatchString(line) {
		c.t.Errorf("status line is %q", line)
		return Message{}, fmt.Errorf("status line is %q", line)
	}
	m := Message{Line: line, Response: Response{Header: make(textproto.MIMEHeader)}}
	m.Status, _ = strconv.Atoi(line[9:12])
	for {
		h, err := c.line()
		if err != nil {
			return Message{}, err
		}
		if h == "" {
			break
		}
		if !headerLine.MatchString(h) {
			c.t.Errorf("header line is %q", h)
		}
		name, value, _ := strings.Cut(h, ":")
		m.Header.Add(name, strings.TrimSpace(value))
	}
	n, _ := strconv.Atoi(m.Header.Get("Content-Length"))
	body := make([]byte, n)
	_, err = io.ReadFull(c.r, body)
	m.Body = string(body)
	return m, err
}

// line reads a line and complains about one that does not end with CRLF.
func (c *Raw) line() (string, error) {
	s, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	if !strings.HasSuffix(s, "\r\n") {
		c.t.Errorf("line %q does not end with CRLF", s)
	}
	return strings.TrimRight(s, "\r\n"), nil
}

// SessionID returns the ID in the Session header of an answer, and its timeout in seconds, 0 if it names none.
func (m Message) SessionID() (id string, timeout int) {
	id, rest, _ := strings.Cut(m.Header.Get("Session"), ";")
	if v, ok := strings.CutPrefix(strings.TrimSpace(rest), "timeout="); ok {
		timeout, _ = strconv.Atoi(v)
	}
	return id, timeout
}

// Param returns a parameter of the answer's Transport header, and whether it is there.
func (m Message) Param(name string) (string, bool) {
	for p := range strings.SplitSeq(m.Header.Get("Transport"), ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(k, name) {
			return v, true
		}
	}
	return "", false
}

// Tracks returns the URL of each track of a DESCRIBE's answer.
func (m Message) Tracks() []string { return controls(m.Header.Get("Content-Base"), m.Body) }
