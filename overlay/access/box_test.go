package access

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The map from Ed25519 to X25519 keys is that of others: the vector is of libsodium's test ed25519_convert.
func TestMontgomery(t *testing.T) {
	key := ed25519.NewKeyFromSeed(unhex(t, "421151a459faeade3d247115f94aedae42318124095afabe4d1451a559faedee"))
	pub, err := montgomery(public(key))
	if err != nil {
		t.Fatal(err)
	}
	if want := "f1814f0e8ff1043d8a44d25babff3cedcae6c22c3edaa48f857ae70de2baae50"; hex.EncodeToString(pub.Bytes()) != want {
		t.Errorf("montgomery = %x, want %s", pub.Bytes(), want)
	}
	sum := sha512.Sum512(key.Seed())
	secret, err := ecdh.X25519().NewPrivateKey(sum[:32])
	if err != nil || !secret.PublicKey().Equal(pub) {
		t.Errorf("the secret key's public one is %x, %v, want %x", secret.PublicKey().Bytes(), err, pub.Bytes())
	}
}

func TestBox(t *testing.T) {
	box, err := sealBox(public(testKey(2)), "test", []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if len(box) != len("hello")+boxOverhead {
		t.Errorf("a box of 5 bytes has %d, want %d", len(box), 5+boxOverhead)
	}
	if got, err := openBox(testKey(2), "test", box); err != nil || string(got) != "hello" {
		t.Errorf("openBox = %q, %v", got, err)
	}
	if _, err := openBox(testKey(3), "test", box); !errors.Is(err, errBox) {
		t.Errorf("openBox with another key = %v, want errBox", err)
	}
	if _, err := openBox(testKey(2), "else", box); !errors.Is(err, errBox) {
		t.Errorf("openBox for another purpose = %v, want errBox", err)
	}
	for i := range box {
		b := bytes.Clone(box)
		b[i] ^= 1
		if _, err := openBox(testKey(2), "test", b); i != 31 && !errors.Is(err, errBox) {
			t.Errorf("openBox with byte %d changed = %v, want errBox", i, err)
		}
	}
	for n := range boxOverhead {
		if _, err := openBox(testKey(2), "test", box[:n]); !errors.Is(err, errBox) {
			t.Errorf("openBox of %d bytes = %v, want errBox", n, err)
		}
	}
	if _, err := openBox(testKey(2), "test", make([]byte, 64)); !errors.Is(err, errBox) { // a point of low order
		t.Errorf("openBox of a point of low order = %v, want errBox", err)
	}
}

// The box is what gateways of all versions open: a change of these bytes needs a new version.
func TestBoxWireBytes(t *testing.T) {
	once, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	box, err := sealBoxWith(once, public(testKey(2)), grantBox, []byte("sixteen bytes ok"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "box.hex", box)
	if got, err := openBox(testKey(2), grantBox, box); err != nil || string(got) != "sixteen bytes ok" {
		t.Errorf("openBox = %q, %v", got, err)
	}
}

func FuzzOpenBox(f *testing.F) {
	box, err := sealBox(public(testKey(2)), "test", []byte("hello"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(box)
	f.Add(make([]byte, 48))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := openBox(testKey(2), "test", b); err == nil && string(got) != "hello" {
			t.Errorf("openBox = %q", got)
		}
	})
}
