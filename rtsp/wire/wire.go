// Package wire reads and writes what goes over an RTSP connection (RFC 2326, with the clarifications of RFC 7826), and
// the headers that have a structure of their own. Three kinds of message share a connection:
//
//	request   METHOD SP URL SP "RTSP/1.0" EOL  *( name ":" value EOL )  EOL  [ Content-Length bytes ]
//	response  "RTSP/1.0" SP status SP reason EOL  *( name ":" value EOL )  EOL  [ Content-Length bytes ]
//	frame     '$'  channel: 1 byte  length: 2 bytes, big endian  [ length bytes ]          (§10.12)
//
// EOL is CRLF; what others send may end its lines with LF or CR alone (§4). A line that begins with a space or a
// tab goes on with the header before it.
package wire

// Message is a *Request, a *Response or a *Frame.
type Message interface{ message() }

func (*Request) message()  {}
func (*Response) message() {}
func (*Frame) message()    {}

// Request is a request (RFC 2326 §6).
type Request struct {
	Method string // as it was written: methods are case-sensitive
	URL    string // as it was written
	Proto  string // "RTSP/1.0", or "HTTP/1.0" and "HTTP/1.1" for the tunnel; "" writes RTSP/1.0
	Header Header
	Body   []byte // never of an HTTP request: what follows its header is the tunnel
}

// Append writes the request to b.
func (r *Request) Append(b []byte) []byte {
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, r.URL...)
	b = append(b, ' ')
	b = append(b, proto(r.Proto)...)
	b = append(b, "\r\n"...)
	return append(r.Header.append(b, len(r.Body)), r.Body...)
}

// Response is an answer (RFC 2326 §7).
type Response struct {
	Proto  string // "" for RTSP/1.0
	Status int
	Reason string // "" for the usual one
	Header Header
	Body   []byte
}

// Append writes the answer to b.
func (r *Response) Append(b []byte) []byte {
	reason := r.Reason
	if reason == "" {
		reason = StatusText(r.Status)
	}
	b = append(b, proto(r.Proto)...)
	// Three digits, whatever the number is (§7.1): a status line cannot be malformed.
	b = append(b, ' ', '0'+byte(r.Status/100%10), '0'+byte(r.Status/10%10), '0'+byte(r.Status%10), ' ')
	b = append(b, clean(reason)...)
	b = append(b, "\r\n"...)
	return append(r.Header.append(b, len(r.Body)), r.Body...)
}

func proto(p string) string {
	if p == "" {
		return "RTSP/1.0"
	}
	return p
}

// Frame is an interleaved frame (RFC 2326 §10.12).
type Frame struct {
	Channel uint8
	Payload []byte // the receiver's to keep and to change
}

// Append writes the frame to b. It panics when the payload is longer than the 65535 bytes that a frame can have.
func (f *Frame) Append(b []byte) []byte {
	if len(f.Payload) > 0xffff {
		panic("wire: payload of a frame is too long")
	}
	b = append(b, '$', f.Channel, byte(len(f.Payload)>>8), byte(len(f.Payload)))
	return append(b, f.Payload...)
}
