// Package ledger is who carried what: the words in which gateways acknowledge what others gave them, and the book in which
// the owner of a channel keeps and checks these.
//
//	Receipt   what a downloader signs of what an uploader gave it: cumulative, one after the other for each edge
//	Edge      what a downloader counts of one uploader; Outlay is what an uploader counts of one downloader
//	Lease     the owner's signed leave for an uploader to serve a downloader
//	Pouch     the receipts that the owner has not acknowledged yet, kept on disk
//	Letter    what a member writes to an owner, handed on by others where need be; Reply is the owner's answer
//	Ledger    the owner's book: checks receipts, keeps them in a chain, reports
//
// All that is signed is a protocol-buffers message {1: body, 2: signature}, where the Ed25519 signature is over a text that
// names the kind, a zero byte, and the body. Unknown fields are skipped. A receipt's body:
//
//	field  kind     meaning
//	1      bytes    channel, 32 bytes
//	2      varint   epoch
//	3, 4   bytes    uploader and downloader, their public keys
//	5      fixed64  session: drawn by the downloader each time it joins the channel
//	6      varint   window: 1 for the first receipt of an edge in a session and epoch, then one more each
//	7, 8   varint   bytes and number of chunks that came from the uploader before anyone else's, verified
//	9      varint   of these bytes, those that were asked for (repaired); the rest was pushed
//	10     varint   bytes of chunks that came late or were there already
//	11, 12 varint   the least and the greatest sequence number of the chunks counted in 8
//	13     bytes    SHA-256 of the chunk with the greatest one: the signer had it
//	14     varint   milliseconds that players watched at the downloader in this session and epoch, summed over players
//	15     varint   downloader's clock, milliseconds since 1970
//	16     bytes    SHA-256 of the edge's receipt before, as signed; none in the first
package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Peer is a gateway: its Ed25519 public key.
type Peer [ed25519.PublicKeySize]byte

// PeerOf returns the peer of a key, which must have the size of one.
func PeerOf(key ed25519.PublicKey) Peer { return Peer(key) }

// String returns enough of the key to tell gateways apart.
func (p Peer) String() string { return hex.EncodeToString(p[:4]) }

// Errors of what was signed. A peer that sends such a thing is broken or lies.
var (
	ErrFormat    = errors.New("malformed")
	ErrSignature = errors.New("wrong signature")
)

// sealed returns a body with its signature.
func sealed(domain string, key ed25519.PrivateKey, body []byte) []byte {
	sig := ed25519.Sign(key, append([]byte(domain), body...))
	b := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), body)
	return protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), sig)
}

// unseal returns the body and the signature of what was signed.
func unseal(b []byte) (body, sig []byte, err error) {
	err = walk(b, func(num protowire.Number, _ uint64, v []byte) {
		switch num {
		case 1:
			body = v
		case 2:
			sig = v
		}
	})
	return body, sig, err
}

// verify checks a signature.
func verify(domain string, who Peer, body, sig []byte) error {
	if !ed25519.Verify(who[:], append([]byte(domain), body...), sig) {
		return ErrSignature
	}
	return nil
}

// message is a protocol-buffers message being written; zero values are left out.
type message []byte

func (m *message) number(num protowire.Number, v uint64) {
	if v != 0 {
		*m = protowire.AppendVarint(protowire.AppendTag(*m, num, protowire.VarintType), v)
	}
}

func (m *message) fixed(num protowire.Number, v uint64) {
	*m = protowire.AppendFixed64(protowire.AppendTag(*m, num, protowire.Fixed64Type), v)
}

func (m *message) bytes(num protowire.Number, v []byte) {
	if len(v) > 0 {
		*m = protowire.AppendBytes(protowire.AppendTag(*m, num, protowire.BytesType), v)
	}
}

// hash writes 32 bytes, unless all are zero.
func (m *message) hash(num protowire.Number, v [sha256.Size]byte) {
	if v != ([sha256.Size]byte{}) {
		m.bytes(num, v[:])
	}
}

// hash32 reads what must have 32 bytes into to.
func hash32(to *[sha256.Size]byte, v []byte, bad *error) {
	if len(v) != len(to) {
		*bad = fmt.Errorf("%w: a key or hash has %d bytes", ErrFormat, len(v))
		return
	}
	copy(to[:], v)
}

// walk calls f with each field of a message that is a number or a run of bytes; other kinds are skipped.
func walk(b []byte, f func(num protowire.Number, n uint64, v []byte)) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", ErrFormat, protowire.ParseError(n))
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
			return fmt.Errorf("%w: %w", ErrFormat, protowire.ParseError(n))
		}
		b = b[n:]
		f(num, v, raw)
	}
	return nil
}

// compare orders peers.
func (p Peer) compare(q Peer) int { return bytes.Compare(p[:], q[:]) }
