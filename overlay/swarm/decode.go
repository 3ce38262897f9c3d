package swarm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// errMessage means that a message is malformed or beyond a limit.
var errMessage = errors.New("malformed message")

// maxNumber bounds numbers that are added up: no slot, millisecond or depth is larger.
const maxNumber = math.MaxInt32

// decoder reads the fields of a message; the first fault is kept and ends it.
type decoder struct{ err error }

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", errMessage, fmt.Sprintf(format, args...))
	}
}

// field is one field of a message: a number or bytes.
type field struct {
	num protowire.Number
	n   uint64
	b   []byte
}

// fields calls f for each number and byte string of a message; other kinds are skipped.
func (d *decoder) fields(b []byte, f func(field)) {
	for len(b) > 0 && d.err == nil {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			d.fail("%v", protowire.ParseError(n))
			return
		}
		b = b[n:]
		v := field{num: num}
		switch typ {
		case protowire.VarintType:
			v.n, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			v.b, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
			v.num = 0
		}
		if n < 0 {
			d.fail("%v", protowire.ParseError(n))
			return
		}
		b = b[n:]
		if v.num != 0 {
			f(v)
		}
	}
}

func (d *decoder) int(f field) int {
	v := protowire.DecodeZigZag(f.n)
	if v > maxNumber || v < -1 {
		d.fail("number %d in field %d", v, f.num)
		return 0
	}
	return int(v)
}

func (d *decoder) seqs(b []byte, limit int) []uint64 {
	var qs []uint64
	last := uint64(0)
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 || len(qs) == limit {
			d.fail("list of sequence numbers, at most %d are allowed", limit)
			return nil
		}
		b = b[n:]
		last += uint64(protowire.DecodeZigZag(v))
		qs = append(qs, last)
	}
	return qs
}

func (d *decoder) hops(b []byte) []uint64 {
	if len(b)%8 != 0 || len(b)/8 > MaxHops {
		d.fail("path of %d bytes", len(b))
		return nil
	}
	var hs []uint64
	for ; len(b) > 0; b = b[8:] {
		hs = append(hs, binary.LittleEndian.Uint64(b))
	}
	return hs
}

func (d *decoder) member(b []byte) (m Member) {
	d.fields(b, func(f field) {
		switch f.num {
		case 1:
			if len(f.b) > maxID || !utf8.Valid(f.b) {
				d.fail("ID of %d bytes", len(f.b))
			}
			m.ID = ID(f.b)
		case 2:
			if len(f.b) == 0 || len(f.b) > maxAddress || len(m.Addresses) == maxAddresses || !utf8.Valid(f.b) {
				d.fail("address %d of %d bytes", len(m.Addresses)+1, len(f.b))
				return
			}
			m.Addresses = append(m.Addresses, string(f.b))
		case 3:
			m.Slots = d.int(f)
		case 4:
			m.Spare = d.int(f)
		case 5:
			m.Stripes = f.n
		case 6:
			m.Depth = d.int(f)
		case 7:
			m.RTT = d.int(f)
		case 8:
			m.Leaves = f.n
		case 9:
			m.Home = f.n
		}
	})
	if m.ID == "" {
		d.fail("member without an ID")
	}
	return m
}

func (d *decoder) members(ms []Member, b []byte) []Member {
	if len(ms) == MaxMembers {
		d.fail("more than %d members", MaxMembers)
		return ms
	}
	return append(ms, d.member(b))
}

func (d *decoder) paths(ps []Path, b []byte) []Path {
	if len(ps) == MaxStripes {
		d.fail("more than %d paths", MaxStripes)
		return ps
	}
	var p Path
	d.fields(b, func(f field) {
		switch f.num {
		case 1:
			p.Stripes = f.n
		case 2:
			p.Rooted = f.n != 0
		case 3:
			p.Delay = d.int(f)
		case 4:
			p.Hops = d.hops(f.b)
		}
	})
	return append(ps, p)
}

func (d *decoder) have(b []byte) (h Have) {
	d.fields(b, func(f field) {
		switch f.num {
		case 1:
			h.Base = f.n
		case 2:
			h.Full = d.int(f)
		case 3:
			if len(f.b) > maxHave {
				d.fail("have-bitmap of %d bytes, at most %d are allowed", len(f.b), maxHave)
				return
			}
			h.Bits = append([]byte(nil), f.b...)
		}
	})
	if h.Full < 0 || uint64(h.Full) > h.Base {
		d.fail("%d chunks held below %d", h.Full, h.Base)
	}
	return h
}

// Decode reads what Append wrote. Any other error than ErrUnknownMessage means that the peer is broken.
func Decode(b []byte) (ch Channel, m Message, err error) {
	var d decoder
	named := false
	d.fields(b, func(f field) {
		switch {
		case f.num == 1:
			if named = len(f.b) == len(ch); !named {
				d.fail("channel of %d bytes", len(f.b))
			}
			copy(ch[:], f.b)
		case m == nil:
			m = d.message(f)
		}
	})
	switch {
	case d.err != nil:
		return ch, nil, d.err
	case !named:
		return ch, nil, fmt.Errorf("%w: no channel", errMessage)
	case m == nil:
		return ch, nil, ErrUnknownMessage
	}
	return ch, m, nil
}

// message reads the message in a field; nil means that its kind is unknown.
func (d *decoder) message(f field) Message {
	switch f.num {
	case kindFind:
		return d.find(f.b)
	case kindMembers:
		return d.answer(f.b)
	case kindDescribe:
		var m Describe
		d.fields(f.b, func(f field) {
			if f.num == 1 {
				m.Epoch = f.n
			}
		})
		return m
	case kindDescription:
		var m Description
		d.fields(f.b, func(f field) {
			if f.num == 1 {
				m.Descriptor = append([]byte(nil), f.b...)
			}
		})
		if len(m.Descriptor) > maxDescription {
			d.fail("description of %d bytes", len(m.Descriptor))
		}
		return m
	case kindAttach:
		return d.attach(f.b)
	case kindAttached:
		return d.attached(f.b)
	case kindRefused:
		return d.refused(f.b)
	case kindDetach:
		return d.detach(f.b)
	case kindLeave:
		return d.leave(f.b)
	case kindHeartbeat:
		return d.heartbeat(f.b)
	case kindWant:
		epoch, qs := d.listed(f.b, maxWant)
		return Want{epoch, qs}
	case kindLack:
		return d.lack(f.b)
	case kindAck:
		return d.ack(f.b)
	case kindReport:
		return d.report(f.b)
	case kindPlan:
		return d.plan(f.b)
	}
	return nil
}
