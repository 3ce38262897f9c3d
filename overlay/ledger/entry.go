package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"peergate/overlay/chunk"
)

// kind says what an entry of the chain is.
type kind int

const (
	kindBegin   kind = iota + 1 // the first: whose ledger it is
	kindTerms                   // prices of a channel, from now on
	kindLease                   // as signed
	kindReceipt                 // a receipt with what was credited for it
	kindDispute                 // something that was refused, with its evidence
	kindAudit                   // an audit that a member did not pass; credits taken back
)

const entryDomain = "peergate ledger 1\x00"

// entryHash chains an entry to the one before.
func entryHash(previous [sha256.Size]byte, id int64, k kind, at int64, body []byte) [sha256.Size]byte {
	b := append([]byte(entryDomain), previous[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(id))
	b = binary.BigEndian.AppendUint64(b, uint64(k))
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	return sha256.Sum256(append(b, body...))
}

// Terms are what a channel costs. Amounts are millionths of the unit in which the owner gives prices.
type Terms struct {
	Name   string
	Price  int64 // for each GB, 10^9 bytes, of chunks that a gateway with players gets
	Hourly int64 // for each hour that a player watches
	Credit int64 // for each GB that a gateway gives to others
}

// credit is what a receipt brought beyond the one before.
type credit struct {
	at                   time.Time
	channel              chunk.ID
	epoch                uint64
	uploader, downloader Peer
	bytes                int64 // credited; less than 0 when it is taken back
	watched              int64 // of these, those for which somebody watched
	viewing              time.Duration
	refused              uint64
	charge, earned       int64 // billionths
}

// encode writes what the chain keeps of a receipt: {1: the receipt as signed, 2: who handed it in, 3 to 9: the credit}.
func (c *credit) encode(raw []byte, sender Peer) message {
	var m message
	m.bytes(1, raw)
	m.hash(2, sender)
	m.number(3, uint64(c.bytes))
	m.number(4, uint64(c.watched))
	m.number(5, uint64(c.viewing.Milliseconds()))
	m.number(6, c.refused)
	m.number(7, uint64(c.charge))
	m.number(8, uint64(c.earned))
	m.number(9, uint64(c.at.UnixMilli()))
	return m
}

// decodeCredit reads it again.
func decodeCredit(b []byte) (c credit, raw []byte, err error) {
	err = walk(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			raw = v
		case 3:
			c.bytes = int64(n)
		case 4:
			c.watched = int64(n)
		case 5:
			c.viewing = time.Duration(int64(n)) * time.Millisecond
		case 6:
			c.refused = n
		case 7:
			c.charge = int64(n)
		case 8:
			c.earned = int64(n)
		case 9:
			c.at = time.UnixMilli(int64(n))
		}
	})
	return c, raw, err
}

// dispute is something that was refused or that does not fit.
type dispute struct {
	at                           time.Time
	channel                      chunk.ID
	sender, uploader, downloader Peer
	reason                       string // one of the reasons
	detail                       string
	bytes                        uint64 // refused
}

// encode writes what the chain keeps of a dispute: {1 to 7: the dispute, 8: what proves it, repeated}.
func (d *dispute) encode(evidence ...[]byte) message {
	var m message
	m.hash(1, d.channel)
	m.hash(2, d.sender)
	m.hash(3, d.uploader)
	m.hash(4, d.downloader)
	m.bytes(5, []byte(d.reason))
	m.bytes(6, []byte(d.detail))
	m.number(7, d.bytes)
	for _, e := range evidence {
		m.bytes(8, e)
	}
	return m
}

// decodeDispute reads it again.
func decodeDispute(b []byte) (d dispute, evidence [][]byte, err error) {
	var bad error
	err = walk(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			hash32((*[32]byte)(&d.channel), v, &bad)
		case 2:
			hash32((*[32]byte)(&d.sender), v, &bad)
		case 3:
			hash32((*[32]byte)(&d.uploader), v, &bad)
		case 4:
			hash32((*[32]byte)(&d.downloader), v, &bad)
		case 5:
			d.reason = string(v)
		case 6:
			d.detail = string(v)
		case 7:
			d.bytes = n
		case 8:
			evidence = append(evidence, v)
		}
	})
	if err == nil {
		err = bad
	}
	return d, evidence, err
}
