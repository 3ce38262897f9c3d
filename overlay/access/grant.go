package access

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	grantDomain = "peergate key grant 1\x00"
	grantBox    = "peergate key grant box 1"
	// maxKeys bounds the keys of a grant: the present one, and the next.
	maxKeys = 4
	// maxReason bounds the reason of a refusal in bytes.
	maxReason = 200
)

// Grant is an owner's answer to a Request: keys, or the reason why there are none. It is {1: body, 2: signature of the
// owner}, the keys in a box for the gateway: each its number as a varint, and 16 bytes.
type Grant struct {
	Channel Channel           // 2
	Gateway ed25519.PublicKey // 3: whom it is for
	Epoch   uint64            // 4: of the channel
	Stamp   uint64            // 5: of the newest request of the gateway
	Keys    []Key             // 6, in a box
	Refused string            // 7: why there are no keys
	Leave   []byte            // 8: a ticket of the gateway alone, to be shown to other members
}

// Seal seals the keys for the gateway and signs the grant with the owner's key.
func (g *Grant) Seal(owner ed25519.PrivateKey) ([]byte, error) {
	m := message(nil).number(1, version).bytes(2, g.Channel[:]).bytes(3, g.Gateway).number(4, g.Epoch).number(5, g.Stamp)
	if g.Refused != "" {
		return m.bytes(7, []byte(g.Refused)).sign(grantDomain, owner), nil
	}
	var plain []byte
	for _, k := range g.Keys {
		plain = append(binary.AppendUvarint(plain, k.ID), k.secret[:]...)
	}
	box, err := sealBox(g.Gateway, grantBox, plain)
	if err != nil {
		return nil, err
	}
	return m.bytes(6, box).bytes(8, g.Leave).sign(grantDomain, owner), nil
}

// OpenGrant checks the owner's signature of a grant and opens it with the key of the gateway that it is for.
func OpenGrant(key ed25519.PrivateKey, owner ed25519.PublicKey, b []byte) (*Grant, error) {
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("%w grant: %d bytes, at most %d are allowed", ErrFormat, len(b), MaxMessage)
	}
	s, err := readSigned(b)
	if err != nil {
		return nil, fmt.Errorf("grant: %w", err)
	}
	if !s.by(grantDomain, owner) {
		return nil, fmt.Errorf("%w grant: its signature is not the owner's", ErrFormat)
	}
	g := new(Grant)
	var ver uint64
	var box []byte
	channel := 0
	err = walk(s.body, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			ver = n
		case 2:
			channel = copy(g.Channel[:], v)
		case 3:
			g.Gateway = bytes.Clone(v)
		case 4:
			g.Epoch = n
		case 5:
			g.Stamp = n
		case 6:
			box = v
		case 7:
			g.Refused = string(v[:min(len(v), maxReason)])
		case 8:
			g.Leave = v
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("grant: %w", err)
	case ver != version || channel != len(g.Channel):
		return nil, fmt.Errorf("%w grant of version %d", ErrFormat, ver)
	case !bytes.Equal(g.Gateway, key.Public().(ed25519.PublicKey)):
		return nil, fmt.Errorf("%w grant: it is for another gateway", ErrFormat)
	case g.Refused != "":
		return g, nil
	}
	return g, g.open(key, box)
}

// open reads the keys.
func (g *Grant) open(key ed25519.PrivateKey, box []byte) error {
	plain, err := openBox(key, grantBox, box)
	if err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	for len(plain) > 0 {
		id, n := binary.Uvarint(plain)
		if n <= 0 || len(plain) < n+keySize || len(g.Keys) == maxKeys {
			return fmt.Errorf("%w grant: its keys cannot be read", ErrFormat)
		}
		g.Keys = append(g.Keys, Key{id, [keySize]byte(plain[n:])})
		plain = plain[n+keySize:]
	}
	return nil
}
