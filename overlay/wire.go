package overlay

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"google.golang.org/protobuf/encoding/protowire"

	"peergate/media"
	"peergate/overlay/access"
	"peergate/overlay/p2p"
)

// Each frame of a control stream is a protocol-buffers message in which one of these fields is set; what a newer version
// adds is skipped:
//
//	message Control {
//	  Hello   hello   = 1;  // the first, both ways
//	  bytes   swarm   = 2;  // a message about a channel, see swarm.Append
//	  Seek    seek    = 3;
//	  Found   found   = 4;
//	  Missing missing = 5;
//	  Ping    ping    = 6;
//	  List    list    = 7;
//	  Names   names   = 8;
//	  Keys    keys    = 9;
//	  bytes   receipt = 32; // what this gateway was given, see ledger.Receipt
//	  Post    post    = 33; // a letter on its way to an owner, see ledger.Letter
//	  Reply   reply   = 34; // and the owner's reply on its way back, see ledger.Reply
//	}
//	message Post    { string owner = 1; fixed64 number = 2; uint64 hops = 3; bytes letter = 4; }
//	message Reply   { fixed64 number = 1; bytes reply = 2; }
//	message Hello   { uint64 instance = 1; string version = 2; uint64 moves = 3; repeated bytes succession = 4; }
//	message Seek    { uint64 number = 1; fixed64 flood = 2; string owner = 3; string name = 4; uint64 within = 5; bool join = 6; uint64 hops = 7; bytes request = 8; }
//	message Found   { uint64 number = 1; bytes descriptor = 2; bool member = 3; uint64 hops = 4; }
//	message Missing { uint64 number = 1; uint64 cause = 2; string text = 3; }
//	message Ping    { uint64 stamp = 1; uint64 echo = 2; }
//	message List    {}
//	message Names   { repeated string name = 1; }
//	message Keys    { bytes channel = 1; string gateway = 2; bytes request = 3; bytes grant = 4; uint64 hops = 5; bytes leave = 6; }
const (
	fieldHello protowire.Number = iota + 1
	fieldSwarm
	fieldSeek
	fieldFound
	fieldMissing
	fieldPing
	fieldList
	fieldNames
	fieldKeys
)

// The fields about who carried what. Their numbers leave room for the others.
const (
	fieldReceipt protowire.Number = 32 + iota
	fieldPost
	fieldReply
)

const (
	// maxText bounds a version or a reason from a peer in bytes: it goes into logs and to players.
	maxText = 200
	// maxNames bounds the streams that a gateway tells of: with their length, they fit into one message.
	maxNames = 400
	// maxHops bounds how far a seek goes; swarm.MaxHops bounds the way back.
	maxHops = 16
)

var errMalformed = errors.New("malformed control message")

// hello opens a control stream.
type hello struct {
	instance uint64 // differs each time a gateway starts
	version  string
	moves    uint64   // how often its machine has changed its addresses
	chain    [][]byte // the successions of keys that lead to the gateway's, see package access
}

// seek asks who can bring a channel. A gateway that cannot by itself asks its own peers.
type seek struct {
	number uint64 // of the question on this link
	flood  uint64 // the same wherever the question gets, so that nobody is asked twice
	owner  p2p.ID
	name   media.Name
	within uint64 // milliseconds until the answer is of no use
	join   bool   // become a member, somebody will attach; else only tell
	hops   uint64 // from the one who asked first

	request []byte // for keys, to the owner of a members-only channel, who lets the one who asks in for it
}

// found answers a seek: the channel exists and this gateway is a member of its swarm or could become one.
type found struct {
	number     uint64
	descriptor []byte
	member     bool
	hops       uint64 // to the nearest member
}

// missing answers a seek that found nothing.
type missing struct {
	number uint64
	cause  cause
	text   string // for people
}

// cause says why a seek found nothing; the greater one tells more.
type cause uint64

const (
	causeAsked       cause = iota + 1 // this gateway was asked before
	causeUnreachable                  // nobody could reach the owner
	causeRefused                      // the owner does not share it
	causeUnknown                      // the owner has no such stream
	causeForbidden                    // the owner refuses the ticket; the text says why
)

// ping is answered by a ping whose echo is its stamp.
type ping struct{ stamp, echo uint64 }

// names tells which streams of this gateway are live and shared. An empty message asks for it.
type names []media.Name

// control is what a frame of a control stream says: exactly one field is set, or none when the kind is unknown.
type control struct {
	hello   *hello
	swarm   []byte
	seek    *seek
	found   *found
	missing *missing
	ping    *ping
	list    bool
	names   names
	keys    *keysMessage
	receipt []byte
	post    *post
	reply   []byte
}

// fields appends the fields of a message; zero values are left out.
type fields []byte

func (f fields) number(num protowire.Number, v uint64) fields {
	if v == 0 {
		return f
	}
	return protowire.AppendVarint(protowire.AppendTag(f, num, protowire.VarintType), v)
}

func (f fields) fixed(num protowire.Number, v uint64) fields {
	return protowire.AppendFixed64(protowire.AppendTag(f, num, protowire.Fixed64Type), v)
}

func (f fields) text(num protowire.Number, v string) fields {
	if v == "" {
		return f
	}
	return protowire.AppendString(protowire.AppendTag(f, num, protowire.BytesType), v)
}

func (f fields) flag(num protowire.Number, v bool) fields {
	if !v {
		return f
	}
	return f.number(num, 1)
}

// envelope makes the control message whose field num is the body.
func envelope(num protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), body)
}

func (h *hello) encode() []byte {
	f := fields(nil).number(1, h.instance).text(2, h.version).number(3, h.moves)
	for _, s := range h.chain {
		f = f.text(4, string(s))
	}
	return envelope(fieldHello, f)
}

func (s *seek) encode() []byte {
	return envelope(fieldSeek, fields(nil).number(1, s.number).fixed(2, s.flood).text(3, string(s.owner)).
		text(4, string(s.name)).number(5, s.within).flag(6, s.join).number(7, s.hops).text(8, string(s.request)))
}

func (f *found) encode() []byte {
	return envelope(fieldFound, fields(nil).number(1, f.number).text(2, string(f.descriptor)).flag(3, f.member).number(4, f.hops))
}

func (m *missing) encode() []byte {
	return envelope(fieldMissing, fields(nil).number(1, m.number).number(2, uint64(m.cause)).text(3, clip(m.text)))
}

func (p *ping) encode() []byte {
	return envelope(fieldPing, fields(nil).number(1, p.stamp).number(2, p.echo))
}

// encodeList asks for a peer's streams.
func encodeList() []byte { return envelope(fieldList, nil) }

func (n names) encode() []byte {
	var f fields
	for i, name := range n {
		if i == maxNames {
			break
		}
		f = f.text(1, string(name))
	}
	return envelope(fieldNames, f)
}

// decodeControl reads a frame of a control stream. The error wraps errMalformed.
func decodeControl(b []byte) (control, error) {
	var c control
	var inner error
	err := walk(b, func(num protowire.Number, _ uint64, v []byte) {
		switch num {
		case fieldHello:
			c.hello, inner = decodeHello(v)
		case fieldSwarm:
			c.swarm = v
		case fieldSeek:
			c.seek, inner = decodeSeek(v)
		case fieldFound:
			c.found, inner = decodeFound(v)
		case fieldMissing:
			c.missing, inner = decodeMissing(v)
		case fieldPing:
			c.ping, inner = decodePing(v)
		case fieldList:
			c.list = true
		case fieldNames:
			c.names, inner = decodeNames(v)
		case fieldKeys:
			c.keys, inner = decodeKeys(v)
		case fieldReceipt:
			c.receipt = v
		case fieldPost:
			c.post, inner = decodePost(v)
		case fieldReply:
			c.reply = v
		}
	})
	return c, errors.Join(err, inner)
}

func decodeHello(b []byte) (*hello, error) {
	h := new(hello)
	err := walk(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			h.instance = n
		case 2:
			h.version = clip(string(v))
		case 3:
			h.moves = n
		case 4:
			if len(h.chain) < access.MaxChain {
				h.chain = append(h.chain, v)
			}
		}
	})
	return h, err
}

func decodeSeek(b []byte) (*seek, error) {
	s := new(seek)
	err := walk(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			s.number = n
		case 2:
			s.flood = n
		case 3:
			s.owner = p2p.ID(v)
		case 4:
			s.name = media.Name(v)
		case 5:
			s.within = n
		case 6:
			s.join = n != 0
		case 7:
			s.hops = n
		case 8:
			if len(v) > 0 { // none is as one left out
				s.request = v
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if _, err := p2p.ParseID(string(s.owner)); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if _, err := media.ParseName(string(s.name)); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return s, nil
}

func decodeFound(b []byte) (*found, error) {
	f := new(found)
	err := walk(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			f.number = n
		case 2:
			f.descriptor = v
		case 3:
			f.member = n != 0
		case 4:
			f.hops = n
		}
	})
	return f, err
}

func decodeMissing(b []byte) (*missing, error) {
	m := new(missing)
	err := walk(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			m.number = n
		case 2:
			m.cause = cause(n)
		case 3:
			m.text = clip(string(v))
		}
	})
	return m, err
}

func decodePing(b []byte) (*ping, error) {
	p := new(ping)
	err := walk(b, func(num protowire.Number, n uint64, _ []byte) {
		switch num {
		case 1:
			p.stamp = n
		case 2:
			p.echo = n
		}
	})
	return p, err
}

func decodeNames(b []byte) (names, error) {
	var n names
	var bad error
	err := walk(b, func(num protowire.Number, _ uint64, v []byte) {
		if num != 1 {
			return
		}
		name, err := media.ParseName(string(v))
		if err != nil || len(n) == maxNames {
			bad = fmt.Errorf("%w: list of streams", errMalformed)
			return
		}
		n = append(n, name)
	})
	return n, errors.Join(err, bad)
}

// walk calls f with each field of a message that is a number or a run of bytes; other kinds are skipped.
func walk(b []byte, f func(num protowire.Number, n uint64, v []byte)) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(n))
		}
		b = b[n:]
		var v uint64
		var raw []byte
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			raw, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(n))
		}
		b = b[n:]
		f(num, v, raw)
	}
	return nil
}

// clip shortens a text for logs and players, and makes it printable.
func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}
