package access

import (
	"bytes"
	"crypto/ed25519"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	requestDomain = "peergate key request 1\x00"
	requestBox    = "peergate key request box 1"
	// MaxMessage bounds a request and a grant in bytes: a ticket, and as much again.
	MaxMessage = 4 << 10
)

// Channel is the ID of a channel, as package chunk has it.
type Channel [32]byte

// Request is a gateway's question for the keys of a channel. It is a box for the owner with {1: body, 2: signature of the
// gateway}: that the ticket is in it nobody learns on the way, and the answer is of use to that gateway alone.
type Request struct {
	Channel Channel           // 2
	Gateway ed25519.PublicKey // 3: who asks
	Ticket  []byte            // 4
	Stamp   uint64            // 5: greater in each request of a gateway
}

// Seal signs the request with the gateway's key and seals it for the owner.
func (r *Request) Seal(key ed25519.PrivateKey, owner ed25519.PublicKey) ([]byte, error) {
	m := message(nil).number(1, version).bytes(2, r.Channel[:]).bytes(3, r.Gateway).bytes(4, r.Ticket).number(5, r.Stamp)
	return sealBox(owner, requestBox, m.sign(requestDomain, key))
}

// OpenRequest opens a request with the owner's key and checks the signature of the gateway that asks.
func OpenRequest(key ed25519.PrivateKey, b []byte) (*Request, error) {
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("%w request for keys: %d bytes, at most %d are allowed", ErrFormat, len(b), MaxMessage)
	}
	plain, err := openBox(key, requestBox, b)
	if err != nil {
		return nil, fmt.Errorf("request for keys: %w", err)
	}
	s, err := readSigned(plain)
	if err != nil {
		return nil, fmt.Errorf("request for keys: %w", err)
	}
	r := new(Request)
	var ver uint64
	channel := 0
	err = walk(s.body, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			ver = n
		case 2:
			channel = copy(r.Channel[:], v)
		case 3:
			r.Gateway = bytes.Clone(v)
		case 4:
			r.Ticket = v
		case 5:
			r.Stamp = n
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("request for keys: %w", err)
	case ver != version || channel != len(r.Channel):
		return nil, fmt.Errorf("%w request for keys of version %d", ErrFormat, ver)
	case !s.by(requestDomain, r.Gateway):
		return nil, fmt.Errorf("%w request for keys: its signature is not the gateway's", ErrFormat)
	}
	return r, nil
}
