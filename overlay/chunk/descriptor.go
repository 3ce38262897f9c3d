package chunk

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"peergate/media"
)

const (
	// maxDescriptor bounds a descriptor in bytes; the SDP of a stream with 16 tracks fits.
	maxDescriptor = 64 << 10
	// MaxStripes bounds K; a mask of stripes has 64 bits.
	MaxStripes = 64

	descriptorDomain  = "peergate descriptor 1\x00"
	descriptorVersion = 1
	// sealedVersion is that of a descriptor of a members-only channel: older gateways take its chunks for malformed.
	sealedVersion = 2
)

// Stripes returns how many stripes a channel of a bit rate has: more parents for more bits, and few for few, since
// every stripe costs control messages. A rate of 0 is unknown and taken for video's.
func Stripes(rate int) int {
	switch {
	case rate <= 0:
		return 8
	case rate < 256_000:
		return 1
	case rate < 1_000_000:
		return 2
	}
	return 8
}

// Access says who may have a channel.
type Access uint64

// The kinds of access. One that a gateway does not know, of a later version, is for nobody else than listed peers.
const (
	Listed  Access = iota // gateways that a member lists among its peers
	Open                  // everybody
	Members               // the chunks are sealed, and their keys are for who has a ticket; the version is 2
)

// Descriptor says what a channel is. Its owner signs it; any member may hand it on.
//
// On the wire it is a protocol-buffers message {1: body, 2: signature}; the signature is over the text
// "peergate descriptor 1", a zero byte, and the body, which has the fields numbered below. Unknown fields are skipped.
type Descriptor struct {
	Owner   ed25519.PublicKey // 2
	Name    media.Name        // 3
	Tracks  []media.Track     // 4, as SDP media sections
	Key     ed25519.PublicKey // 5: signs the chunks
	Stripes int               // 6
	Rate    int               // 7: bits a second, a hint
	Epoch   uint64            // 8
	Issued  time.Time         // 9: owner's clock, milliseconds on the wire
	Expires time.Time         // 10; not after Issued: the channel has ended
	Access  Access            // 11; left out when it is Listed

	Trackers []Tracker // 12, repeated: members that the owner names, who know many others
}

// Tracker is a gateway that helps to find the members of a channel: {1: key, 2: address, repeated}.
type Tracker struct {
	Key       ed25519.PublicKey
	Addresses []string // multiaddresses in text
}

// What a descriptor may hold of trackers.
const (
	maxTrackers       = 8
	maxTrackerAddrs   = 16
	maxTrackerAddress = 256 // bytes
)

// Ended tells whether the owner has ended the channel: such a descriptor expires when it is issued.
func (d *Descriptor) Ended() bool { return !d.Expires.After(d.Issued) }

// Channel returns the ID of the channel described.
func (d *Descriptor) Channel() ID { return ChannelID(d.Owner, d.Name) }

// Sign encodes the descriptor with the signature of its owner.
func (d *Descriptor) Sign(owner ed25519.PrivateKey) []byte {
	var body []byte
	number := func(num protowire.Number, v uint64) {
		body = protowire.AppendVarint(protowire.AppendTag(body, num, protowire.VarintType), v)
	}
	text := func(num protowire.Number, v []byte) {
		body = protowire.AppendBytes(protowire.AppendTag(body, num, protowire.BytesType), v)
	}
	if d.Access == Members {
		number(1, sealedVersion)
	} else {
		number(1, descriptorVersion)
	}
	text(2, d.Owner)
	text(3, []byte(d.Name))
	text(4, media.MarshalTracks(d.Tracks))
	text(5, d.Key)
	number(6, uint64(d.Stripes))
	number(7, uint64(d.Rate))
	number(8, d.Epoch)
	number(9, uint64(d.Issued.UnixMilli()))
	number(10, uint64(d.Expires.UnixMilli()))
	if d.Access != Listed {
		number(11, uint64(d.Access))
	}
	for _, t := range d.Trackers {
		text(12, t.append(nil))
	}
	sig := ed25519.Sign(owner, append([]byte(descriptorDomain), body...))
	b := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), body)
	return protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), sig)
}

// ParseDescriptor reads a descriptor and checks that its owner has signed it. Whether it is the wanted channel's and
// still valid is the caller's to check.
func ParseDescriptor(b []byte) (*Descriptor, error) {
	if len(b) > maxDescriptor {
		return nil, fmt.Errorf("descriptor: %d bytes, at most %d are allowed", len(b), maxDescriptor)
	}
	var body, sig []byte
	err := fields(b, func(num protowire.Number, _ uint64, v []byte) {
		switch num {
		case 1:
			body = v
		case 2:
			sig = v
		}
	})
	if err != nil {
		return nil, fmt.Errorf("descriptor: %w", err)
	}
	d := &Descriptor{Issued: time.UnixMilli(0), Expires: time.UnixMilli(0)}
	var ver uint64
	var sdp []byte
	var trackers [][]byte
	err = fields(body, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			ver = n
		case 2:
			d.Owner = bytes.Clone(v)
		case 3:
			d.Name = media.Name(v)
		case 4:
			sdp = v
		case 5:
			d.Key = bytes.Clone(v)
		case 6:
			d.Stripes = int(min(n, MaxStripes+1))
		case 7:
			d.Rate = int(min(n, 1<<40))
		case 8:
			d.Epoch = n
		case 9:
			d.Issued = time.UnixMilli(int64(n))
		case 10:
			d.Expires = time.UnixMilli(int64(n))
		case 11:
			d.Access = Access(n)
		case 12:
			trackers = append(trackers, v)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("descriptor: %w", err)
	}
	if d.Trackers, err = parseTrackers(trackers); err != nil {
		return nil, fmt.Errorf("descriptor: %w", err)
	}
	if err := d.check(ver, body, sig, sdp); err != nil {
		return nil, err
	}
	return d, nil
}

func (t *Tracker) append(b []byte) []byte {
	b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), t.Key)
	for _, a := range t.Addresses {
		b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), a)
	}
	return b
}

func parseTrackers(raw [][]byte) ([]Tracker, error) {
	if len(raw) > maxTrackers {
		return nil, fmt.Errorf("has %d trackers, at most %d are allowed", len(raw), maxTrackers)
	}
	var ts []Tracker
	for _, b := range raw {
		var t Tracker
		long := false
		err := fields(b, func(num protowire.Number, _ uint64, v []byte) {
			switch num {
			case 1:
				t.Key = bytes.Clone(v)
			case 2:
				t.Addresses = append(t.Addresses, string(v))
				long = long || len(v) > maxTrackerAddress
			}
		})
		switch {
		case err != nil:
			return nil, fmt.Errorf("tracker: %w", err)
		case len(t.Key) != ed25519.PublicKeySize:
			return nil, errors.New("tracker: a key is of the wrong size")
		case long || len(t.Addresses) > maxTrackerAddrs:
			return nil, errors.New("tracker: too many or too long addresses")
		}
		ts = append(ts, t)
	}
	return ts, nil
}

// check completes a descriptor that was read.
func (d *Descriptor) check(ver uint64, body, sig, sdp []byte) error {
	switch {
	case ver != descriptorVersion && ver != sealedVersion:
		return fmt.Errorf("descriptor: version %d is unknown: update this gateway", ver)
	case (d.Access == Members) != (ver == sealedVersion):
		return fmt.Errorf("descriptor: version %d does not go with access %d", ver, d.Access)
	case len(d.Owner) != ed25519.PublicKeySize || len(d.Key) != ed25519.PublicKeySize:
		return errors.New("descriptor: a key is of the wrong size")
	case !ed25519.Verify(d.Owner, append([]byte(descriptorDomain), body...), sig):
		return errors.New("descriptor: the signature is not its owner's")
	case d.Stripes < 1 || d.Stripes > MaxStripes:
		return fmt.Errorf("descriptor: has %d stripes, must have 1 to %d", d.Stripes, MaxStripes)
	}
	if _, err := media.ParseName(string(d.Name)); err != nil {
		return fmt.Errorf("descriptor: %w", err)
	}
	desc, err := media.ParseSDP(sdp)
	if err != nil {
		return fmt.Errorf("descriptor: %w", err)
	}
	d.Tracks = desc.Tracks
	return nil
}

// fields walks a protocol-buffers message; f gets numbers and byte strings, other kinds are skipped.
func fields(b []byte, f func(num protowire.Number, n uint64, v []byte)) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		switch typ {
		case protowire.VarintType:
			var v uint64
			if v, n = protowire.ConsumeVarint(b); n >= 0 {
				f(num, v, nil)
			}
		case protowire.BytesType:
			var v []byte
			if v, n = protowire.ConsumeBytes(b); n >= 0 {
				f(num, 0, v)
			}
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
	}
	return nil
}
