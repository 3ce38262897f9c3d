package access

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// ticketPrefix begins the text of a ticket; a base64url text without padding (RFC 4648 §5) follows.
	ticketPrefix = "pgt1_"
	ticketDomain = "peergate ticket 1\x00"
	// maxTicket bounds a ticket in bytes; one with the longest patterns allowed fits.
	maxTicket = 2 << 10
	// maxPatterns and maxPattern bound what a ticket is for.
	maxPatterns, maxPattern = 16, 100
)

// Rights are what a ticket allows, a set of bits. Bits that are not known allow nothing.
type Rights uint64

// Watch is the right to be given the keys of a channel.
const Watch Rights = 1

// Serial tells an owner's tickets apart. It is random.
type Serial [8]byte

// NewSerial returns a serial that no other ticket has.
func NewSerial() (s Serial) {
	_, _ = rand.Read(s[:]) // never fails
	return s
}

// ParseSerial reads the text of a serial.
func ParseSerial(text string) (s Serial, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(s) {
		return s, fmt.Errorf("%q is no serial of a ticket, which has %d hexadecimal digits", clip(text), 2*len(s))
	}
	return Serial(b), nil
}

func (s Serial) String() string { return hex.EncodeToString(s[:]) }

// MarshalText writes the serial as hexadecimal digits.
func (s Serial) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText has written.
func (s *Serial) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSerial(string(b))
	return err
}

// Ticket is the leave of an owner to watch channels.
//
// On the wire it is {1: body, 2: signature of the owner}; the signature is over the text "peergate ticket 1", a zero byte,
// and the body, which has the fields numbered below.
type Ticket struct {
	Owner    ed25519.PublicKey // 2
	Holder   ed25519.PublicKey // 3: the gateway that may use it; nil: whoever bears it
	Channels []string          // 4: patterns of the owner's channels
	Expires  time.Time         // 5: owner's clock, seconds on the wire
	Rights   Rights            // 6
	Uses     int               // 7: how many gateways may use it, when it has no holder
	Serial   Serial            // 8
}

// Sign returns the ticket as bytes with its owner's signature.
func (t *Ticket) Sign(owner ed25519.PrivateKey) []byte {
	m := message(nil).number(1, version).bytes(2, t.Owner).bytes(3, t.Holder)
	for _, p := range t.Channels {
		m = m.bytes(4, []byte(p))
	}
	m = m.number(5, uint64(max(0, t.Expires.Unix()))).number(6, uint64(t.Rights)).number(7, uint64(t.Uses)).bytes(8, t.Serial[:])
	return m.sign(ticketDomain, owner)
}

// TicketText returns the text form of a ticket's bytes, which has no character that is special in a URL.
func TicketText(b []byte) string { return ticketPrefix + base64.RawURLEncoding.EncodeToString(b) }

// TicketBytes returns the bytes of a ticket's text.
func TicketBytes(text string) ([]byte, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), ticketPrefix)
	if !ok {
		return nil, fmt.Errorf("%w ticket: it does not begin with %s", ErrFormat, ticketPrefix)
	}
	if len(rest) > base64.RawURLEncoding.EncodedLen(maxTicket) {
		return nil, fmt.Errorf("%w ticket: it is too long", ErrFormat)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil {
		return nil, fmt.Errorf("%w ticket: a part of it is missing or mistyped", ErrFormat) // the cause would quote it
	}
	return b, nil
}

// ParseTicket reads the bytes of a ticket, and checks its form and signature. That it holds now and here is the owner's to
// say. Errors never quote a ticket: it may be worth as much as a password.
func ParseTicket(b []byte) (*Ticket, error) {
	if len(b) > maxTicket {
		return nil, fmt.Errorf("%w ticket: %d bytes, at most %d are allowed", ErrFormat, len(b), maxTicket)
	}
	s, err := readSigned(b)
	if err != nil {
		return nil, fmt.Errorf("ticket: %w", err)
	}
	t := new(Ticket)
	var ver, seconds uint64
	err = walk(s.body, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			ver = n
		case 2:
			t.Owner = bytes.Clone(v)
		case 3:
			t.Holder = bytes.Clone(v)
		case 4:
			t.Channels = append(t.Channels, string(v))
		case 5:
			seconds = n
		case 6:
			t.Rights = Rights(n)
		case 7:
			t.Uses = int(min(n, 1<<31-1))
		case 8:
			copy(t.Serial[:], v)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("ticket: %w", err)
	}
	t.Expires = time.Unix(int64(min(seconds, 1<<40)), 0)
	switch {
	case ver != version:
		return nil, fmt.Errorf("%w ticket: version %d is unknown: update this gateway", ErrFormat, ver)
	case !s.by(ticketDomain, t.Owner):
		return nil, fmt.Errorf("%w ticket: its signature is not the owner's", ErrFormat)
	}
	return t, t.check()
}

// check tells what is wrong with the fields of a ticket.
func (t *Ticket) check() error {
	switch {
	case len(t.Holder) != 0 && len(t.Holder) != ed25519.PublicKeySize:
		return fmt.Errorf("%w ticket: the key of its holder has %d bytes", ErrFormat, len(t.Holder))
	case len(t.Holder) == 0 && t.Uses < 1:
		return fmt.Errorf("%w ticket: it is for nobody", ErrFormat)
	case len(t.Channels) == 0 || len(t.Channels) > maxPatterns:
		return fmt.Errorf("%w ticket: it is for %d patterns of channels, must be 1 to %d", ErrFormat, len(t.Channels), maxPatterns)
	}
	for _, p := range t.Channels {
		if p == "" || len(p) > maxPattern {
			return fmt.Errorf("%w ticket: a pattern of channels has %d characters, must have 1 to %d", ErrFormat, len(p), maxPattern)
		}
	}
	return nil
}

// Bearer tells whether anybody may use the ticket who has it.
func (t *Ticket) Bearer() bool { return len(t.Holder) == 0 }

// Why a ticket is not accepted. Refused gateways and their players are told.
var (
	ErrExpired  = errors.New("the ticket has expired")
	ErrRevoked  = errors.New("the ticket was revoked")
	ErrUnknown  = errors.New("the owner has no record of the ticket")
	ErrHolder   = errors.New("the ticket is for another gateway")
	ErrUsedUp   = errors.New("the ticket is in use by as many gateways as it is for")
	ErrNoRight  = errors.New("the ticket does not allow to watch")
	ErrChannels = errors.New("the ticket is for other channels")
)

// clip shortens foreign text for an error.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}
