package access

import (
	"crypto/ed25519"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func testDirectory() (*Directory, ed25519.PrivateKey) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	return &Directory{
		Owner: key.Public().(ed25519.PublicKey), At: time.Unix(1_700_000_000, 0),
		Listings: []Listing{
			{Name: "lobby", Title: "Lobby", Description: "Who comes and goes", Language: "en", Tags: []string{"indoor", "hq"}, Access: "open", Live: true},
			{Name: "cameras/door-2", Access: "members"},
		},
	}, key
}

// TestDirectory reads back what was signed; each flipped bit is found.
func TestDirectory(t *testing.T) {
	d, key := testDirectory()
	b := d.Sign(key)
	got, err := ParseDirectory(b)
	if err != nil || !reflect.DeepEqual(got, d) {
		t.Fatalf("ParseDirectory = %+v, %v, want %+v", got, err, d)
	}
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		if got, err := ParseDirectory(b); err == nil && !reflect.DeepEqual(got, d) {
			t.Errorf("with bit %d flipped: %+v", i, got)
		}
		b[i/8] ^= 1 << (i % 8)
	}
}

// TestDirectoryIsBounded has an owner list more than others would read, in texts that would steer a terminal.
func TestDirectoryIsBounded(t *testing.T) {
	d, key := testDirectory()
	d.Listings = nil
	for range 2 * MaxListings {
		d.Listings = append(d.Listings, Listing{Name: "a", Title: "\x1b[2J" + strings.Repeat("x", 1000)})
	}
	got, err := ParseDirectory(d.Sign(key))
	if err != nil || len(got.Listings) == 0 || len(got.Listings) > MaxListings {
		t.Fatalf("%d channels, %v", len(got.Listings), err)
	}
	if title := got.Listings[0].Title; len(title) > maxLine || strings.ContainsRune(title, 0x1b) {
		t.Errorf("title %q", title)
	}
	if _, err := ParseDirectory(make([]byte, MaxDirectory+1)); !errors.Is(err, ErrFormat) {
		t.Errorf("ParseDirectory of too much = %v", err)
	}
}

func FuzzDirectory(f *testing.F) {
	d, key := testDirectory()
	f.Add(d.Sign(key))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = ParseDirectory(body)
		b := message(body).sign(directoryDomain, key) // what an owner can make others read
		got, err := ParseDirectory(b)
		if err != nil {
			return
		}
		again, err := ParseDirectory(got.Sign(key))
		if err != nil || len(again.Listings) > len(got.Listings) {
			t.Errorf("what was read is not read again: %v", err)
		}
	})
}
