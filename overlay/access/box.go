package access

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"

	"filippo.io/edwards25519"
)

// A box is a message that one gateway alone can open: the sender's one-time X25519 key (32 bytes), then the message under
// AES-128-GCM, whose key is derived by HKDF-SHA256 from the shared secret, with both public keys as salt and the purpose
// as info. The key is used once, so that the nonce is zero. The receiver's X25519 key is that of its Ed25519 identity
// (RFC 7748 §4.1 has the map); one key may serve both: Thormarker, "On using the same key pair for Ed25519 and an X25519
// based KEM", 2021.

// boxOverhead is what a box adds to a message, in bytes.
const boxOverhead = 32 + 16

// errBox tells nothing of why: whoever sends a box that does not open is to learn nothing.
var errBox = errors.New("a sealed message does not open with this gateway's key")

// sealBox seals a message for a gateway.
func sealBox(to ed25519.PublicKey, purpose string, plain []byte) ([]byte, error) {
	once, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for one message: %w", err)
	}
	return sealBoxWith(once, to, purpose, plain)
}

func sealBoxWith(once *ecdh.PrivateKey, to ed25519.PublicKey, purpose string, plain []byte) ([]byte, error) {
	pub, err := montgomery(to)
	if err != nil {
		return nil, err
	}
	shared, err := once.ECDH(pub)
	if err != nil {
		return nil, fmt.Errorf("seal a message: %w", err)
	}
	head := once.PublicKey().Bytes()
	return boxAEAD(shared, head, pub.Bytes(), purpose).Seal(head, make([]byte, 12), plain, nil), nil
}

// openBox opens a box that is for this gateway.
func openBox(key ed25519.PrivateKey, purpose string, box []byte) ([]byte, error) {
	if len(box) < boxOverhead {
		return nil, errBox
	}
	// The secret scalar of RFC 8032 §5.1.5; crypto/ecdh clamps it.
	sum := sha512.Sum512(key.Seed())
	own, err := ecdh.X25519().NewPrivateKey(sum[:32])
	if err != nil {
		return nil, err
	}
	from, err := ecdh.X25519().NewPublicKey(box[:32])
	if err != nil {
		return nil, errBox
	}
	shared, err := own.ECDH(from)
	if err != nil { // a point of low order
		return nil, errBox
	}
	plain, err := boxAEAD(shared, box[:32], own.PublicKey().Bytes(), purpose).Open(nil, make([]byte, 12), box[32:], nil)
	if err != nil {
		return nil, errBox
	}
	return plain, nil
}

// montgomery returns the X25519 key of an Ed25519 one.
func montgomery(key ed25519.PublicKey) (*ecdh.PublicKey, error) {
	p, err := new(edwards25519.Point).SetBytes(key)
	if err != nil {
		return nil, fmt.Errorf("the key of a gateway is no point of the curve: %w", err)
	}
	return ecdh.X25519().NewPublicKey(p.BytesMontgomery())
}

func boxAEAD(shared, from, to []byte, purpose string) cipher.AEAD {
	key, err := hkdf.Key(sha256.New, shared, append(append([]byte(nil), from...), to...), purpose, 16)
	if err != nil {
		panic(err) // only for lengths beyond 8 KiB
	}
	return gcm(key, 16)
}

// gcm returns AES-GCM with a tag of so many bytes.
func gcm(key []byte, tag int) cipher.AEAD {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the caller's keys have 16 bytes
	}
	a, err := cipher.NewGCMWithTagSize(b, tag)
	if err != nil {
		panic(err)
	}
	return a
}
