package ledger

import (
	"crypto/sha256"
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"

	"peergate/overlay/chunk"
)

// Samples is how many chunks an audit asks for. Of the last window's some eight hundred, one who lacks a tenth is found
// out with 80 %, one who lacks half for certain.
const Samples = 16

// Challenge asks a member to prove that it has the chunks of a while ago.
type Challenge struct {
	Channel  chunk.ID          // 1
	Epoch    uint64            // 2
	Seed     [sha256.Size]byte // 3: drawn for this audit
	From, To uint64            // 4, 5: sequence numbers, To not included
}

// Proof answers a challenge: for each sampled chunk the hash of seed and chunk, or zeros when it is not here.
type Proof struct {
	Channel chunk.ID                   // 1
	Epoch   uint64                     // 2
	Seed    [sha256.Size]byte          // 3
	Answers [Samples][sha256.Size]byte // 4: one after the other
}

// Sampled returns the sequence numbers that the challenge asks for.
func (c *Challenge) Sampled() (seqs [Samples]uint64) {
	if c.To <= c.From {
		return seqs
	}
	for i := range seqs {
		sum := sha256.Sum256(append(c.Seed[:len(c.Seed):len(c.Seed)], byte(i)))
		seqs[i] = c.From + binary.BigEndian.Uint64(sum[:])%(c.To-c.From)
	}
	return seqs
}

// Prove answers the challenge from the chunks that are here; chunk returns nil for one that is not.
func (c *Challenge) Prove(chunk func(seq uint64) []byte) Proof {
	p := Proof{Channel: c.Channel, Epoch: c.Epoch, Seed: c.Seed}
	for i, seq := range c.Sampled() {
		if raw := chunk(seq); raw != nil {
			p.Answers[i] = sha256.Sum256(append(c.Seed[:len(c.Seed):len(c.Seed)], raw...))
		}
	}
	return p
}

// passing is how many of the samples a member must have: it may join late, and lose some.
const passing = Samples / 2

// Passes tells whether a proof answers the challenge as the owner's own does.
func (p *Proof) Passes(own *Proof) bool {
	right, known := 0, 0
	for i, a := range own.Answers {
		if a == ([sha256.Size]byte{}) {
			continue
		}
		known++
		if p.Answers[i] == a {
			right++
		}
	}
	return right*Samples >= passing*known
}

func (c *Challenge) encode() message {
	var m message
	m.hash(1, c.Channel)
	m.number(2, c.Epoch)
	m.hash(3, c.Seed)
	m.number(4, c.From)
	m.number(5, c.To)
	return m
}

func decodeChallenge(b []byte, bad *error) (c Challenge) {
	note(bad, walk(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			hash32((*[32]byte)(&c.Channel), v, bad)
		case 2:
			c.Epoch = n
		case 3:
			hash32(&c.Seed, v, bad)
		case 4:
			c.From = n
		case 5:
			c.To = n
		}
	}))
	return c
}

func (p *Proof) encode() message {
	var m message
	m.hash(1, p.Channel)
	m.number(2, p.Epoch)
	m.hash(3, p.Seed)
	all := make([]byte, 0, Samples*sha256.Size)
	for _, a := range p.Answers {
		all = append(all, a[:]...)
	}
	m.bytes(4, all)
	return m
}

func decodeProof(b []byte, bad *error) (p Proof) {
	note(bad, walk(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			hash32((*[32]byte)(&p.Channel), v, bad)
		case 2:
			p.Epoch = n
		case 3:
			hash32(&p.Seed, v, bad)
		case 4:
			for i := range p.Answers {
				copy(p.Answers[i][:], v[min(len(v), i*sha256.Size):])
			}
		}
	}))
	return p
}
