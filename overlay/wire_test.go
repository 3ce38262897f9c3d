package overlay

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"peergate/overlay/p2p"
)

const someID p2p.ID = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"

// controls has a message of every kind.
var controls = []struct {
	name string
	wire []byte
	want control
}{
	{"hello", (&hello{7, "1.2", 3, [][]byte{{1}, {2}}}).encode(), control{hello: &hello{7, "1.2", 3, [][]byte{{1}, {2}}}}},
	{"swarm", envelope(fieldSwarm, []byte("abc")), control{swarm: []byte("abc")}},
	{
		"seek", (&seek{1, 2, someID, "hall/east", 3, true, 4, []byte("r")}).encode(),
		control{seek: &seek{1, 2, someID, "hall/east", 3, true, 4, []byte("r")}},
	},
	{"found", (&found{1, []byte("d"), true, 2}).encode(), control{found: &found{1, []byte("d"), true, 2}}},
	{"missing", (&missing{1, causeRefused, "no"}).encode(), control{missing: &missing{1, causeRefused, "no"}}},
	{
		"keys", (&keysMessage{gateway: someID, request: []byte("q"), grant: []byte("g"), leave: []byte("l"), hops: 3}).encode(),
		control{keys: &keysMessage{gateway: someID, request: []byte("q"), grant: []byte("g"), leave: []byte("l"), hops: 3}},
	},
	{"ping", (&ping{1, 2}).encode(), control{ping: &ping{1, 2}}},
	{"list", encodeList(), control{list: true}},
	{"names", names{"a", "b/c"}.encode(), control{names: names{"a", "b/c"}}},
	{"of a newer version", envelope(99, []byte("what")), control{}},
}

func TestControl(t *testing.T) {
	for _, tt := range controls {
		got, err := decodeControl(tt.wire)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: decodeControl = %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
	}
}

func TestControlMalformed(t *testing.T) {
	for name, b := range map[string][]byte{
		"cut short":      controls[0].wire[:4],
		"owner is no ID": (&seek{1, 2, "hq", "a", 3, true, 4, nil}).encode(),
		"name is none":   (&seek{1, 2, someID, "../a", 3, true, 4, nil}).encode(),
		"no owner":       envelope(fieldSeek, nil),
		"a name is none": names{"a//b"}.encode(),
		"inner cut":      envelope(fieldPing, []byte{0x08}),
	} {
		if c, err := decodeControl(b); !errors.Is(err, errMalformed) {
			t.Errorf("%s: decodeControl = %+v, %v, want %v", name, c, err, errMalformed)
		}
	}
}

func TestControlSkipsUnknownFields(t *testing.T) {
	body := protowire.AppendFixed32(protowire.AppendTag(nil, 77, protowire.Fixed32Type), 1)
	body = append(body, fields(nil).number(1, 5).number(88, 9)...)
	if c, err := decodeControl(envelope(fieldPing, body)); err != nil || c.ping == nil || c.ping.stamp != 5 {
		t.Errorf("decodeControl = %+v, %v, want a ping", c, err)
	}
}

func TestClip(t *testing.T) {
	if got := clip("a\nb\x00\xffü" + strings.Repeat("x", 300)); !strings.HasPrefix(got, "a b üx") || len(got) > maxText {
		t.Errorf("clip = %q", got)
	}
}

func FuzzControl(f *testing.F) {
	for _, tt := range controls {
		f.Add(tt.wire)
	}
	f.Add(envelope(fieldSeek, protowire.AppendBytes(
		protowire.AppendTag(fields(nil).text(3, string(someID)).text(4, "hall"), 8, protowire.BytesType), nil)))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeControl(b)
		if err != nil && !errors.Is(err, errMalformed) {
			t.Errorf("decodeControl = %v, want %v", err, errMalformed)
		}
		if err != nil || c.seek == nil {
			return
		}
		again, err := decodeControl(c.seek.encode())
		if err != nil || !reflect.DeepEqual(again.seek, c.seek) {
			t.Errorf("decodeControl of %+v again = %+v, %v", c.seek, again.seek, err)
		}
	})
}
