package chunk

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"
)

// testContent returns a content key; seed tells keys apart.
func testContent(seed byte) *ContentKey {
	b, err := aes.NewCipher(bytes.Repeat([]byte{seed}, 16))
	if err != nil {
		panic(err)
	}
	a, err := cipher.NewGCMWithTagSize(b, sealOverhead)
	if err != nil {
		panic(err)
	}
	return &ContentKey{ID: uint64(seed), AEAD: a}
}

func sealedChunk() []byte { return Sign(testID(), testKey(2), testContent(1), 3, 4711, testCut()) }

func TestSeal(t *testing.T) {
	cut, raw, pub := testCut(), sealedChunk(), testKey(2).Public().(ed25519.PublicKey)
	c, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(testID(), pub); err != nil {
		t.Errorf("Verify without the content key = %v, want nil", err)
	}
	if !c.Sealed || c.KeyID != 1 || !c.Key || c.Seq != 4711 || c.Payload() != 32+28+142 {
		t.Errorf("Parse = sealed %v with key %d, begins with a key %v, seq %d, payload %d", c.Sealed, c.KeyID, c.Key, c.Seq, c.Payload())
	}
	if ps := c.Packets(time.Time{}); ps != nil {
		t.Errorf("Packets without the content key = %v", ps)
	}
	for _, p := range cut.Packets {
		if bytes.Contains(raw, p.Data[:12]) {
			t.Errorf("the header of packet %x is in the clear", p.Data[:12])
		}
	}
	at := time.Unix(5, 0)
	ps, err := c.Open(testContent(1).AEAD, at)
	if err != nil || len(ps) != len(cut.Packets) {
		t.Fatalf("Open = %d packets, %v, want %d", len(ps), err, len(cut.Packets))
	}
	for i, p := range ps {
		w := cut.Packets[i]
		if p.Track != w.Track || p.Report != w.Report || p.Key != w.Key || !bytes.Equal(p.Data, w.Data) || !p.Arrived.Equal(at) {
			t.Errorf("packet %d = %+v, want %+v", i, p, w)
		}
	}
	if _, err := c.Open(testContent(2).AEAD, at); !errors.Is(err, ErrSealed) {
		t.Errorf("Open with another key = %v, want ErrSealed", err)
	}
	ps[0].Data[0] = 0
	if err := c.Verify(testID(), pub); err != nil {
		t.Errorf("after a change of a packet's copy, Verify = %v, want nil", err)
	}
}

func TestSealedChunkWireBytes(t *testing.T) { golden(t, "sealed.hex", sealedChunk()) }

func TestEveryFlippedBitOfASealedChunkIsFound(t *testing.T) {
	raw, pub := sealedChunk(), testKey(2).Public().(ed25519.PublicKey)
	for i := range raw {
		b := bytes.Clone(raw)
		b[i] ^= 1
		if c, err := Parse(b); err == nil && c.Verify(testID(), pub) == nil {
			t.Errorf("byte %d changed: Verify = nil", i)
		}
	}
}

// Sealing adds under 0.3 % of bytes at 2 Mbit/s and 30 pictures a second, where chunks are small.
func TestSealOverhead(t *testing.T) {
	plain, sealed := 0, 0
	for range 30 {
		cut := Cut{Packets: frame(0, 2_000_000/8/30), Wall: time.Unix(1_700_000_000, 0)}
		plain += len(Sign(testID(), testKey(2), nil, 1000, 1_000_000, cut))
		sealed += len(Sign(testID(), testKey(2), testContent(1), 1000, 1_000_000, cut))
	}
	more := float64(sealed-plain) / float64(plain)
	t.Logf("%d bytes a second, %d when sealed: %.3f %% more", plain, sealed, 100*more)
	if more >= 0.003 {
		t.Errorf("sealing adds %.3f %%, want under 0.3", 100*more)
	}
}

// An older gateway must not join a channel whose chunks it takes for malformed.
func TestDescriptorOfASealedChannel(t *testing.T) {
	d := testDescriptor()
	d.Access = Members
	b := d.Sign(testKey(1))
	got, err := ParseDescriptor(b)
	if err != nil || got.Access != Members {
		t.Errorf("ParseDescriptor = %+v, %v, want one of a members-only channel", got, err)
	}
	golden(t, "sealed-descriptor.hex", b)
}

func BenchmarkRelay(b *testing.B) {
	for _, bb := range []struct {
		name    string
		content *ContentKey
	}{{"open", nil}, {"sealed", testContent(1)}} {
		b.Run(bb.name, func(b *testing.B) {
			raw := Sign(testID(), testKey(2), bb.content, 1, 1, Cut{Packets: frame(0, 8000), Wall: time.Unix(1, 0)})
			pub := testKey(2).Public().(ed25519.PublicKey)
			b.SetBytes(8000)
			for b.Loop() {
				c, err := Parse(raw)
				if err != nil {
					b.Fatal(err)
				}
				if err := c.Verify(testID(), pub); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	content := testContent(1)
	c, err := Parse(Sign(testID(), testKey(2), content, 1, 1, Cut{Packets: frame(0, 8000), Wall: time.Unix(1, 0)}))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(8000)
	for b.Loop() {
		if _, err := c.Open(content.AEAD, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
}
