package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// read returns all messages; what cannot be served is told as its status.
func read(r io.Reader) []string {
	rd := NewReader(r, nil)
	var got []string
	for {
		m, err := rd.Read()
		var e *Error
		switch {
		case err == io.EOF:
			return got
		case errors.As(err, &e):
			s := fmt.Sprintf("error %d cseq=%s", e.Status, e.CSeq)
			if e.Fatal {
				return append(got, s+" fatal")
			}
			got = append(got, s)
		case err != nil:
			return append(got, err.Error())
		}
		switch m := m.(type) {
		case *Request:
			got = append(got, fmt.Sprintf("%s %s %s %v %q", m.Method, m.URL, m.Proto, m.Header, m.Body))
		case *Response:
			got = append(got, fmt.Sprintf("%d %s %v %q", m.Status, m.Reason, m.Header, m.Body))
		case *Frame:
			got = append(got, fmt.Sprintf("frame %d %q", m.Channel, m.Payload))
		}
	}
}

func TestRead(t *testing.T) {
	const next = "OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n"
	const gotNext = `OPTIONS * RTSP/1.0 [{CSeq 9}] ""`
	tests := []struct {
		name string
		in   string
		want []string
	}{
		{"request", "OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n", []string{`OPTIONS rtsp://h/a RTSP/1.0 [{CSeq 1}] ""`}},
		{"LF (§4)", "OPTIONS * RTSP/1.0\nCSeq: 1\n\n" + next, []string{`OPTIONS * RTSP/1.0 [{CSeq 1}] ""`, gotNext}},
		{"CR (§4)", "OPTIONS * RTSP/1.0\rCSeq: 1\r\r" + next, []string{`OPTIONS * RTSP/1.0 [{CSeq 1}] ""`, gotNext}},
		{"mixed ends", "OPTIONS * RTSP/1.0\nCSeq: 1\r\n\n" + next, []string{`OPTIONS * RTSP/1.0 [{CSeq 1}] ""`, gotNext}},
		{"blank lines", "\r\n\n\r\r\n" + next + "\r\n\r\n", []string{gotNext}},
		{"pipelined", next + next + next, []string{gotNext, gotNext, gotNext}},
		{"body", "A * RTSP/1.0\r\ncontent-LENGTH: 3\r\n\r\nabc" + next, []string{`A * RTSP/1.0 [{content-LENGTH 3}] "abc"`, gotNext}},
		{"body of line ends", "A * RTSP/1.0\nContent-Length: 2\n\n\r\n" + next, []string{`A * RTSP/1.0 [{Content-Length 2}] "\r\n"`, gotNext}},
		{"body after CRLF", "A * RTSP/1.0\r\nContent-Length: 2\r\n\r\n\n\n" + next, []string{`A * RTSP/1.0 [{Content-Length 2}] "\n\n"`, gotNext}},
		{"folded (§4)", "A * RTSP/1.0\r\nX: 1,\r\n  2,\r\n\t3\r\nY:\r\n z\r\n\r\n", []string{`A * RTSP/1.0 [{X 1, 2, 3} {Y z}] ""`}},
		{"space before colon", "A * RTSP/1.0\r\nCSeq : 1\r\n\r\n", []string{`A * RTSP/1.0 [{CSeq 1}] ""`}},
		{"empty value", "A * RTSP/1.0\r\nX:\r\n\r\n", []string{`A * RTSP/1.0 [{X }] ""`}},
		{"frames between", "$\x01\x00\x02hi" + next + "$\x00\x00\x00" + next, []string{`frame 1 "hi"`, gotNext, `frame 0 ""`, gotNext}},
		{"response", "RTSP/1.0 404 Not Found\r\nCSeq: 2\r\n\r\n", []string{`404 Not Found [{CSeq 2}] ""`}},
		{"response without reason", "RTSP/1.0 200\r\nCSeq: 2\r\n\r\n", []string{`200  [{CSeq 2}] ""`}},
		{"method of another case", "options * RTSP/1.0\r\n\r\n", []string{`options * RTSP/1.0 [] ""`}},
		{"protocol of another case", "A * rtsp/1.0\r\n\r\n", []string{`A * RTSP/1.0 [] ""`}},
		{"URL of UTF-8", "A rtsp://h/ä RTSP/1.0\r\n\r\n", []string{`A rtsp://h/ä RTSP/1.0 [] ""`}},

		{"version 2", "A * RTSP/2.0\r\nCSeq: 1\r\nContent-Length: 1\r\n\r\nx" + next, []string{"error 505 cseq=1", gotNext}},
		{"version 9.9", "A * RTSP/9.9\r\nCSeq: 1\r\n\r\n" + next, []string{"error 505 cseq=1", gotNext}},
		{"no version", "A *\r\nCSeq: 1\r\n\r\n" + next, []string{"error 400 cseq=1", gotNext}},
		{"no URL", "A RTSP/1.0\r\nCSeq: 1\r\n\r\n" + next, []string{"error 400 cseq=1", gotNext}},
		{"space in URL", "A rtsp://h/a b RTSP/1.0\r\nCSeq: 1\r\n\r\n" + next, []string{"error 400 cseq=1", gotNext}},
		{"method no token", "A[] * RTSP/1.0\r\nCSeq: 1\r\n\r\n" + next, []string{"error 400 cseq=1", gotNext}},
		{"malformed line", "A * RTSP/1.0\r\nCSeq: 1\r\nbla bla\r\nX: y\r\n\r\n" + next, []string{"error 400 cseq=1", gotNext}},
		{"name no token", "A * RTSP/1.0\r\nCSeq: 1\r\nX Y: z\r\n\r\n" + next, []string{"error 400 cseq=1", gotNext}},
		{"NUL", "A * RTSP/1.0\r\nCSeq: 1\r\nX: a\x00b\r\n\r\n" + next, []string{"error 400 cseq=1", gotNext}},
		{"folded at first", "A * RTSP/1.0\r\n X: y\r\nCSeq: 1\r\n\r\n" + next, []string{"error 400 cseq=1", gotNext}},
		{"malformed status", "RTSP/1.0 20 OK\r\nCSeq: 1\r\n\r\n" + next, []string{"error 400 cseq=1", gotNext}},
		{"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", []string{"error 400 cseq= fatal"}},

		{"URL at the limit", "A /" + strings.Repeat("a", maxURL-1) + " RTSP/1.0\r\n\r\n", []string{"A /" + strings.Repeat("a", maxURL-1) + ` RTSP/1.0 [] ""`}},
		{"URL too long", "A /" + strings.Repeat("a", maxURL) + " RTSP/1.0\r\nCSeq: 1\r\n\r\n" + next, []string{"error 414 cseq=1", gotNext}},
		{"URL far too long", "A /" + strings.Repeat("a", 1<<20) + " RTSP/1.0\r\nCSeq: 1\r\n\r\n" + next, []string{"error 414 cseq=1", gotNext}},
		{"URL without end", "A /" + strings.Repeat("a", 5<<20), []string{"error 414 cseq= fatal"}},
		{"header line too long", "A * RTSP/1.0\r\nX: " + strings.Repeat("a", maxHeader) + "\r\nCSeq: 1\r\nContent-Length: 1\r\n\r\nb" + next, []string{"error 431 cseq=1", gotNext}},
		{"too many header lines", "A * RTSP/1.0\r\nCSeq: 1\r\n" + strings.Repeat("X: a\r\n", maxHeader/6) + "\r\n" + next, []string{"error 431 cseq=1", gotNext}},
		{"folds without end", "A * RTSP/1.0\r\nX: a\r\n" + strings.Repeat(" a\r\n", 2<<20), []string{"error 431 cseq= fatal"}},
		{"body too large", "A * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 200000) + next, []string{"error 413 cseq=1", gotNext}},
		{"body far too large", "A * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 99999999999\r\n\r\n", []string{"error 413 cseq=1 fatal"}},
		{"length no number", "A * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -1\r\n\r\n", []string{"error 400 cseq=1 fatal"}},
		{"two lengths", "A * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", []string{"error 400 cseq=1 fatal"}},
		{"the same length twice", "A * RTSP/1.0\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nab", []string{`A * RTSP/1.0 [{Content-Length 1} {Content-Length 1}] "a"`, "unexpected EOF"}},
		{"empty lines without end", strings.Repeat("\r\n", maxBlank), []string{"error 400 cseq= fatal"}},
		{"end in a line", "OPTIONS * RT", []string{"unexpected EOF"}},
		{"end in the header", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n", []string{"unexpected EOF"}},
		{"end in the body", "A * RTSP/1.0\r\nContent-Length: 3\r\n\r\nab", []string{"unexpected EOF"}},
		{"end in a frame", "$\x00\x00\x02a", []string{"unexpected EOF"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := read(strings.NewReader(tt.in)); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("read  = %.300q\nwant %.300q", got, tt.want)
			}
			if len(tt.in) > 1<<16 {
				return
			}
			if got := read(iotest.OneByteReader(strings.NewReader(tt.in))); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("read byte by byte = %.300q\nwant %.300q", got, tt.want)
			}
		})
	}
}

func TestReadLeavesTheTunnel(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		in := strings.ReplaceAll("POST /a HTTP/1.0\nx-sessioncookie: b\nContent-Length: 32767\n\nT1BU", "\n", end)
		r := NewReader(iotest.OneByteReader(strings.NewReader(in)), nil)
		m, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if q := m.(*Request); q.Proto != "HTTP/1.0" || q.Header.Get("X-SessionCookie") != "b" {
			t.Errorf("Read = %v", q)
		}
		if rest, err := io.ReadAll(r.Buffered()); err != nil || string(rest) != "T1BU" {
			t.Errorf("Buffered = %q, %v, want the tunnel", rest, err)
		}
	}
}

func TestReadTellsTheBeginning(t *testing.T) {
	pr, pw := io.Pipe()
	begun := make(chan struct{}, 1)
	r := NewReader(pr, func() { begun <- struct{}{} })
	done := make(chan error, 1)
	go func() {
		_, err := r.Read()
		done <- err
	}()
	_, _ = pw.Write([]byte("\r\n"))
	select {
	case <-begun:
		t.Error("an empty line began a message")
	default:
	}
	_, _ = pw.Write([]byte("O"))
	<-begun
	_, _ = pw.Write([]byte("PTIONS * RTSP/1.0\r\n\r"))
	if err := <-done; err != nil {
		t.Error(err)
	}
	_ = pw.Close()
}

func TestReadAllocatesWhatCame(t *testing.T) {
	in := []byte("A * RTSP/1.0\r\nContent-Length: 120000\r\n\r\nx")
	res := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = NewReader(bytes.NewReader(in), nil).Read()
		}
	})
	if got := res.AllocedBytesPerOp(); got > 20<<10 {
		t.Errorf("%d bytes are allocated for a body that does not come", got)
	}
}

func BenchmarkReadFrame(b *testing.B) {
	f := Frame{Channel: 2, Payload: make([]byte, 1400)}
	msg := f.Append(nil)
	r := NewReader(&repeat{msg: msg}, nil)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Read(); err != nil {
			b.Fatal(err)
		}
	}
}

// repeat reads as a message without end of repetitions.
type repeat struct {
	msg []byte
	at  int
}

func (r *repeat) Read(b []byte) (int, error) {
	n := copy(b, r.msg[r.at:])
	r.at = (r.at + n) % len(r.msg)
	return n, nil
}

// FuzzRead checks that messages are the same however they are split, and that what was read is written and read again
// to the same.
func FuzzRead(f *testing.F) {
	f.Add([]byte("OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n$\x00\x00\x01xRTSP/1.0 200 OK\nCSeq: 1\n\n"))
	f.Add([]byte("ANNOUNCE * RTSP/1.0\rCSeq: 2\rX: a\r b\rContent-Length: 3\r\rabcGET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("A * RTSP/2.0\r\nbad\r\nContent-Length: 1\r\n\r\nxOPTIONS * RTSP/1.0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<16 {
			return
		}
		whole := read(bytes.NewReader(in))
		if split := read(iotest.OneByteReader(bytes.NewReader(in))); !reflect.DeepEqual(whole, split) {
			t.Fatalf("whole %q\nsplit %q", whole, split)
		}
		rd := NewReader(bytes.NewReader(in), nil)
		for {
			m, err := rd.Read()
			var e *Error
			if errors.As(err, &e) && !e.Fatal {
				continue
			}
			if err != nil {
				return
			}
			again(t, m)
		}
	})
}

// again writes a message and reads it.
func again(t *testing.T, m Message) {
	var b []byte
	switch m := m.(type) {
	case *Request:
		b = m.Append(nil)
	case *Response:
		b = m.Append(nil)
	case *Frame:
		b = m.Append(nil)
	}
	got, err := NewReader(bytes.NewReader(b), nil).Read()
	if err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	var b2 []byte
	switch got := got.(type) {
	case *Request:
		b2 = got.Append(nil)
	case *Response:
		b2 = got.Append(nil)
	case *Frame:
		b2 = got.Append(nil)
	}
	if !bytes.Equal(b, b2) {
		t.Fatalf("written %q, read and written %q", b, b2)
	}
}

// TestReaderIsSmall measures what a silent player costs, and that a publisher's packets come in few reads.
func TestReaderIsSmall(t *testing.T) {
	idle := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = NewReader(strings.NewReader("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"), nil).Read()
		}
	})
	if got := idle.AllocedBytesPerOp(); got > 2<<10 {
		t.Errorf("%d bytes are allocated for a request of 31", got)
	}
	var in []byte
	for i := range 256 {
		f := Frame{Channel: 0, Payload: bytes.Repeat([]byte{byte(i)}, 1400)}
		in = f.Append(in)
	}
	from := &counting{Reader: bytes.NewReader(in)}
	r := NewReader(from, nil)
	for i := range 256 {
		m, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if f := m.(*Frame); len(f.Payload) != 1400 || f.Payload[0] != byte(i) || f.Payload[1399] != byte(i) {
			t.Fatalf("frame %d = %d bytes of %d", i, len(f.Payload), f.Payload[0])
		}
	}
	if from.reads > 32 {
		t.Errorf("256 packets came in %d reads", from.reads)
	}
}

// counting counts reads.
type counting struct {
	io.Reader
	reads int
}

func (c *counting) Read(b []byte) (int, error) {
	c.reads++
	return c.Reader.Read(b)
}
