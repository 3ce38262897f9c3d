package access

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// testKey returns the key of a gateway; seed tells gateways apart.
func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

func testTicket() Ticket {
	return Ticket{
		Owner: public(testKey(1)), Channels: []string{"hq/**", "door"}, Expires: time.Unix(1_900_000_000, 0), Rights: Watch,
		Uses: 3, Serial: Serial{1, 2, 3, 4, 5, 6, 7, 8},
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(hex.Dump(got)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if hex.Dump(got) != string(want) {
		t.Errorf("wire bytes have changed:\n%swant\n%s", hex.Dump(got), want)
	}
}

func readTicket(text string) (*Ticket, error) {
	b, err := TicketBytes(text)
	if err != nil {
		return nil, err
	}
	return ParseTicket(b)
}

func TestTicket(t *testing.T) {
	want := testTicket()
	text := TicketText(want.Sign(testKey(1)))
	got, err := readTicket(text)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("ReadTicket = %+v, want %+v", *got, want)
	}
	if !got.Bearer() {
		t.Error("Bearer = false, want true")
	}
	if strings.ContainsAny(text, "+/=&?%# ") {
		t.Errorf("the text %s has characters that are special in a URL", text)
	}
	t.Logf("%d characters", len(text))
}

// The format is what gateways of all versions read: a change of these bytes needs a new version.
func TestTicketWireBytes(t *testing.T) {
	ticket := testTicket()
	golden(t, "ticket.hex", ticket.Sign(testKey(1)))
}

func TestTicketRefuses(t *testing.T) {
	text := func(edit func(*Ticket), key byte) string {
		ticket := testTicket()
		edit(&ticket)
		return TicketText(ticket.Sign(testKey(key)))
	}
	good := text(func(*Ticket) {}, 1)
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":            {"", "does not begin with"},
		"another text":       {"hello", "does not begin with"},
		"cut short":          {good[:len(good)-1], "malformed"},
		"a byte less":        {good[:len(good)-4], "malformed"},
		"a strange letter":   {good[:20] + "!" + good[21:], "missing or mistyped"},
		"too long":           {ticketPrefix + strings.Repeat("A", 10_000), "too long"},
		"another's":          {text(func(*Ticket) {}, 2), "not the owner's"},
		"for nobody":         {text(func(t *Ticket) { t.Uses = 0 }, 1), "for nobody"},
		"no channels":        {text(func(t *Ticket) { t.Channels = nil }, 1), "0 patterns"},
		"too many":           {text(func(t *Ticket) { t.Channels = make([]string, 17) }, 1), "1 to 16"},
		"a long pattern":     {text(func(t *Ticket) { t.Channels = []string{strings.Repeat("a", 101)} }, 1), "101 characters"},
		"a holder of 5 byte": {text(func(t *Ticket) { t.Holder = []byte("mouse") }, 1), "5 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readTicket(tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("ReadTicket = %v, want an error with %q", err, tt.want)
			}
			if len(tt.text) > 20 && strings.Contains(err.Error(), tt.text[10:20]) {
				t.Errorf("the error quotes the ticket: %v", err)
			}
		})
	}
}

func TestEveryFlippedBitOfATicketIsFound(t *testing.T) {
	ticket := testTicket()
	b := ticket.Sign(testKey(1))
	for i := range b {
		for bit := range 8 {
			c := bytes.Clone(b)
			c[i] ^= 1 << bit
			if got, err := ParseTicket(c); err == nil && !reflect.DeepEqual(*got, ticket) {
				t.Errorf("bit %d of byte %d flipped: ParseTicket = %+v", bit, i, *got)
			}
		}
	}
}

func TestSerial(t *testing.T) {
	s := NewSerial()
	if got, err := ParseSerial(s.String()); err != nil || got != s {
		t.Errorf("ParseSerial(%v) = %v, %v", s, got, err)
	}
	for _, text := range []string{"", "12", "zz02030405060708", "010203040506070809"} {
		if _, err := ParseSerial(text); err == nil {
			t.Errorf("ParseSerial(%q) = nil, want an error", text)
		}
	}
}

func FuzzParseTicket(f *testing.F) {
	ticket := testTicket()
	f.Add(ticket.Sign(testKey(1)))
	f.Add([]byte{0x0a, 0x02, 0x08, 0x01, 0x12, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseTicket(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("ParseTicket = %v, want ErrFormat", err)
			}
			return
		}
		if err := got.check(); err != nil {
			t.Errorf("ParseTicket accepted %+v: %v", got, err)
		}
		again, err := readTicket(TicketText(b))
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("as a text it is %+v, %v, as bytes %+v", again, err, got)
		}
	})
}

func FuzzTicketBytes(f *testing.F) {
	ticket := testTicket()
	f.Add(TicketText(ticket.Sign(testKey(1))))
	f.Add(ticketPrefix)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := readTicket(text); err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("ReadTicket = %v, want ErrFormat", err)
		}
	})
}
