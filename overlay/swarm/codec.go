package swarm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// On the wire a message is one of protocol buffers: field 1 is the channel, and one other field, whose number is the
// kind, holds the message. Numbers are varints, ID.Hop is fixed64, lists are repeated fields, or packed where they are
// of numbers. Fields that are 0 or empty are left out; unknown fields are skipped, so that a newer version may add some.
const (
	kindFind        protowire.Number = 2
	kindMembers     protowire.Number = 3
	kindDescribe    protowire.Number = 4
	kindDescription protowire.Number = 5
	kindAttach      protowire.Number = 6
	kindAttached    protowire.Number = 7
	kindRefused     protowire.Number = 8
	kindDetach      protowire.Number = 9
	kindLeave       protowire.Number = 10
	kindHeartbeat   protowire.Number = 11
	kindWant        protowire.Number = 12
	kindLack        protowire.Number = 13
	kindAck         protowire.Number = 14
	kindReport      protowire.Number = 15
	kindPlan        protowire.Number = 16
)

// ErrUnknownMessage means that a message is of a kind that a newer version has; it is to be ignored.
var ErrUnknownMessage = errors.New("message of an unknown kind")

// encoder appends the fields of a message.
type encoder struct{ b []byte }

func (e *encoder) uint(n protowire.Number, v uint64) {
	if v != 0 {
		e.b = protowire.AppendVarint(protowire.AppendTag(e.b, n, protowire.VarintType), v)
	}
}

func (e *encoder) int(n protowire.Number, v int) { e.uint(n, protowire.EncodeZigZag(int64(v))) }

func (e *encoder) bool(n protowire.Number, v bool) {
	if v {
		e.uint(n, 1)
	}
}

func (e *encoder) bytes(n protowire.Number, v []byte) {
	if len(v) > 0 {
		e.b = protowire.AppendBytes(protowire.AppendTag(e.b, n, protowire.BytesType), v)
	}
}

// seqs appends sequence numbers, each but the first less the one before.
func (e *encoder) seqs(n protowire.Number, v []uint64) {
	var b []byte
	last := uint64(0)
	for _, q := range v {
		b = protowire.AppendVarint(b, protowire.EncodeZigZag(int64(q-last)))
		last = q
	}
	e.bytes(n, b)
}

func (e *encoder) hops(n protowire.Number, v []uint64) {
	var b []byte
	for _, h := range v {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	e.bytes(n, b)
}

// message appends a message in a field, also when it is empty.
func (e *encoder) message(n protowire.Number, f func(*encoder)) {
	var in encoder
	f(&in)
	e.b = protowire.AppendBytes(protowire.AppendTag(e.b, n, protowire.BytesType), in.b)
}

func (e *encoder) member(n protowire.Number, m *Member) {
	e.message(n, func(e *encoder) {
		e.bytes(1, []byte(m.ID))
		for _, a := range m.Addresses {
			e.bytes(2, []byte(a))
		}
		e.int(3, m.Slots)
		e.int(4, m.Spare)
		e.uint(5, m.Stripes)
		e.int(6, m.Depth)
		e.int(7, m.RTT)
		e.uint(8, m.Leaves)
		e.uint(9, m.Home)
	})
}

func (e *encoder) members(n protowire.Number, ms []Member) {
	for i := range ms {
		e.member(n, &ms[i])
	}
}

func (e *encoder) paths(n protowire.Number, ps []Path) {
	for i := range ps {
		p := &ps[i]
		e.message(n, func(e *encoder) {
			e.uint(1, p.Stripes)
			e.bool(2, p.Rooted)
			e.int(3, p.Delay)
			e.hops(4, p.Hops)
		})
	}
}

func (e *encoder) have(n protowire.Number, h *Have) {
	if h.Base == 0 && h.Full == 0 && len(h.Bits) == 0 {
		return
	}
	e.message(n, func(e *encoder) {
		e.uint(1, h.Base)
		e.int(2, h.Full)
		e.bytes(3, h.Bits)
	})
}

// Append appends the wire form of a message about a channel to b.
func Append(b []byte, ch Channel, m Message) []byte {
	e := encoder{b}
	e.bytes(1, ch[:])
	switch m := m.(type) {
	case Find:
		e.message(kindFind, func(e *encoder) { e.member(1, &m.Self); e.int(2, m.Want); e.uint(3, m.Stripes) })
	case Members:
		e.message(kindMembers, func(e *encoder) {
			e.member(1, &m.Self)
			e.members(2, m.Members)
			e.int(3, m.Size)
			e.int(4, m.Givers)
		})
	case Describe:
		e.message(kindDescribe, func(e *encoder) { e.uint(1, m.Epoch) })
	case Description:
		e.message(kindDescription, func(e *encoder) { e.bytes(1, m.Descriptor) })
	case Attach:
		e.message(kindAttach, func(e *encoder) { e.attach(&m) })
	case Attached:
		e.message(kindAttached, func(e *encoder) {
			e.uint(1, m.Epoch)
			e.uint(2, m.Stripes)
			e.uint(3, m.Head)
			e.paths(4, m.Paths)
			e.uint(5, m.Number)
			e.uint(6, m.From)
		})
	case Refused:
		e.message(kindRefused, func(e *encoder) {
			e.int(1, int(m.Reason))
			e.uint(2, m.Stripes)
			e.int(3, m.Retry)
			e.members(4, m.Members)
			e.uint(5, m.Number)
		})
	case Detach:
		e.message(kindDetach, func(e *encoder) { e.uint(1, m.Stripes); e.int(2, m.After); e.members(3, m.Members); e.bool(4, m.Asks) })
	case Leave:
		e.message(kindLeave, func(e *encoder) { e.int(1, m.After); e.members(2, m.Backups) })
	case Heartbeat:
		e.message(kindHeartbeat, func(e *encoder) { e.heartbeat(&m) })
	case Want:
		e.message(kindWant, func(e *encoder) { e.uint(1, m.Epoch); e.seqs(2, m.Seqs) })
	case Lack:
		e.message(kindLack, func(e *encoder) { e.uint(1, m.Epoch); e.seqs(2, m.Seqs); e.seqs(3, m.Coming) })
	case Ack:
		e.message(kindAck, func(e *encoder) {
			e.uint(1, m.Epoch)
			e.seqs(2, m.Seqs)
			e.uint(3, m.Last)
			e.uint(4, m.Stamp)
		})
	case Report:
		e.message(kindReport, func(e *encoder) {
			e.member(1, &m.Self)
			e.int(2, m.Used)
			e.uint(3, m.Lacks)
			e.bool(4, m.Leaves)
		})
	case Plan:
		e.message(kindPlan, func(e *encoder) {
			e.int(1, m.Every)
			e.int(2, m.Size)
			e.int(3, m.Givers)
			e.uint(4, m.Stripes)
			e.bool(5, m.Wait)
		})
	default:
		panic(fmt.Sprintf("swarm: Append of %T, which is no message", m))
	}
	return e.b
}

func (e *encoder) attach(m *Attach) {
	e.uint(1, m.Epoch)
	e.uint(2, m.Stripes)
	e.bool(3, m.Resume)
	e.int(4, m.Tries)
	e.have(5, &m.Have)
	e.member(6, &m.Self)
	e.uint(7, m.Number)
}

func (e *encoder) heartbeat(m *Heartbeat) {
	e.uint(1, m.Epoch)
	e.bool(2, m.Ask)
	e.uint(3, m.Stamp)
	e.uint(4, m.Echo)
	e.int(5, m.Slots)
	e.int(6, m.Spare)
	e.uint(7, m.Stripes)
	e.paths(8, m.Paths)
	e.have(9, &m.Have)
	e.uint(10, m.Wall)
	e.uint(11, m.Error)
	e.uint(12, m.Leaves)
	e.uint(13, m.Home)
}
