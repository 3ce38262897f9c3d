package ledger

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"peergate/overlay/chunk"
)

const (
	leaseDomain = "peergate lease 1\x00"
	// LeaseFor is how long a lease is good for; it is asked for anew when half of that is over.
	LeaseFor = 10 * time.Minute
	// Unleased is how long a channel that is paid for is carried without the owner's word.
	Unleased = 60 * time.Second
)

// Lease is the owner's leave for an uploader to serve a downloader.
type Lease struct {
	Channel              chunk.ID  // 1
	Epoch                uint64    // 2
	Uploader, Downloader Peer      // 3, 4
	Stripes              uint64    // 5: mask of those that were asked for; 0 is only repairs
	Issued, Expires      time.Time // 6, 7: owner's clock, milliseconds on the wire
	Standing             uint64    // 8: percent of what the downloader has watched in the owner's channels that it has carried
}

// Sign returns the lease with the owner's signature.
func (l *Lease) Sign(owner ed25519.PrivateKey) []byte { return sealed(leaseDomain, owner, l.encode()) }

func (l *Lease) encode() message {
	var m message
	m.hash(1, l.Channel)
	m.number(2, l.Epoch)
	m.hash(3, l.Uploader)
	m.hash(4, l.Downloader)
	m.number(5, l.Stripes)
	m.number(6, uint64(l.Issued.UnixMilli()))
	m.number(7, uint64(l.Expires.UnixMilli()))
	m.number(8, l.Standing)
	return m
}

// ParseLease reads a lease and checks that the owner has signed it.
func ParseLease(b []byte, owner Peer) (*Lease, error) {
	body, sig, err := unseal(b)
	if err == nil {
		err = verify(leaseDomain, owner, body, sig)
	}
	if err != nil {
		return nil, fmt.Errorf("lease: %w", err)
	}
	l := new(Lease)
	var bad error
	err = walk(body, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			hash32((*[32]byte)(&l.Channel), v, &bad)
		case 2:
			l.Epoch = n
		case 3:
			hash32((*[32]byte)(&l.Uploader), v, &bad)
		case 4:
			hash32((*[32]byte)(&l.Downloader), v, &bad)
		case 5:
			l.Stripes = n
		case 6:
			l.Issued = time.UnixMilli(int64(min(n, maxNumber)))
		case 7:
			l.Expires = time.UnixMilli(int64(min(n, maxNumber)))
		case 8:
			l.Standing = n
		}
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return nil, fmt.Errorf("lease: %w", err)
	}
	return l, nil
}
