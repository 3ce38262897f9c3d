// Package chunk is the unit that gateways exchange: a run of RTP packets of one channel, in the order they came to
// its owner, numbered and signed. Nobody but the owner can make a valid one, so it can be had from anybody.
//
// The wire format; numbers are unsigned varints (as in protocol buffers) unless a size is given:
//
//	field        size  meaning
//	version      1     1
//	flags        1     bit 0: begins with a key packet; bit 1: the body is sealed; bit 2: vital, to be dropped last;
//	                   others 0
//	epoch              grows each time the owner begins the channel anew
//	sequence           0 for the first chunk of an epoch, then one more each
//	wall               owner's clock when the chunk was closed, microseconds since 1970
//	key                number of the content key; only of a sealed chunk
//	count              packets
//	  kind             for each packet: 2 x track, plus 1 when it is an RTCP sender report
//	  length           of the packet in bytes
//	body               the packets one after the other; of a sealed chunk under AES-128-GCM with the content key, the
//	                   nonce 4 zero bytes and the sequence in 8 (big-endian), and a tag of 12 bytes at the end
//	signature    64    Ed25519 of the channel's key
//
// What is signed is the text "peergate chunk 1", a zero byte, the channel ID, the fields from version to the last
// length, and the SHA-256 of the body. The length of a chunk is known from the frame around it.
package chunk

import (
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"peergate/media"
)

const (
	version    = 1
	flagKey    = 1 << 0
	flagSealed = 1 << 1
	flagVital  = 1 << 2
	// domain keeps a chunk's signature from being one of anything else.
	domain = "peergate chunk 1\x00"

	// MaxSize bounds a chunk in bytes: one RTP packet of the largest size UDP can carry (64 KiB), or the limit of a
	// Cutter, and header, table and signature.
	MaxSize = 80 << 10
	// maxPackets bounds the table. An 8 KiB chunk of the smallest audio packets has about 300.
	maxPackets = 1024
	// maxTrack bounds track numbers; media accepts 16.
	maxTrack = 63
	// sealOverhead is what sealing adds to a body, in bytes: the tag.
	sealOverhead = 12
)

// Errors of Parse and Verify. A peer that sends such a chunk is broken or lies.
var (
	ErrFormat    = errors.New("malformed chunk")
	ErrSignature = errors.New("chunk has a wrong signature")
)

// ErrSealed means that a chunk does not open with the key given.
var ErrSealed = errors.New("chunk is sealed with another key")

// ContentKey seals the bodies of a members-only channel's chunks. Its tag has 12 bytes.
type ContentKey struct {
	ID   uint64
	AEAD cipher.AEAD // for one epoch of one channel: the nonce is the sequence
}

// ID names a channel on the wire: the hash of its owner and name.
type ID [sha256.Size]byte

// ChannelID returns the ID of an owner's channel.
func ChannelID(owner ed25519.PublicKey, name media.Name) ID {
	return sha256.Sum256(append(append([]byte("peergate channel 1\x00"), owner...), name...))
}

// Chunk is a parsed chunk. It refers to the bytes it was parsed from, which must not change.
type Chunk struct {
	Key   bool // begins with a key packet: a player can start here
	Vital bool // holds a part of a key frame, or no video: where something must be dropped, others go first
	Epoch uint64
	Seq   uint64
	Wall  time.Time // owner's clock when it was closed
	Raw   []byte    // the whole chunk, as received and to be forwarded

	Sealed bool   // the packets cannot be had without the content key
	KeyID  uint64 // number of that key

	table []entry
	body  int // where it begins in Raw
}

// entry describes a packet of the body.
type entry struct {
	track  int
	report bool
	size   int
}

// Sign makes the chunk of a cut. The caller counts seq. With a content key its body is sealed.
func Sign(ch ID, key ed25519.PrivateKey, content *ContentKey, epoch, seq uint64, cut Cut) []byte {
	size := 0
	for i := range cut.Packets {
		size += len(cut.Packets[i].Data)
	}
	b := make([]byte, 0, 42+4*len(cut.Packets)+size+sealOverhead+ed25519.SignatureSize)
	b = append(b, version, 0)
	if cut.Packets[0].Key {
		b[1] |= flagKey
	}
	if cut.Vital {
		b[1] |= flagVital
	}
	b = binary.AppendUvarint(b, epoch)
	b = binary.AppendUvarint(b, seq)
	b = binary.AppendUvarint(b, uint64(cut.Wall.UnixMicro()))
	if content != nil {
		b[1] |= flagSealed
		b = binary.AppendUvarint(b, content.ID)
	}
	b = binary.AppendUvarint(b, uint64(len(cut.Packets)))
	for i := range cut.Packets {
		p := &cut.Packets[i]
		kind := uint64(p.Track) << 1
		if p.Report {
			kind |= 1
		}
		b = binary.AppendUvarint(b, kind)
		b = binary.AppendUvarint(b, uint64(len(p.Data)))
	}
	head := len(b)
	for i := range cut.Packets {
		b = append(b, cut.Packets[i].Data...)
	}
	if content != nil {
		b = content.AEAD.Seal(b[:head], nonce(seq), b[head:], nil) // the signature covers the header
	}
	return append(b, ed25519.Sign(key, signed(ch, b[:head], b[head:]))...)
}

// nonce returns that of a sealed chunk. A key never sees it twice: each epoch has keys of its own.
func nonce(seq uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 4, 12), seq) }

// signed returns what the signature is over.
func signed(ch ID, head, body []byte) []byte {
	sum := sha256.Sum256(body)
	b := make([]byte, 0, len(domain)+len(ch)+len(head)+len(sum))
	b = append(b, domain...)
	b = append(b, ch[:]...)
	b = append(b, head...)
	return append(b, sum[:]...)
}

// Parse reads a chunk and checks its form, not its signature. The error wraps ErrFormat.
func Parse(b []byte) (*Chunk, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrFormat, len(b), MaxSize)
	}
	if len(b) < 2+ed25519.SignatureSize {
		return nil, fmt.Errorf("%w: %d bytes are too few", ErrFormat, len(b))
	}
	if b[0] != version || b[1]&^(flagKey|flagSealed|flagVital) != 0 {
		return nil, fmt.Errorf("%w: version %d with flags %#x is unknown", ErrFormat, b[0], b[1])
	}
	c := &Chunk{Key: b[1]&flagKey != 0, Vital: b[1]&flagVital != 0, Sealed: b[1]&flagSealed != 0, Raw: b}
	r := reader{b: b[:len(b)-ed25519.SignatureSize], at: 2}
	c.Epoch, c.Seq = r.uvarint(), r.uvarint()
	c.Wall = time.UnixMicro(int64(r.uvarint()))
	if c.Sealed {
		c.KeyID = r.uvarint()
	}
	n := r.uvarint()
	if r.bad || n == 0 || n > maxPackets {
		return nil, fmt.Errorf("%w: header is cut short or claims %d packets", ErrFormat, n)
	}
	c.table = make([]entry, n)
	total := 0
	for i := range c.table {
		kind, size := r.uvarint(), r.uvarint()
		if r.bad || kind>>1 > maxTrack || size == 0 || size > MaxSize {
			return nil, fmt.Errorf("%w: packet %d of %d", ErrFormat, i, n)
		}
		c.table[i] = entry{int(kind >> 1), kind&1 != 0, int(size)}
		total += int(size)
	}
	c.body = r.at
	if c.Sealed {
		total += sealOverhead
	}
	if total != len(r.b)-r.at {
		return nil, fmt.Errorf("%w: body has %d bytes, its packets %d", ErrFormat, len(r.b)-r.at, total)
	}
	return c, nil
}

// Verify checks the signature of a chunk of the channel. It returns ErrSignature or nil.
func (c *Chunk) Verify(ch ID, key ed25519.PublicKey) error {
	end := len(c.Raw) - ed25519.SignatureSize
	if !ed25519.Verify(key, signed(ch, c.Raw[:c.body], c.Raw[c.body:end]), c.Raw[end:]) {
		return ErrSignature
	}
	return nil
}

// Packets returns copies of the packets, which the caller may change. Of a sealed chunk there are none: see Open.
func (c *Chunk) Packets(arrived time.Time) []media.Packet {
	if c.Sealed {
		return nil
	}
	return c.split(append([]byte(nil), c.sealedBody()...), arrived)
}

// Open returns the packets of a sealed chunk. The error is ErrSealed: it was sealed with another key.
func (c *Chunk) Open(key cipher.AEAD, arrived time.Time) ([]media.Packet, error) {
	body, err := key.Open(nil, nonce(c.Seq), c.sealedBody(), nil)
	if err != nil || len(body) != c.Payload() {
		return nil, ErrSealed
	}
	return c.split(body, arrived), nil
}

// sealedBody returns the body as it travels.
func (c *Chunk) sealedBody() []byte { return c.Raw[c.body : len(c.Raw)-ed25519.SignatureSize] }

// split divides a body into its packets.
func (c *Chunk) split(body []byte, arrived time.Time) []media.Packet {
	ps := make([]media.Packet, len(c.table))
	for i, e := range c.table {
		ps[i] = media.Packet{Track: e.track, Report: e.report, Data: body[:e.size:e.size], Key: i == 0 && c.Key, Arrived: arrived}
		body = body[e.size:]
	}
	return ps
}

// Payload returns the bytes of the packets, without header, table, seal and signature.
func (c *Chunk) Payload() int {
	n := len(c.sealedBody())
	if c.Sealed {
		n -= sealOverhead
	}
	return n
}

// reader reads varints and remembers whether one was bad.
type reader struct {
	b   []byte
	at  int
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 || n > 1 && r.b[r.at+n-1] == 0 { // cut short, too large, or longer than needed
		r.bad = true
		return 0
	}
	r.at += n
	return v
}
