package access

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protowire"

	"peergate/media"
)

const (
	directoryDomain = "peergate directory 1\x00"
	// MaxDirectory bounds a directory in bytes.
	MaxDirectory = 256 << 10
	// MaxListings bounds the channels of a directory.
	MaxListings = 500
	// maxLine and maxAbout bound texts of a listing in bytes, maxTags and maxTag its tags.
	maxLine, maxAbout, maxTags, maxTag = 200, 2000, 20, 50
)

// Directory is what an owner tells everybody of its channels. It is {1: body, 2: signature of the owner}, like a ticket.
type Directory struct {
	Owner    ed25519.PublicKey // 2
	At       time.Time         // 3: owner's clock, seconds on the wire
	Listings []Listing         // 4
}

// Listing is a channel in a directory.
type Listing struct {
	Name        media.Name // 1
	Title       string     // 2
	Description string     // 3
	Language    string     // 4: BCP 47
	Tags        []string   // 5
	Access      string     // 6: listed, open or members
	Live        bool       // 7: it can be watched now
}

// Sign returns the directory as bytes with its owner's signature; what is beyond the bounds is left out.
func (d *Directory) Sign(owner ed25519.PrivateKey) []byte {
	m := message(nil).number(1, version).bytes(2, d.Owner).number(3, uint64(max(0, d.At.Unix())))
	for i := range d.Listings[:min(len(d.Listings), MaxListings)] {
		entry := d.Listings[i].encode()
		if len(m)+len(entry) > MaxDirectory-200 {
			break
		}
		m = m.bytes(4, entry)
	}
	return m.sign(directoryDomain, owner)
}

func (l *Listing) encode() message {
	m := message(nil).bytes(1, []byte(l.Name)).bytes(2, []byte(l.Title)).bytes(3, []byte(l.Description)).bytes(4, []byte(l.Language))
	for _, t := range l.Tags {
		m = m.bytes(5, []byte(t))
	}
	m = m.bytes(6, []byte(l.Access))
	if l.Live {
		m = m.number(7, 1)
	}
	return m
}

// ParseDirectory reads a directory, and checks its form and signature. Texts are cleaned of what a terminal would obey, and cut.
func ParseDirectory(b []byte) (*Directory, error) {
	if len(b) > MaxDirectory {
		return nil, fmt.Errorf("%w directory: %d bytes, at most %d are allowed", ErrFormat, len(b), MaxDirectory)
	}
	s, err := readSigned(b)
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	d := new(Directory)
	var ver uint64
	var entries [][]byte
	err = walk(s.body, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			ver = n
		case 2:
			d.Owner = bytes.Clone(v)
		case 3:
			d.At = time.Unix(int64(min(n, 1<<40)), 0)
		case 4:
			entries = append(entries, v)
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("directory: %w", err)
	case ver != version:
		return nil, fmt.Errorf("%w directory: version %d is unknown: update this gateway", ErrFormat, ver)
	case !s.by(directoryDomain, d.Owner):
		return nil, fmt.Errorf("%w directory: its signature is not the owner's", ErrFormat)
	case len(entries) > MaxListings:
		return nil, fmt.Errorf("%w directory: it has %d channels, at most %d are allowed", ErrFormat, len(entries), MaxListings)
	}
	for _, e := range entries {
		l, err := parseListing(e)
		if err != nil {
			return nil, fmt.Errorf("directory: %w", err)
		}
		d.Listings = append(d.Listings, l)
	}
	return d, nil
}

func parseListing(b []byte) (l Listing, err error) {
	name := ""
	err = walk(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			name = string(v)
		case 2:
			l.Title = clean(v, maxLine)
		case 3:
			l.Description = clean(v, maxAbout)
		case 4:
			l.Language = clean(v, maxTag)
		case 5:
			if len(l.Tags) < maxTags {
				l.Tags = append(l.Tags, clean(v, maxTag))
			}
		case 6:
			l.Access = clean(v, maxTag)
		case 7:
			l.Live = n != 0
		}
	})
	if err == nil {
		l.Name, err = media.ParseName(name)
	}
	return l, err
}

// clean makes a line of foreign text.
func clean(b []byte, most int) string {
	s := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(b[:min(len(b), most)]), ""))
	return strings.TrimSpace(s)
}
