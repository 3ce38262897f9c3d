package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"peergate/overlay/chunk"
)

const (
	receiptDomain = "peergate receipt 1\x00"
	// MaxReceipt bounds a receipt in bytes; one has about 350, and newer ones may have more fields.
	MaxReceipt = 1024
)

// Series names the receipts of an edge of which each continues the one before.
type Series struct {
	Channel              chunk.ID
	Epoch                uint64
	Uploader, Downloader Peer
	Session              uint64
}

// Receipt is a downloader's word of what an uploader gave it. Its numbers are totals since the series began.
type Receipt struct {
	Series
	Window      uint64
	Bytes       uint64 // of chunks that were new here, verified
	Chunks      uint64
	Repaired    uint64 // of Bytes, those that were asked for
	Spare       uint64 // bytes of chunks that came late or were there already: they earn nothing
	First, Last uint64 // least and greatest sequence number of the chunks counted
	Digest      [sha256.Size]byte
	Viewing     time.Duration // of all players here together
	Time        time.Time
	Previous    [sha256.Size]byte
}

// Sign returns the receipt with the signature of its downloader.
func (r *Receipt) Sign(key ed25519.PrivateKey) []byte {
	var m message
	m.hash(1, r.Channel)
	m.number(2, r.Epoch)
	m.hash(3, r.Uploader)
	m.hash(4, r.Downloader)
	m.fixed(5, r.Session)
	m.number(6, r.Window)
	m.number(7, r.Bytes)
	m.number(8, r.Chunks)
	m.number(9, r.Repaired)
	m.number(10, r.Spare)
	m.number(11, r.First)
	m.number(12, r.Last)
	m.hash(13, r.Digest)
	m.number(14, uint64(r.Viewing.Milliseconds()))
	m.number(15, uint64(r.Time.UnixMilli()))
	m.hash(16, r.Previous)
	return sealed(receiptDomain, key, m)
}

// ParseReceipt reads a receipt and checks that its downloader has signed it and that it can be true. The error wraps
// ErrFormat or ErrSignature.
func ParseReceipt(b []byte) (*Receipt, error) {
	r, body, sig, err := decodeReceipt(b)
	if err == nil {
		err = verify(receiptDomain, r.Downloader, body, sig)
	}
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	return r, nil
}

// decodeReceipt reads a receipt without looking at its signature.
func decodeReceipt(b []byte) (r *Receipt, body, sig []byte, err error) {
	if len(b) > MaxReceipt {
		return nil, nil, nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrFormat, len(b), MaxReceipt)
	}
	if body, sig, err = unseal(b); err != nil {
		return nil, nil, nil, err
	}
	r = new(Receipt)
	var bad error
	err = walk(body, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			hash32((*[32]byte)(&r.Channel), v, &bad)
		case 2:
			r.Epoch = n
		case 3:
			hash32((*[32]byte)(&r.Uploader), v, &bad)
		case 4:
			hash32((*[32]byte)(&r.Downloader), v, &bad)
		case 5:
			r.Session = n
		case 6:
			r.Window = n
		case 7:
			r.Bytes = n
		case 8:
			r.Chunks = n
		case 9:
			r.Repaired = n
		case 10:
			r.Spare = n
		case 11:
			r.First = n
		case 12:
			r.Last = n
		case 13:
			hash32(&r.Digest, v, &bad)
		case 14:
			r.Viewing = time.Duration(min(n, maxNumber/uint64(time.Millisecond))) * time.Millisecond
		case 15:
			r.Time = time.UnixMilli(int64(min(n, maxNumber)))
		case 16:
			hash32(&r.Previous, v, &bad)
		}
	})
	if err == nil {
		err = bad
	}
	if err == nil {
		err = r.check()
	}
	return r, body, sig, err
}

// maxNumber bounds numbers, so that databases and sums take them.
const maxNumber = 1 << 62

// check tells what cannot be in a receipt.
func (r *Receipt) check() error {
	switch {
	case r.Uploader == r.Downloader:
		return fmt.Errorf("%w: a gateway acknowledges to itself", ErrFormat)
	case r.Window == 0 || r.Window > maxNumber || r.Epoch > maxNumber:
		return fmt.Errorf("%w: window %d of epoch %d", ErrFormat, r.Window, r.Epoch)
	case r.Bytes > maxBytes || r.Spare > maxBytes || r.Repaired > r.Bytes || r.Bytes > r.Chunks*chunk.MaxSize:
		return fmt.Errorf("%w: %d bytes, %d of them asked for, in %d chunks", ErrFormat, r.Bytes, r.Repaired, r.Chunks)
	case r.Last > maxNumber || r.First > r.Last || r.Chunks > r.Last-r.First+1:
		return fmt.Errorf("%w: %d chunks from %d to %d", ErrFormat, r.Chunks, r.First, r.Last)
	}
	return nil
}

// maxBytes bounds what one series may amount to, 1 PB: sums of many stay far from overflow.
const maxBytes = 1 << 50

// hashOf names a receipt as it was signed.
func hashOf(raw []byte) [sha256.Size]byte { return sha256.Sum256(raw) }
