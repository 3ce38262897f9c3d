package chunk

import (
	"bytes"
	"crypto/ed25519"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"peergate/media"
)

func testDescriptor() *Descriptor {
	return &Descriptor{
		Owner: testKey(1).Public().(ed25519.PublicKey), Name: "hq/lobby",
		Tracks: []media.Track{video, audio}, Key: testKey(2).Public().(ed25519.PublicKey),
		Stripes: 8, Rate: 4_000_000, Epoch: 3,
		Issued: time.UnixMilli(1_700_000_000_000), Expires: time.UnixMilli(1_700_086_400_000),
	}
}

func TestDescriptor(t *testing.T) {
	d := testDescriptor()
	got, err := ParseDescriptor(d.Sign(testKey(1)))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, d) {
		t.Errorf("ParseDescriptor = %+v, want %+v", got, d)
	}
	if got.Channel() != testID() {
		t.Errorf("Channel = %x, want %x", got.Channel(), testID())
	}
	if got.Ended() {
		t.Error("Ended before it expires")
	}
	d.Trackers = []Tracker{{testKey(3).Public().(ed25519.PublicKey), []string{"/dns4/a.example.org/tcp/8555"}}, {testKey(4).Public().(ed25519.PublicKey), nil}}
	if got, err = ParseDescriptor(d.Sign(testKey(1))); err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("ParseDescriptor = %+v, %v, want %+v", got, err, d)
	}
	d.Expires = d.Issued
	if !d.Ended() {
		t.Error("not Ended although it expires when it is issued")
	}
}

func TestDescriptorWireBytes(t *testing.T) {
	golden(t, "descriptor.hex", testDescriptor().Sign(testKey(1)))
}

// A newer version may add fields to both messages; the signature covers those of the body.
func TestDescriptorSkipsUnknownFields(t *testing.T) {
	d := testDescriptor()
	b := d.Sign(testKey(1))
	b = protowire.AppendFixed32(protowire.AppendTag(b, 99, protowire.Fixed32Type), 7)
	got, err := ParseDescriptor(b)
	if err != nil || got.Epoch != d.Epoch {
		t.Errorf("ParseDescriptor = %+v, %v", got, err)
	}
}

func TestParseDescriptorRefuses(t *testing.T) {
	signed := func(edit func(*Descriptor)) []byte {
		d := testDescriptor()
		edit(d)
		return d.Sign(testKey(1))
	}
	flipped := signed(func(*Descriptor) {})
	flipped[bytes.Index(flipped, []byte("lobby"))] ^= 1
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "version 0"},
		{"too long", make([]byte, maxDescriptor+1), "at most"},
		{"garbage", []byte{0xff, 0xff}, "descriptor"},
		{"a flipped bit", flipped, "not its owner's"},
		{"signed by another", testDescriptor().Sign(testKey(5)), "not its owner's"},
		{"a short key", signed(func(d *Descriptor) { d.Key = d.Key[:31] }), "wrong size"},
		{"no stripes", signed(func(d *Descriptor) { d.Stripes = 0 }), "0 stripes"},
		{"too many stripes", signed(func(d *Descriptor) { d.Stripes = 65 }), "65 stripes"},
		{"a bad name", signed(func(d *Descriptor) { d.Name = "../x" }), "stream name"},
		{"too many trackers", signed(func(d *Descriptor) { d.Trackers = slices.Repeat([]Tracker{{Key: d.Key}}, 9) }), "9 trackers"},
		{"a tracker without a key", signed(func(d *Descriptor) { d.Trackers = []Tracker{{}} }), "tracker: a key"},
		{"a tracker's long address", signed(func(d *Descriptor) {
			d.Trackers = []Tracker{{d.Key, []string{strings.Repeat("/", 300)}}}
		}), "too long addresses"},
		{"no tracks", signed(func(d *Descriptor) { d.Tracks = nil }), "no media section"},
	} {
		if _, err := ParseDescriptor(c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: ParseDescriptor = %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func TestStripes(t *testing.T) {
	for rate, want := range map[int]int{0: 8, 64_000: 1, 255_999: 1, 256_000: 2, 999_999: 2, 1_000_000: 8, 20_000_000: 8} {
		if got := Stripes(rate); got != want {
			t.Errorf("Stripes(%d) = %d, want %d", rate, got, want)
		}
	}
}

func FuzzParseDescriptor(f *testing.F) {
	good := testDescriptor().Sign(testKey(1))
	_, _, n := protowire.ConsumeTag(good)
	body, _ := protowire.ConsumeBytes(good[n:])
	f.Add(good, false)
	f.Add(body, true)
	f.Add([]byte{0x0a, 0x02, 0x08, 0x01}, false)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		if sign { // as a body, so that the fuzzer gets past the signature
			sig := ed25519.Sign(testKey(1), append([]byte(descriptorDomain), b...))
			b = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), b)
			b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), sig)
		}
		d, err := ParseDescriptor(b)
		if err != nil {
			return
		}
		again, err := ParseDescriptor(d.Sign(testKey(1)))
		if err != nil || !reflect.DeepEqual(d, again) {
			t.Errorf("signed and read again: %+v, %v, was %+v", again, err, d)
		}
		if d.Stripes < 1 || d.Stripes > MaxStripes || len(d.Tracks) == 0 {
			t.Errorf("accepted %+v", d)
		}
	})
}
