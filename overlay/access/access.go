// Package access says who may watch: the tickets of an owner, and the content keys that its members-only channels are
// sealed with.
//
//	Ticket    the owner's signed leave to watch channels, for one gateway or for who bears it
//	Register  the owner's list of the tickets that it has issued, with what was revoked and which uses are taken
//	Request   a gateway's question to the owner for the keys of a channel: sealed, so that who carries it learns nothing
//	Grant     the owner's answer: the keys, sealed for that gateway alone, or why there are none
//	Rotation  the owner's keys of one epoch, a new one each minute; Ring, the keys that a member has
//
// Requests and grants travel through other gateways as they are. All are protocol-buffers messages; unknown fields are
// skipped.
package access

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrFormat means that bytes or a text are not what they are said to be.
var ErrFormat = errors.New("malformed")

// version is that of tickets, requests and grants.
const version = 1

// message collects the fields of a message; zero values are left out.
type message []byte

func (m message) number(num protowire.Number, v uint64) message {
	if v == 0 {
		return m
	}
	return protowire.AppendVarint(protowire.AppendTag(m, num, protowire.VarintType), v)
}

func (m message) bytes(num protowire.Number, v []byte) message {
	if len(v) == 0 {
		return m
	}
	return protowire.AppendBytes(protowire.AppendTag(m, num, protowire.BytesType), v)
}

// sign returns the message {1: body, 2: signature}. The domain keeps a signature from being one of anything else.
func (m message) sign(domain string, key ed25519.PrivateKey) []byte {
	return message(nil).bytes(1, m).bytes(2, ed25519.Sign(key, append([]byte(domain), m...)))
}

// signature is a signed message that was read and is not verified yet.
type signature struct {
	body, sig []byte
}

func readSigned(b []byte) (s signature, err error) {
	err = walk(b, func(num protowire.Number, _ uint64, v []byte) {
		switch num {
		case 1:
			s.body = v
		case 2:
			s.sig = v
		}
	})
	return s, err
}

// by tells whether the signature is that of a key.
func (s signature) by(domain string, key ed25519.PublicKey) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, append([]byte(domain), s.body...), s.sig)
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
