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
	letterDomain = "peergate letter 1\x00"
	replyDomain  = "peergate reply 1\x00"
	// MaxLetter bounds a letter or reply in bytes.
	MaxLetter = 64 << 10
	// MaxClaims bounds the receipts of a letter, and maxItems everything else that there can be several of.
	MaxClaims = 64
	maxItems  = 256
)

// Letter is what a member writes to the owner of a channel. On the wire it is a message of the fields numbered below.
type Letter struct {
	Owner, Sender Peer      // 1, 2
	Number        uint64    // 3: comes back in the reply
	Time          time.Time // 4: sender's clock, milliseconds
	Requests      []Request // 5
	Claims        []Claim   // 6
	Proofs        []Proof   // 7
	Query         *Query    // 8
}

// Request asks for a lease to serve a downloader.
type Request struct {
	Channel    chunk.ID // 1
	Epoch      uint64   // 2
	Downloader Peer     // 3
	Stripes    uint64   // 4
}

// Claim is a receipt that its uploader or its downloader hands in.
type Claim struct {
	Raw     []byte // 1
	Missing uint64 // 2: bytes that the uploader has sent and that the downloader does not acknowledge
}

// Query asks for the sender's statement of a time.
type Query struct {
	From, To time.Time // 1, 2: milliseconds
}

// Sign returns the letter with the signature of its sender.
func (l *Letter) Sign(key ed25519.PrivateKey) []byte {
	var m message
	m.hash(1, l.Owner)
	m.hash(2, l.Sender)
	m.fixed(3, l.Number)
	m.number(4, uint64(l.Time.UnixMilli()))
	for _, r := range l.Requests {
		var i message
		i.hash(1, r.Channel)
		i.number(2, r.Epoch)
		i.hash(3, r.Downloader)
		i.number(4, r.Stripes)
		m.bytes(5, i)
	}
	for _, c := range l.Claims {
		var i message
		i.bytes(1, c.Raw)
		i.number(2, c.Missing)
		m.bytes(6, i)
	}
	for i := range l.Proofs {
		m.bytes(7, l.Proofs[i].encode())
	}
	if l.Query != nil {
		var i message
		i.number(1, uint64(l.Query.From.UnixMilli()))
		i.number(2, uint64(l.Query.To.UnixMilli()))
		m.bytes(8, i)
	}
	return sealed(letterDomain, key, m)
}

// ParseLetter reads a letter and checks that its sender has signed it. The receipts in it are not checked.
func ParseLetter(b []byte) (*Letter, error) {
	l, body, sig, err := decodeLetter(b)
	if err == nil {
		err = verify(letterDomain, l.Sender, body, sig)
	}
	if err != nil {
		return nil, fmt.Errorf("letter: %w", err)
	}
	return l, nil
}

func decodeLetter(b []byte) (l *Letter, body, sig []byte, err error) {
	if len(b) > MaxLetter {
		return nil, nil, nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrFormat, len(b), MaxLetter)
	}
	if body, sig, err = unseal(b); err != nil {
		return nil, nil, nil, err
	}
	l = new(Letter)
	var bad error
	err = walk(body, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			hash32((*[32]byte)(&l.Owner), v, &bad)
		case 2:
			hash32((*[32]byte)(&l.Sender), v, &bad)
		case 3:
			l.Number = n
		case 4:
			l.Time = time.UnixMilli(int64(min(n, maxNumber)))
		case 5:
			l.Requests = add(l.Requests, maxItems, decodeRequest, v, &bad)
		case 6:
			l.Claims = add(l.Claims, MaxClaims, decodeClaim, v, &bad)
		case 7:
			l.Proofs = add(l.Proofs, maxItems, decodeProof, v, &bad)
		case 8:
			l.Query = decodeQuery(v, &bad)
		}
	})
	if err == nil {
		err = bad
	}
	return l, body, sig, err
}

// add decodes an item of a list that is bounded.
func add[T any](list []T, most int, decode func([]byte, *error) T, v []byte, bad *error) []T {
	if len(list) >= most {
		*bad = fmt.Errorf("%w: more than %d items", ErrFormat, most)
		return list
	}
	return append(list, decode(v, bad))
}

// note keeps the first fault.
func note(bad *error, err error) {
	if err != nil && *bad == nil {
		*bad = err
	}
}

func decodeRequest(b []byte, bad *error) (r Request) {
	note(bad, walk(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			hash32((*[32]byte)(&r.Channel), v, bad)
		case 2:
			r.Epoch = min(n, maxNumber)
		case 3:
			hash32((*[32]byte)(&r.Downloader), v, bad)
		case 4:
			r.Stripes = n
		}
	}))
	return r
}

func decodeClaim(b []byte, bad *error) (c Claim) {
	note(bad, walk(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			c.Raw = v
		case 2:
			c.Missing = min(n, maxBytes)
		}
	}))
	return c
}

func decodeQuery(b []byte, bad *error) *Query {
	q := &Query{From: time.UnixMilli(0), To: time.UnixMilli(0)}
	note(bad, walk(b, func(num protowire.Number, n uint64, _ []byte) {
		switch num {
		case 1:
			q.From = time.UnixMilli(int64(min(n, maxNumber)))
		case 2:
			q.To = time.UnixMilli(int64(min(n, maxNumber)))
		}
	}))
	return q
}

// Reply is the owner's answer to a letter.
type Reply struct {
	Owner, To  Peer        // 1, 2
	Number     uint64      // 3: of the letter
	Leases     [][]byte    // 4: as signed
	Denials    []Denial    // 5
	Settled    []Settled   // 6
	Head       Head        // 7, 8: of the owner's chain, with all that is settled in it
	Challenges []Challenge // 9
	Statement  []byte      // 10: a Statement as JSON
}

// Denial answers a request that is not granted.
type Denial struct {
	Channel    chunk.ID // 1
	Downloader Peer     // 2
	Reason     string   // 3
}

// Settled tells what became of a claim: the owner has it now.
type Settled struct {
	Receipt [sha256.Size]byte // 1: hash of the receipt as signed
	Refused uint64            // 2: bytes
	Reason  string            // 3: why
}

// Head is the end of the owner's chain.
type Head struct {
	ID   int64
	Hash [sha256.Size]byte
}

// maxReason bounds the reason of a refusal in bytes: it goes into logs.
const maxReason = 200

// Sign returns the reply with the signature of the owner.
func (r *Reply) Sign(owner ed25519.PrivateKey) []byte {
	var m message
	m.hash(1, r.Owner)
	m.hash(2, r.To)
	m.fixed(3, r.Number)
	for _, l := range r.Leases {
		m.bytes(4, l)
	}
	for _, d := range r.Denials {
		var i message
		i.hash(1, d.Channel)
		i.hash(2, d.Downloader)
		i.bytes(3, []byte(d.Reason))
		m.bytes(5, i)
	}
	for _, s := range r.Settled {
		var i message
		i.hash(1, s.Receipt)
		i.number(2, s.Refused)
		i.bytes(3, []byte(s.Reason))
		m.bytes(6, i)
	}
	m.number(7, uint64(r.Head.ID))
	m.hash(8, r.Head.Hash)
	for i := range r.Challenges {
		m.bytes(9, r.Challenges[i].encode())
	}
	m.bytes(10, r.Statement)
	return sealed(replyDomain, owner, m)
}

// ParseReply reads a reply and checks that the owner has signed it.
func ParseReply(b []byte) (*Reply, error) {
	r, body, sig, err := decodeReply(b)
	if err == nil {
		err = verify(replyDomain, r.Owner, body, sig)
	}
	if err != nil {
		return nil, fmt.Errorf("reply: %w", err)
	}
	return r, nil
}

func decodeReply(b []byte) (r *Reply, body, sig []byte, err error) {
	if len(b) > MaxLetter {
		return nil, nil, nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrFormat, len(b), MaxLetter)
	}
	if body, sig, err = unseal(b); err != nil {
		return nil, nil, nil, err
	}
	r = new(Reply)
	var bad error
	err = walk(body, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			hash32((*[32]byte)(&r.Owner), v, &bad)
		case 2:
			hash32((*[32]byte)(&r.To), v, &bad)
		case 3:
			r.Number = n
		case 4:
			r.Leases = append(r.Leases, v)
		case 5:
			r.Denials = add(r.Denials, maxItems, decodeDenial, v, &bad)
		case 6:
			r.Settled = add(r.Settled, MaxClaims, decodeSettled, v, &bad)
		case 7:
			r.Head.ID = int64(min(n, maxNumber))
		case 8:
			hash32(&r.Head.Hash, v, &bad)
		case 9:
			r.Challenges = add(r.Challenges, maxItems, decodeChallenge, v, &bad)
		case 10:
			r.Statement = v
		}
	})
	if err == nil {
		err = bad
	}
	return r, body, sig, err
}

func decodeDenial(b []byte, bad *error) (d Denial) {
	note(bad, walk(b, func(num protowire.Number, _ uint64, v []byte) {
		switch num {
		case 1:
			hash32((*[32]byte)(&d.Channel), v, bad)
		case 2:
			hash32((*[32]byte)(&d.Downloader), v, bad)
		case 3:
			d.Reason = string(v[:min(len(v), maxReason)])
		}
	}))
	return d
}

func decodeSettled(b []byte, bad *error) (s Settled) {
	note(bad, walk(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			hash32(&s.Receipt, v, bad)
		case 2:
			s.Refused = n
		case 3:
			s.Reason = string(v[:min(len(v), maxReason)])
		}
	}))
	return s
}
