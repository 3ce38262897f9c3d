package chunk

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"peergate/media"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// testKey returns the key of a channel; seed tells keys apart.
func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func testID() ID { return ChannelID(testKey(1).Public().(ed25519.PublicKey), "hq/lobby") }

// packet returns an RTP packet with a payload of n bytes.
func packet(track int, seq uint16, ts uint32, marker bool, n int) media.Packet {
	b := make([]byte, 12+n)
	b[0], b[1] = 0x80, 96
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	binary.BigEndian.PutUint32(b[8:], 0x1234)
	for i := range b[12:] {
		b[12+i] = byte(i)
	}
	return media.Packet{Track: track, Data: b}
}

func testCut() Cut {
	key := packet(0, 7, 90000, true, 20)
	key.Key = true
	report := media.Packet{Track: 1, Report: true, Data: bytes.Repeat([]byte{0xaa}, 28)}
	return Cut{[]media.Packet{key, report, packet(1, 9, 48000, false, 130)}, true, time.UnixMicro(1_700_000_000_123_456)}
}

func TestSignParseVerify(t *testing.T) {
	cut, key := testCut(), testKey(2)
	raw := Sign(testID(), key, nil, 3, 4711, cut)
	c, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(testID(), key.Public().(ed25519.PublicKey)); err != nil {
		t.Errorf("Verify = %v, want nil", err)
	}
	if !c.Key || !c.Vital || c.Epoch != 3 || c.Seq != 4711 || !c.Wall.Equal(cut.Wall) {
		t.Errorf("Parse = key %v vital %v epoch %d seq %d wall %v", c.Key, c.Vital, c.Epoch, c.Seq, c.Wall)
	}
	if want := 32 + 28 + 142; c.Payload() != want {
		t.Errorf("Payload = %d, want %d", c.Payload(), want)
	}
	at := time.Unix(5, 0)
	ps := c.Packets(at)
	if len(ps) != len(cut.Packets) {
		t.Fatalf("Packets has %d, want %d", len(ps), len(cut.Packets))
	}
	for i, p := range ps {
		w := cut.Packets[i]
		if p.Track != w.Track || p.Report != w.Report || p.Key != w.Key || !bytes.Equal(p.Data, w.Data) || !p.Arrived.Equal(at) {
			t.Errorf("packet %d = %+v, want %+v", i, p, w)
		}
	}
	ps[0].Data[0] = 0
	if err := c.Verify(testID(), key.Public().(ed25519.PublicKey)); err != nil {
		t.Errorf("after a change of a packet's copy, Verify = %v, want nil", err)
	}
}

// The wire format is what gateways of all versions speak: a change of these bytes needs a new version.
func TestChunkWireBytes(t *testing.T) {
	golden(t, "chunk.hex", Sign(testID(), testKey(2), nil, 3, 4711, testCut()))
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

func TestEveryFlippedBitIsFound(t *testing.T) {
	raw, pub := Sign(testID(), testKey(2), nil, 3, 4711, testCut()), testKey(2).Public().(ed25519.PublicKey)
	for i := range raw {
		for bit := range 8 {
			b := bytes.Clone(raw)
			b[i] ^= 1 << bit
			if c, err := Parse(b); err == nil && c.Verify(testID(), pub) == nil {
				t.Errorf("bit %d of byte %d flipped: Verify = nil", bit, i)
			}
		}
	}
}

func TestVerifyOfAnotherChannelOrKey(t *testing.T) {
	c, err := Parse(Sign(testID(), testKey(2), nil, 3, 4711, testCut()))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(testID(), testKey(3).Public().(ed25519.PublicKey)); !errors.Is(err, ErrSignature) {
		t.Errorf("with another key Verify = %v, want ErrSignature", err)
	}
	other := ChannelID(testKey(1).Public().(ed25519.PublicKey), "hq/door")
	if err := c.Verify(other, testKey(2).Public().(ed25519.PublicKey)); !errors.Is(err, ErrSignature) {
		t.Errorf("for another channel Verify = %v, want ErrSignature", err)
	}
}

func TestParseRefuses(t *testing.T) {
	good := Sign(testID(), testKey(2), nil, 3, 4711, testCut())
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	head := func(fields ...byte) []byte { return append(fields, make([]byte, ed25519.SignatureSize)...) }
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "too few"},
		{"a signature alone", good[len(good)-64:], "too few"},
		{"too long", make([]byte, MaxSize+1), "at most"},
		{"version 2", edit(func(b []byte) []byte { b[0] = 2; return b }), "version 2"},
		{"a sealed body of the packets' size", edit(func(b []byte) []byte { b[1] |= flagSealed; return b }), "malformed"},
		{"a sealed chunk without a key's number", head(1, flagSealed, 1, 1, 1), "cut short"},
		{"an unknown flag", edit(func(b []byte) []byte { b[1] |= 0x80; return b }), "flags"},
		{"a byte less", good[:len(good)-1], "body has"},
		{"a byte more", append(bytes.Clone(good), 0), "body has"},
		{"no packets", head(1, 0, 1, 1, 1, 0), "claims 0 packets"},
		{"too many packets", head(1, 0, 1, 1, 1, 0x81, 0x08), "claims 1025 packets"},
		{"a packet without bytes", head(1, 0, 1, 1, 1, 1, 0, 0), "packet 0 of 1"},
		{"track 64", head(1, 0, 1, 1, 1, 1, 0x80, 0x01, 1, 0), "packet 0 of 1"},
		{"a table cut short", head(1, 0, 1, 1, 1, 2, 0, 1), "packet 1 of 2"},
		{"a number longer than needed", head(1, 0, 0x81, 0x00, 1, 1, 1, 0, 1, 0), "cut short"},
	} {
		_, err := Parse(c.b)
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Parse = %v, want ErrFormat with %q", c.name, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Sign(testID(), testKey(2), nil, 3, 4711, testCut()))
	f.Add(Sign(testID(), testKey(2), nil, 1, 0, Cut{Packets: []media.Packet{packet(0, 0, 0, false, 0)}, Wall: time.Unix(0, 0)}))
	f.Add([]byte{1, 0, 0})
	f.Add(sealedChunk())
	sealed, err := Parse(sealedChunk())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("Parse = %v, want ErrFormat", err)
			}
			return
		}
		ps := c.Packets(time.Time{})
		if c.Sealed {
			// Its header is for Verify to check, by the signature.
			if _, err := c.Open(testContent(1).AEAD, time.Time{}); len(ps) > 0 || err == nil && !bytes.Equal(c.sealedBody(), sealed.sealedBody()) {
				t.Errorf("a sealed chunk has %d packets, and opens: %v", len(ps), err)
			}
			return
		}
		total := 0
		for i := range ps {
			total += len(ps[i].Data)
		}
		if total != c.Payload() {
			t.Errorf("packets have %d bytes, Payload = %d", total, c.Payload())
		}
		// What was accepted has one form only: signing the same packets gives the same bytes.
		again := Sign(ID{}, testKey(2), nil, c.Epoch, c.Seq, Cut{ps, c.Vital, c.Wall})
		n := len(b) - ed25519.SignatureSize
		if !bytes.Equal(again[:n], b[:n]) {
			t.Errorf("signed again it is\n%x, was\n%x", again[:n], b[:n])
		}
	})
}

func BenchmarkSign(b *testing.B) {
	cut, key := Cut{Packets: frame(0, 8000), Wall: time.Unix(1, 0)}, testKey(2)
	b.SetBytes(8000)
	for b.Loop() {
		Sign(testID(), key, nil, 1, 1, cut)
	}
}

func BenchmarkVerify(b *testing.B) {
	cut, key := Cut{Packets: frame(0, 8000), Wall: time.Unix(1, 0)}, testKey(2)
	raw, pub := Sign(testID(), key, nil, 1, 1, cut), key.Public().(ed25519.PublicKey)
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
}
