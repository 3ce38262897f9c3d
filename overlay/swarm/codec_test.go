package swarm

import (
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	testMember = Member{
		ID: "12D3KooWA", Addresses: []string{"/ip4/192.0.2.1/tcp/8555", "/ip4/192.0.2.1/udp/8555/quic-v1"},
		Slots: 9, Spare: 3, Stripes: 0xff, Leaves: 0x0f, Home: 0x3f, Depth: -1, RTT: 20,
	}
	testHave  = Have{Base: 100, Full: 40, Bits: []byte{0xfe, 0x01}}
	testPaths = []Path{{Stripes: 3, Rooted: true, Delay: 120, Hops: []uint64{1, 1 << 63}}, {Stripes: 4}}
)

// messages has one of every kind with all fields set, and empty ones.
func messages() []Message {
	return []Message{
		Find{Self: testMember, Want: 24, Stripes: 5},
		Members{Self: testMember, Members: []Member{testMember, {ID: "b"}}, Size: 1000, Givers: 700},
		Describe{Epoch: 7},
		Description{Descriptor: []byte("signed")},
		Attach{Epoch: 1 << 40, Stripes: 1 << 63, Resume: true, Tries: 2, Number: 9, Have: testHave, Self: testMember},
		Attached{Epoch: 3, Number: 9, Stripes: 7, Head: 4711, From: 4700, Paths: testPaths},
		Refused{Reason: RefusedFull, Number: 9, Stripes: 8, Retry: 1500, Members: []Member{testMember}},
		Detach{Stripes: 3, After: 500, Members: []Member{testMember}},
		Leave{After: 500, Backups: []Member{testMember}},
		Heartbeat{
			Epoch: 3, Ask: true, Stamp: 1, Echo: 2, Slots: 3, Spare: 4, Stripes: 5, Leaves: 6, Home: 7, Paths: testPaths, Have: testHave,
			Wall: 1_700_000_000_000_000, Error: 1500,
		},
		Ack{Epoch: 3, Seqs: []uint64{5, 3, 900, 4}, Last: 900, Stamp: 1_700_000_000_000_000},
		Report{Self: testMember, Used: 6, Lacks: 2, Leaves: true},
		Plan{Every: 5000, Size: 1000, Givers: 700, Stripes: 4, Wait: true},
		Want{Epoch: 3, Seqs: []uint64{1, 2, 1 << 62}},
		Lack{Epoch: 3, Seqs: []uint64{9}, Coming: []uint64{10, 12}},
		Describe{},
		Attached{},
		Refused{},
		Detach{},
		Detach{Stripes: 1, Asks: true},
		Leave{},
		Heartbeat{},
		Want{},
		Plan{},
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	ch := Channel{1, 2, 3, 31: 4}
	for _, m := range messages() {
		gotCh, got, err := Decode(Append(nil, ch, m))
		if err != nil || gotCh != ch || !reflect.DeepEqual(got, m) {
			t.Errorf("%T: Decode = %+v, %v, want %+v", m, got, err, m)
		}
	}
}

// Gateways of all versions speak these bytes: a change must keep old fields as they are.
func TestMessageWireBytes(t *testing.T) {
	var sb strings.Builder
	for _, m := range messages() {
		sb.WriteString(strings.TrimPrefix(reflect.TypeOf(m).String(), "swarm.") + " " + hex.EncodeToString(Append(nil, Channel{}, m)[34:]) + "\n")
	}
	path := filepath.Join("testdata", "messages.hex")
	if *update {
		if err := os.WriteFile(path, []byte(sb.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if sb.String() != string(want) {
		t.Errorf("wire bytes have changed:\n%swant\n%s", sb.String(), want)
	}
}

func TestDecodeSkipsUnknown(t *testing.T) {
	ch := Channel{9}
	var in []byte
	in = protowire.AppendVarint(protowire.AppendTag(in, 1, protowire.VarintType), 7)
	in = protowire.AppendFixed64(protowire.AppendTag(in, 77, protowire.Fixed64Type), 1)
	in = protowire.AppendBytes(protowire.AppendTag(in, 78, protowire.BytesType), []byte("new"))
	b := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), ch[:])
	b = protowire.AppendBytes(protowire.AppendTag(b, 90, protowire.BytesType), []byte("new"))
	unknown := append([]byte(nil), b...)
	b = protowire.AppendBytes(protowire.AppendTag(b, kindDescribe, protowire.BytesType), in)
	if _, m, err := Decode(b); err != nil || m != (Describe{Epoch: 7}) {
		t.Errorf("Decode = %+v, %v, want Describe of epoch 7", m, err)
	}
	if got, _, err := Decode(unknown); !errors.Is(err, ErrUnknownMessage) || got != ch {
		t.Errorf("Decode of a message of an unknown kind = %v, want ErrUnknownMessage", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	many := make([]Member, MaxMembers+1)
	for i := range many {
		many[i].ID = "m"
	}
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"no channel", Append(nil, Channel{}, Describe{Epoch: 1})[34:]},
		{"a short channel", append([]byte{0x0a, 2, 1, 1}, Append(nil, Channel{}, Describe{Epoch: 1})[34:]...)},
		{"cut short", Append(nil, Channel{}, Find{Self: testMember})[:50]},
		{"a long ID", Append(nil, Channel{}, Find{Self: Member{ID: ID(long(maxID + 1))}})},
		{"no ID", Append(nil, Channel{}, Find{})},
		{"a long address", Append(nil, Channel{}, Find{Self: Member{ID: "a", Addresses: []string{long(maxAddress + 1)}}})},
		{"many addresses", Append(nil, Channel{}, Find{Self: Member{ID: "a", Addresses: strings.Split(long(maxAddresses+1), "")}})},
		{"many members", Append(nil, Channel{}, Members{Self: testMember, Members: many})},
		{"many wanted", Append(nil, Channel{}, Want{Seqs: make([]uint64, maxWant+1)})},
		{"many acknowledged", Append(nil, Channel{}, Ack{Seqs: make([]uint64, MaxStripes+1)})},
		{"a long path", Append(nil, Channel{}, Attached{Paths: []Path{{Hops: make([]uint64, MaxHops+1)}}})},
		{"many paths", Append(nil, Channel{}, Attached{Paths: make([]Path, MaxStripes+1)})},
		{"a large bitmap", Append(nil, Channel{}, Heartbeat{Have: Have{Bits: make([]byte, maxHave+1)}})},
		{"more held than there was", Append(nil, Channel{}, Heartbeat{Have: Have{Base: 1, Full: 2}})},
		{"a negative number", Append(nil, Channel{}, Leave{After: -2})},
		{"a huge number", Append(nil, Channel{}, Leave{After: 1 << 40})},
		{"a long description", Append(nil, Channel{}, Description{make([]byte, maxDescription+1)})},
	} {
		if _, m, err := Decode(c.b); !errors.Is(err, errMessage) {
			t.Errorf("%s: Decode = %+v, %v, want a malformed message", c.name, m, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range messages() {
		f.Add(Append(nil, Channel{1}, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ch, m, err := Decode(b)
		if err != nil {
			return
		}
		again, got, err := Decode(Append(nil, ch, m))
		if err != nil || again != ch || !reflect.DeepEqual(got, m) {
			t.Errorf("written and read again: %#v, %v, was %#v", got, err, m)
		}
	})
}
