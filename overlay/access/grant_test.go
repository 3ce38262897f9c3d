package access

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

var testChannel = Channel(bytes.Repeat([]byte{9}, 32))

func testRequest() *Request {
	t := testTicket()
	return &Request{Channel: testChannel, Gateway: public(testKey(2)), Ticket: t.Sign(testKey(1)), Stamp: 77}
}

func testKeys() []Key {
	return []Key{{1, [keySize]byte([]byte("first key of all"))}, {300, [keySize]byte([]byte("and another one."))}}
}

func testGrant() *Grant {
	return &Grant{Channel: testChannel, Gateway: public(testKey(2)), Epoch: 3, Stamp: 77, Keys: testKeys(), Leave: []byte("leave")}
}

func TestRequest(t *testing.T) {
	want := testRequest()
	b, err := want.Seal(testKey(2), public(testKey(1)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenRequest(testKey(1), b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("OpenRequest = %+v, %v, want %+v", got, err, want)
	}
	if bytes.Contains(b, want.Ticket[10:40]) || bytes.Contains(b, want.Gateway) {
		t.Error("who carries the request can read it")
	}
	if _, err := OpenRequest(testKey(3), b); err == nil {
		t.Error("another gateway can open the request")
	}
}

func TestRequestOfAnotherGateway(t *testing.T) {
	b, err := testRequest().Seal(testKey(3), public(testKey(1))) // says that it is gateway 2
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRequest(testKey(1), b); !errors.Is(err, ErrFormat) {
		t.Errorf("OpenRequest = %v, want ErrFormat", err)
	}
}

func TestGrant(t *testing.T) {
	want := testGrant()
	b, err := want.Seal(testKey(1))
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenGrant(testKey(2), public(testKey(1)), b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("OpenGrant = %+v, %v, want %+v", got, err, want)
	}
	for _, k := range want.Keys {
		if bytes.Contains(b, k.secret[:]) {
			t.Errorf("who carries the grant can read %v", k)
		}
	}
	if _, err := OpenGrant(testKey(3), public(testKey(1)), b); !errors.Is(err, ErrFormat) {
		t.Errorf("OpenGrant of another gateway = %v, want ErrFormat", err)
	}
	forged, err := want.Seal(testKey(3))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenGrant(testKey(2), public(testKey(1)), forged); !errors.Is(err, ErrFormat) {
		t.Errorf("OpenGrant of a grant that the owner has not signed = %v, want ErrFormat", err)
	}
	t.Logf("a grant of two keys has %d bytes", len(b))
}

func TestRefusal(t *testing.T) {
	g := testGrant()
	g.Keys, g.Refused = nil, ErrRevoked.Error()
	b, err := g.Seal(testKey(1))
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenGrant(testKey(2), public(testKey(1)), b)
	if err != nil || got.Refused != g.Refused || got.Keys != nil {
		t.Errorf("OpenGrant = %+v, %v, want %+v", got, err, g)
	}
}

func TestGrantRefuses(t *testing.T) {
	seal := func(plain []byte) []byte {
		g := testGrant()
		box, err := sealBox(g.Gateway, grantBox, plain)
		if err != nil {
			t.Fatal(err)
		}
		m := message(nil).number(1, version).bytes(2, g.Channel[:]).bytes(3, g.Gateway).bytes(6, box)
		return m.sign(grantDomain, testKey(1))
	}
	for name, b := range map[string][]byte{
		"a cut key":     seal([]byte{1, 2, 3}),
		"a bad number":  seal(bytes.Repeat([]byte{0xff}, 30)),
		"too many keys": seal(bytes.Repeat(append([]byte{1}, make([]byte, 16)...), maxKeys+1)),
		"no box":        message(nil).number(1, version).bytes(2, testChannel[:]).bytes(3, public(testKey(2))).sign(grantDomain, testKey(1)),
		"no channel":    message(nil).number(1, version).bytes(3, public(testKey(2))).sign(grantDomain, testKey(1)),
		"version 2":     message(nil).number(1, 2).bytes(2, testChannel[:]).bytes(3, public(testKey(2))).sign(grantDomain, testKey(1)),
		"too long":      make([]byte, MaxMessage+1),
	} {
		if g, err := OpenGrant(testKey(2), public(testKey(1)), b); err == nil {
			t.Errorf("%s: OpenGrant = %+v, want an error", name, g)
		}
	}
}

// Secrets stay out of what is logged, however it is formatted.
func TestKeyIsNotPrinted(t *testing.T) {
	k := testKeys()[0]
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", k, "keys", []Key{k}, "grant", testGrant())
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%+v %#v %s", k, k, k), fmt.Sprintf("%v", testGrant().Keys), log.String()} {
		if strings.Contains(s, "first") || strings.Contains(s, "102 105 114") || strings.Contains(s, "6669727374") {
			t.Errorf("%q tells the key", s)
		}
	}
}

func FuzzOpenRequest(f *testing.F) {
	f.Add(message(nil).number(1, version).sign(requestDomain, testKey(2)), true)
	r := testRequest()
	m := message(nil).number(1, version).bytes(2, r.Channel[:]).bytes(3, r.Gateway).bytes(4, r.Ticket).number(5, r.Stamp)
	f.Add(m.sign(requestDomain, testKey(2)), true)
	f.Add([]byte(m), false)
	f.Fuzz(func(t *testing.T, b []byte, boxed bool) {
		if boxed { // else hardly anything would come so far
			box, err := sealBox(public(testKey(1)), requestBox, b)
			if err != nil {
				t.Fatal(err)
			}
			b = box
		}
		if r, err := OpenRequest(testKey(1), b); err == nil && len(r.Gateway) != 32 {
			t.Errorf("OpenRequest = %+v", r)
		}
	})
}

func FuzzOpenGrant(f *testing.F) {
	plain := append(append(protowire.AppendVarint(nil, 1), make([]byte, keySize)...), 2)
	f.Add(plain, []byte("reason"), true)
	f.Add(plain[:17], []byte{}, true)
	f.Add([]byte{0x0a, 0}, []byte{}, false)
	f.Fuzz(func(t *testing.T, b, reason []byte, signed bool) {
		if signed {
			g := testGrant()
			box, err := sealBox(g.Gateway, grantBox, b)
			if err != nil {
				t.Fatal(err)
			}
			m := message(nil).number(1, version).bytes(2, g.Channel[:]).bytes(3, g.Gateway).bytes(6, box).bytes(7, reason)
			b = m.sign(grantDomain, testKey(1))
		}
		if g, err := OpenGrant(testKey(2), public(testKey(1)), b); err == nil && (len(g.Keys) > maxKeys || len(g.Refused) > maxReason) {
			t.Errorf("OpenGrant = %+v", g)
		}
	})
}
