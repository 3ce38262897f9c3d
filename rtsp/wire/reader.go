package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// What a message may have, in bytes.
const (
	// maxURL is far above what names of 255 bytes need; tokens of some hundred bytes in the query are common.
	maxURL = 4 << 10
	// maxHeader is for all header lines together; a long one with Digest and SRTP keys has 1 KiB.
	maxHeader = 16 << 10
	// maxBody is for descriptions and parameters; an SDP with certificates and 20 tracks has 20 KiB.
	maxBody = 128 << 10
	// maxSkip bounds what is read of a message that is too large only to find the next one.
	maxSkip = 4 << 20
	// maxBlank bounds the empty lines before a message: some clients send one now and then as a sign of life.
	maxBlank = 1024
	// bufferSize holds most whole requests and the reports of a player; thousands of players are silent most of the time.
	bufferSize = 1 << 10
	// frameBuffer is for publishers that interleave their packets: a picture of 8 Mbit/s at 30 Hz comes in one read.
	frameBuffer = 32 << 10
	// maxReport is above the RTCP packets of a player; longer frames are a publisher's.
	maxReport = 512
)

// Error is a message that cannot be served. Unless Fatal, the next message can be read.
type Error struct {
	Status int    // to answer
	Text   string // what is wrong
	CSeq   string // of the request, "" when unknown
	Fatal  bool   // it is not known where the next message begins
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Text, e.Status) }

// Reader reads messages. It is for one goroutine.
type Reader struct {
	from  io.Reader
	br    *bufio.Reader // of from; small until a publisher's packet comes
	begun func()        // called at the first byte of each message
	cr    bool          // the last line ended with a CR: a LF that follows is of the same end

	// Of the message being read.
	size  int    // bytes of lines and skipped body
	fault *Error // the first; it is returned when the message has been read to its end
}

// NewReader reads from r. The function, if not nil, is called when the first byte of a message has come: it may set a
// deadline for the rest.
func NewReader(r io.Reader, begun func()) *Reader {
	if begun == nil {
		begun = func() {}
	}
	return &Reader{from: r, br: bufio.NewReaderSize(r, bufferSize), begun: begun}
}

// Buffered returns what has been read from the connection but not yet as a message, and then the connection's rest.
func (r *Reader) Buffered() io.Reader { return r.br }

// Read returns the next message. An *Error is the message's fault, any other error the connection's; io.EOF comes only
// between messages.
func (r *Reader) Read() (Message, error) {
	r.size, r.fault = 0, nil
	first, err := r.skipBlank()
	if err != nil {
		return nil, err
	}
	r.begun()
	if first == '$' {
		return r.frame()
	}
	if !isTokenByte(first) { // not RTSP at all, such as a TLS hello: there may never be an end of line
		return nil, &Error{Status: 400, Text: fmt.Sprintf("message begins with byte %#x", first), Fatal: true}
	}
	m, err := r.lines()
	if err != nil {
		return nil, noEOF(err)
	}
	if r.fault != nil {
		return nil, r.fault
	}
	return m, nil
}

// skipBlank passes over line ends before a message and returns the message's first byte, which stays unread.
func (r *Reader) skipBlank() (byte, error) {
	r.cr = false
	for range maxBlank {
		b, err := r.br.Peek(1)
		if err != nil {
			return 0, err
		}
		if b[0] != '\r' && b[0] != '\n' {
			return b[0], nil
		}
		_, _ = r.br.Discard(1)
	}
	return 0, &Error{Status: 400, Text: "empty lines without end", Fatal: true}
}

// frame reads an interleaved frame.
func (r *Reader) frame() (Message, error) {
	head, err := r.br.Peek(4)
	if err != nil {
		return nil, noEOF(err)
	}
	f := &Frame{Channel: head[1], Payload: make([]byte, int(head[2])<<8|int(head[3]))}
	_, _ = r.br.Discard(4)
	if len(f.Payload) > maxReport && r.br.Size() < frameBuffer {
		r.grow()
	}
	if _, err := io.ReadFull(r.br, f.Payload); err != nil {
		return nil, noEOF(err)
	}
	return f, nil
}

// grow changes to a larger buffer.
func (r *Reader) grow() {
	b, _ := r.br.Peek(r.br.Buffered())
	rest := bytes.NewReader(bytes.Clone(b))
	r.br = bufio.NewReaderSize(io.MultiReader(rest, r.from), frameBuffer)
}

// lines reads a request or a response. When it is faulty but its end was found, the fault is in r.
func (r *Reader) lines() (Message, error) {
	start, long, err := r.line(nil, len("GET_PARAMETER  RTSP/1.0")+maxURL)
	if err == errEndless {
		return nil, r.lost(414, "request line without end")
	}
	if err != nil {
		return nil, err
	}
	if long {
		r.spoil(414, "request line has more than a URL of %d bytes", maxURL)
	}
	m := r.start(string(start))
	h, err := r.header()
	if err != nil {
		return nil, err
	}
	var body []byte
	if q, ok := m.(*Request); ok && strings.HasPrefix(q.Proto, "HTTP/") {
		err = r.endLine() // what follows is the tunnel's, but not the LF of the last CRLF
	} else {
		body, err = r.body(h)
	}
	if r.fault != nil {
		r.fault.CSeq = h.Get("CSeq")
	}
	if err != nil {
		return nil, err
	}
	switch m := m.(type) {
	case *Request:
		m.Header, m.Body = h, body
	case *Response:
		m.Header, m.Body = h, body
	}
	return m, nil
}

// spoil notes what is wrong with the message.
func (r *Reader) spoil(status int, format string, args ...any) {
	if r.fault == nil {
		r.fault = &Error{Status: status, Text: fmt.Sprintf(format, args...)}
	}
}

// lost returns the message's fault as one after which the next message cannot be found.
func (r *Reader) lost(status int, text string) error {
	r.spoil(status, "%s", text)
	r.fault.Fatal = true
	return r.fault
}

// errEndless is a message of more lines than one would skip.
var errEndless = errors.New("message without end")

// line appends a line without its end to b. Of a line longer than most bytes only the beginning is kept.
func (r *Reader) line(b []byte, most int) (l []byte, long bool, err error) {
	kept := 0
	for {
		if _, err := r.br.Peek(1); err != nil {
			return nil, false, err
		}
		part, _ := r.br.Peek(r.br.Buffered())
		end := bytes.IndexAny(part, "\r\n")
		if end >= 0 {
			r.cr = part[end] == '\r'
			part = part[:end]
		}
		n := min(len(part), most-kept)
		b, kept, long = append(b, part[:n]...), kept+n, long || n < len(part)
		if r.size += len(part) + 1; r.size > maxSkip {
			return nil, false, errEndless
		}
		_, _ = r.br.Discard(min(len(part)+1, r.br.Buffered()))
		if end >= 0 {
			return b, long, nil
		}
	}
}

// endLine consumes the LF of a CRLF whose CR has been read.
func (r *Reader) endLine() error {
	if !r.cr {
		return nil
	}
	r.cr = false
	b, err := r.br.Peek(1)
	if err == nil && b[0] == '\n' {
		_, err = r.br.Discard(1)
	}
	return err
}

// start makes the message of a first line; nil if it is neither a request nor a response of ours.
func (r *Reader) start(l string) Message {
	first, rest, _ := strings.Cut(l, " ")
	if strings.HasPrefix(strings.ToUpper(first), "RTSP/") {
		code, reason, _ := strings.Cut(strings.Trim(rest, " \t"), " ")
		status, err := strconv.ParseUint(code, 10, 16)
		if err != nil || len(code) != 3 || status < 100 || !strings.EqualFold(first, "RTSP/1.0") || strings.IndexByte(reason, 0) >= 0 {
			r.spoil(400, "malformed status line %q", clip(l))
			return nil
		}
		return &Response{Status: int(status), Reason: strings.TrimSpace(reason)}
	}
	rest = strings.Trim(rest, " \t")
	i := strings.LastIndexAny(rest, " \t")
	version := strings.ToUpper(rest[i+1:])
	target := strings.Trim(rest[:max(i, 0)], " \t")
	switch {
	case i < 0, !isToken([]byte(first)), strings.ContainsFunc(target, isControl):
		r.spoil(400, "malformed request line %q", clip(l))
	case len(target) > maxURL:
		r.spoil(414, "URL has %d bytes, at most %d are allowed", len(target), maxURL)
	case version == "RTSP/1.0", version == "HTTP/1.0", version == "HTTP/1.1":
		return &Request{Method: first, URL: target, Proto: version}
	case strings.HasPrefix(version, "RTSP/"):
		r.spoil(505, "version %q: only RTSP/1.0 is spoken", clip(version))
	default:
		r.spoil(400, "malformed request line %q", clip(l))
	}
	return nil
}

// isControl reports spaces and control characters: none belongs into a URL. Bytes above ASCII some clients leave there.
func isControl(c rune) bool { return c <= ' ' || c == 127 }

// header reads lines up to the empty one. What is wrong with them spoils the message but not the framing; when there are
// too many, only those that are needed for an answer and the next message are kept.
func (r *Reader) header() (Header, error) {
	var h Header
	var cur []byte // a header line and those folded into it
	left := maxHeader
	for {
		first, err := r.peekLine()
		if err != nil {
			return nil, err
		}
		folded := (first == ' ' || first == '\t') && len(cur) > 0
		if !folded {
			r.field(&h, cur, left >= 0)
			cur = cur[:0]
		}
		most := max(left, 256) // CSeq and Content-Length have their place even beyond the limit
		if folded && left < 0 {
			most = 0
		}
		before := len(cur)
		l, long, err := r.line(cur, most)
		if err == errEndless {
			return nil, r.lost(431, "header without end")
		}
		if err != nil {
			return nil, err
		}
		left -= len(l) - before + len("\r\n")
		if folded && len(l) > before { // the fold counts as one space
			l = append(append(l[:before], ' '), bytes.TrimLeft(l[before:], " \t")...)
		}
		if long || left < 0 {
			left = -1
			r.spoil(431, "header has more than %d bytes", maxHeader)
		}
		if len(l) == 0 {
			return h, nil
		}
		cur = l
	}
}

// peekLine returns the first byte of the next line.
func (r *Reader) peekLine() (byte, error) {
	if err := r.endLine(); err != nil {
		return 0, err
	}
	b, err := r.br.Peek(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// field adds a header line; of those beyond the limit only the ones without which no answer could be given.
func (r *Reader) field(h *Header, l []byte, keep bool) {
	if len(l) == 0 {
		return
	}
	name, value, ok := bytes.Cut(l, []byte(":"))
	name = bytes.TrimRight(name, " \t") // RFC 2326 leaves this room before the colon
	if !ok || !isToken(name) || bytes.IndexByte(value, 0) >= 0 {
		r.spoil(400, "malformed header line %q", clip(string(l)))
		return
	}
	n := string(name)
	if keep || strings.EqualFold(n, "CSeq") || strings.EqualFold(n, "Content-Length") {
		h.Add(n, string(bytes.Trim(value, " \t")))
	}
}

// body reads what Content-Length announces.
func (r *Reader) body(h Header) ([]byte, error) {
	lengths := h.Values("Content-Length")
	if len(lengths) == 0 {
		return nil, nil
	}
	n, err := strconv.ParseUint(lengths[0], 10, 63)
	for _, l := range lengths[1:] {
		if l != lengths[0] {
			return nil, r.lost(400, "several Content-Length")
		}
	}
	if err != nil {
		return nil, r.lost(400, fmt.Sprintf("Content-Length %q is no number", clip(lengths[0])))
	}
	if n == 0 {
		return nil, nil
	}
	if n > maxBody {
		text := fmt.Sprintf("body has %d bytes, at most %d are allowed", n, maxBody)
		if n > maxSkip {
			return nil, r.lost(413, text)
		}
		r.spoil(413, "%s", text)
	}
	if err := r.endLine(); err != nil {
		return nil, err
	}
	if r.fault != nil {
		_, err := io.CopyN(io.Discard, r.br, int64(n))
		return nil, err
	}
	var b bytes.Buffer // grows with what comes, not with what was announced
	_, err = io.CopyN(&b, r.br, int64(n))
	return b.Bytes(), err
}

// noEOF makes an end inside of a message an error.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
