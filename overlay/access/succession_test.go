package access

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func succession(from, to byte) []byte {
	return SignSuccession(testKey(from), testKey(to), time.Unix(1_700_000_000, 0))
}

func TestSuccession(t *testing.T) {
	b := succession(1, 2)
	s, err := ParseSuccession(b)
	if err != nil || !s.Old.Equal(public(testKey(1))) || !s.New.Equal(public(testKey(2))) || s.At.Unix() != 1_700_000_000 {
		t.Errorf("ParseSuccession = %+v, %v", s, err)
	}
	golden(t, "succession.hex", b)
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 1
		if got, err := ParseSuccession(c); err == nil && (!got.Old.Equal(s.Old) || !got.New.Equal(s.New)) {
			t.Errorf("byte %d changed: ParseSuccession = %+v", i, got)
		}
	}
	// Nobody can make the key of another gateway its own successor.
	m := message(nil).number(1, version).bytes(2, public(testKey(1))).bytes(3, public(testKey(2)))
	forged := message(m.sign(successionDomain, testKey(1))).bytes(3, ed25519.Sign(testKey(1), append([]byte(heirDomain), m...)))
	if _, err := ParseSuccession(forged); !errors.Is(err, ErrFormat) {
		t.Errorf("ParseSuccession of one that the new key has not signed = %v, want ErrFormat", err)
	}
}

func TestSuccessions(t *testing.T) {
	folder := t.TempDir()
	s, err := LoadSuccessions(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{succession(1, 2), succession(2, 3), succession(8, 9)} {
		if fresh, err := s.Add(b); err != nil || !fresh {
			t.Errorf("Add = %v, %v, want true", fresh, err)
		}
	}
	if fresh, err := s.Add(succession(1, 2)); err != nil || fresh {
		t.Errorf("Add again = %v, %v, want false", fresh, err)
	}
	if _, err := s.Add(succession(1, 7)); err == nil {
		t.Error("a key has two successors")
	}
	if s, err = LoadSuccessions(folder); err != nil {
		t.Fatal(err)
	}
	if got := s.Follow(public(testKey(1))); !got.Equal(public(testKey(3))) {
		t.Errorf("Follow = %x, want the third key", got)
	}
	if got := s.Follow(public(testKey(5))); !got.Equal(public(testKey(5))) {
		t.Errorf("Follow of a key without a successor = %x, want itself", got)
	}
	chain := s.Chain(public(testKey(3)))
	if len(chain) != 2 || !bytes.Equal(chain[0], succession(1, 2)) || !bytes.Equal(chain[1], succession(2, 3)) {
		t.Errorf("Chain has %d successions, want those of the first and the second key", len(chain))
	}
	path := filepath.Join(folder, successionFile)
	if err := os.WriteFile(path, []byte("AAAA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadSuccessions(folder); err == nil {
		t.Error("LoadSuccessions of a broken file = nil, want an error")
	}
}

// Keys that follow each other in a circle end no loop.
func TestSuccessionsInACircle(t *testing.T) {
	s, err := LoadSuccessions("")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{succession(1, 2), succession(2, 1)} {
		if _, err := s.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	s.Follow(public(testKey(1)))
	if n := len(s.Chain(public(testKey(1)))); n > MaxChain {
		t.Errorf("Chain has %d successions, want %d at most", n, MaxChain)
	}
}

func FuzzParseSuccession(f *testing.F) {
	f.Add(succession(1, 2))
	f.Add([]byte{0x0a, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := ParseSuccession(b); err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("ParseSuccession = %v, want ErrFormat", err)
		}
	})
}
