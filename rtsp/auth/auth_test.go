package auth

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"peergate/rtsp/wire"
)

var (
	home  = netip.MustParseAddr("127.0.0.1")
	away  = netip.MustParseAddr("192.0.2.7")
	start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// clock is a time that a test sets.
type clock struct{ t time.Time }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

func newUsers(t testing.TB, users []User, o Options) (*Users, *clock) {
	t.Helper()
	c := &clock{start}
	o.Now = c.now
	u, err := New(users, o)
	if err != nil {
		t.Fatal(err)
	}
	return u, c
}

func basicAuth(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// player answers challenges as a player does.
type player struct {
	name, password string
	scheme         Scheme
	nonce, realm   string
	qop            bool
	nc             uint32
}

// take reads the challenge of the player's scheme.
func (p *player) take(t testing.TB, challenges []string) {
	t.Helper()
	for _, ch := range challenges {
		c, err := wire.ParseCredentials(ch)
		if err != nil {
			t.Fatalf("challenge %q: %v", ch, err)
		}
		alg, _ := c.Param("algorithm")
		if c.Scheme == "Digest" && strings.EqualFold("digest-"+alg, string(p.scheme)) {
			p.nonce, _ = c.Param("nonce")
			p.realm, _ = c.Param("realm")
			p.nc = 0
			return
		}
	}
	t.Fatalf("no challenge of %s in %q", p.scheme, challenges)
}

func (p *player) digest(method, uri string) string {
	ha1 := hash(p.scheme, p.name+":"+p.realm+":"+p.password)
	ha2 := hash(p.scheme, method+":"+uri)
	alg := strings.ToUpper(strings.TrimPrefix(string(p.scheme), "digest-"))
	s := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", algorithm=%s`, p.name, p.realm, p.nonce, uri, alg)
	if !p.qop {
		return s + fmt.Sprintf(`, response="%s"`, hash(p.scheme, ha1+":"+p.nonce+":"+ha2))
	}
	p.nc++
	return s + fmt.Sprintf(`, qop=auth, nc=%08x, cnonce="xyz", response="%s"`, p.nc,
		hash(p.scheme, fmt.Sprintf("%s:%s:%08x:xyz:auth:%s", ha1, p.nonce, p.nc, ha2)))
}

func allow(u *Users, r Request) Decision { return u.Allow(context.Background(), r) }

func TestWithoutUsers(t *testing.T) {
	u, _ := newUsers(t, nil, Options{})
	tests := []struct {
		name   string
		action Action
		addr   netip.Addr
		want   Verdict
	}{
		{"anybody reads", Read, away, OK},
		{"loopback publishes", Publish, home, OK},
		{"IPv6 loopback publishes", Publish, netip.IPv6Loopback(), OK},
		{"mapped loopback publishes", Publish, netip.MustParseAddr("::ffff:127.0.0.1"), OK},
		{"others do not", Publish, away, Forbidden},
		{"credentials are no help", Publish, netip.MustParseAddr("2001:db8::1"), Forbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Request{Action: tt.action, Name: "a", Addr: tt.addr, Authorization: basicAuth("a", "b")}
			if d := allow(u, r); d.Verdict != tt.want {
				t.Errorf("Allow = %+v, want %v", d, tt.want)
			}
		})
	}
}

func TestRights(t *testing.T) {
	u, _ := newUsers(t, []User{
		{Name: "any", Read: []string{"public/*"}},
		{Name: "any", Publish: []string{"inbox"}, From: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		{Name: "anna", Password: "secret", Read: []string{"**"}, Publish: []string{"hq/**"}},
		{Name: "bert", Password: "b:c", Read: []string{"hq/lobby"}, From: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
	}, Options{})
	tests := []struct {
		test   string
		action Action
		name   string
		addr   netip.Addr
		auth   string
		want   Verdict
		user   string
	}{
		{"anybody", Read, "public/a", away, "", OK, ""},
		{"anybody with credentials", Read, "public/a", away, basicAuth("x", "y"), OK, ""},
		{"anybody from here", Publish, "inbox", home, "", OK, ""},
		{"anybody from elsewhere", Publish, "inbox", away, "", Challenge, ""},
		{"no credentials", Read, "hq/lobby", away, "", Challenge, ""},
		{"user reads", Read, "hq/lobby", away, basicAuth("anna", "secret"), OK, "anna"},
		{"user publishes", Publish, "hq/a/b", away, basicAuth("anna", "secret"), OK, "anna"},
		{"user may not publish", Publish, "other", away, basicAuth("anna", "secret"), Forbidden, ""},
		{"wrong password", Read, "hq/lobby", netip.MustParseAddr("192.0.2.8"), basicAuth("anna", "Secret"), Challenge, ""},
		{"unknown user", Read, "hq/lobby", netip.MustParseAddr("192.0.2.8"), basicAuth("carl", ""), Challenge, ""},
		{"empty password", Read, "hq/lobby", netip.MustParseAddr("192.0.2.8"), basicAuth("anna", ""), Challenge, ""},
		{"user any", Publish, "hq/a", netip.MustParseAddr("192.0.2.8"), basicAuth("any", ""), Challenge, ""},
		{"colon in the password", Read, "hq/lobby", away, basicAuth("bert", "b:c"), OK, "bert"},
		{"from elsewhere", Read, "hq/lobby", netip.MustParseAddr("198.51.100.1"), basicAuth("bert", "b:c"), Challenge, ""},
		{"no padding", Read, "hq/lobby", away, strings.TrimRight(basicAuth("anna", "secret"), "="), OK, "anna"},
		{"another scheme", Read, "a", netip.MustParseAddr("192.0.2.9"), "Bearer abc", Challenge, ""},
		{"no base64", Read, "a", netip.MustParseAddr("192.0.2.9"), "Basic ---", Challenge, ""},
		{"malformed", Read, "a", netip.MustParseAddr("192.0.2.9"), `Digest "`, Challenge, ""},
	}
	for _, tt := range tests {
		t.Run(tt.test, func(t *testing.T) {
			d := allow(u, Request{Action: tt.action, Name: tt.name, Addr: tt.addr, Authorization: tt.auth})
			if d.Verdict != tt.want || d.User != tt.user {
				t.Errorf("Allow = %+v, want %v of %q", d, tt.want, tt.user)
			}
			if (d.Verdict == Challenge) != (len(d.Challenges) == 3) {
				t.Errorf("Challenges = %q", d.Challenges)
			}
		})
	}
}

func TestChallenge(t *testing.T) {
	bcryptHash := "$2a$04$abcdefghijklmnopqrstuuMC5jOvXnIyUDT.5f9GaV1WtnPGNVUTe"
	tests := []struct {
		name     string
		password string
		o        Options
		want     []string // beginnings
	}{
		{"default", "p", Options{}, []string{"Digest realm=\"peergate\", nonce=\"", "Digest realm=\"peergate\", nonce=\"", `Basic realm="peergate"`}},
		{"hashed password", bcryptHash, Options{Realm: `a "b"`}, []string{`Basic realm="a \"b\""`}},
		{"chosen", "p", Options{Schemes: []Scheme{DigestMD5}}, []string{"Digest "}},
		{"chosen with a hash", bcryptHash, Options{Schemes: []Scheme{Basic, DigestMD5}}, []string{"Basic ", "Digest "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, _ := newUsers(t, []User{{Name: "a", Password: tt.password, Read: []string{"**"}}}, tt.o)
			got := allow(u, Request{Name: "x", Addr: away}).Challenges
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("Challenges = %q, want %q", got, tt.want)
			}
		})
	}
	u, _ := newUsers(t, []User{{Name: "a", Password: "p"}}, Options{})
	got := allow(u, Request{Name: "x", Addr: away}).Challenges
	for i, want := range []string{`, algorithm=SHA-256, qop="auth"`, `, algorithm=MD5, qop="auth"`} {
		if !strings.HasSuffix(got[i], want) {
			t.Errorf("challenge %d = %q, want ...%s", i, got[i], want)
		}
	}
}

func TestNewErrors(t *testing.T) {
	tests := []struct {
		name  string
		users []User
		o     Options
		want  []string
	}{
		{"all at once", []User{{Password: "x"}, {Name: "a:b", Password: "x"}, {Name: "c"}}, Options{}, []string{"user 1 (\"\"): has no name", "user 2 (\"a:b\"): has a colon", "user 3 (\"c\"): has no password"}},
		{"twice", []User{{Name: "a", Password: "x"}, {Name: "a", Password: "y"}}, Options{}, []string{"user 2 (\"a\"): stands twice"}},
		{"any with a password", []User{{Name: "any", Password: "x"}}, Options{}, []string{"stands for those who give none"}},
		{"pattern", []User{{Name: "a", Password: "x", Read: []string{"[", "a//b", ""}, Publish: []string{"/a"}}}, Options{}, []string{`"["`, `"a//b"`, "empty", `"/a"`}},
		{"scheme", []User{{Name: "a", Password: "x"}}, Options{Schemes: []Scheme{"ntlm"}}, []string{`scheme "ntlm" is unknown`}},
		{"hash without Basic", []User{{Name: "a", Password: argonHash(1, 8, "x")}}, Options{Schemes: []Scheme{DigestMD5}}, []string{"only with Basic"}},
		{"argon2i", []User{{Name: "a", Password: "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"}}, Options{}, []string{"another kind"}},
		{"old argon2id", []User{{Name: "a", Password: "$argon2id$v=16$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"}}, Options{}, []string{"malformed argon2id"}},
		{"argon2id parameters", []User{{Name: "a", Password: "$argon2id$v=19$m=8,t=1,p=1,$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"}}, Options{}, []string{"malformed argon2id"}},
		{"argon2id of no threads", []User{{Name: "a", Password: "$argon2id$v=19$m=8,t=1,p=0$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"}}, Options{}, []string{"m=8,t=1,p=0"}},
		{"argon2id of 2 GB", []User{{Name: "a", Password: "$argon2id$v=19$m=2097152,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"}}, Options{}, []string{"at most"}},
		{"short salt", []User{{Name: "a", Password: "$argon2id$v=19$m=8,t=1,p=1$c2Fs$aGFzaGhhc2hoYXNoaGFzaA"}}, Options{}, []string{"malformed argon2id"}},
		{"bcrypt", []User{{Name: "a", Password: "$2a$10$short"}}, Options{}, []string{"malformed bcrypt"}},
		{"dear bcrypt", []User{{Name: "a", Password: "$2a$31$abcdefghijklmnopqrstuuMC5jOvXnIyUDT.5f9GaV1WtnPGNVUTe"}}, Options{}, []string{"cost 31"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.users, tt.o)
			if err == nil {
				t.Fatal("New has no error")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("New: %v, want %s", err, w)
				}
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	u, c := newUsers(t, []User{{Name: "a", Password: "p", Read: []string{"**"}}}, Options{})
	try := func(addr netip.Addr, password string) Decision {
		return allow(u, Request{Name: "x", Addr: addr, Authorization: basicAuth("a", password)})
	}
	for i := range freeGuesses + 1 {
		if d := try(away, "wrong"); d.Verdict != Challenge {
			t.Fatalf("guess %d = %+v, want a challenge", i, d)
		}
	}
	if d := try(away, "p"); d.Verdict != Wait || d.RetryAfter != time.Second {
		t.Errorf("after them = %+v, want to wait 1s", d)
	}
	if d := try(netip.MustParseAddr("192.0.2.8"), "p"); d.Verdict != OK {
		t.Errorf("from another address = %+v, want ok", d)
	}
	if d := allow(u, Request{Name: "x", Addr: away}); d.Verdict != Challenge {
		t.Errorf("without credentials = %+v, want a challenge", d)
	}
	for _, want := range []time.Duration{2, 4, 8, 16, 32, 60, 60} {
		c.advance(u.guesses.wait(away, c.t))
		try(away, "wrong")
		if d := try(away, "p"); d.RetryAfter != want*time.Second {
			t.Errorf("RetryAfter = %v, want %v", d.RetryAfter, want*time.Second)
		}
	}
	c.advance(maxBackoff)
	if d := try(away, "p"); d.Verdict != OK {
		t.Errorf("after the wait = %+v, want ok", d)
	}
	c.advance(maxCount * forgiveAfter)
	for i := range freeGuesses {
		if d := try(away, "wrong"); d.Verdict != Challenge {
			t.Fatalf("forgiven, guess %d = %+v, want a challenge", i, d)
		}
	}
	if d := try(away, "p"); d.Verdict != OK {
		t.Errorf("forgiven = %+v, want ok", d)
	}
}

func TestBackoffOfNetwork(t *testing.T) {
	g := newGuesses()
	for i := range freeGuesses + 1 {
		g.failed(netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i)), start)
	}
	if d := g.wait(netip.MustParseAddr("2001:db8::ffff"), start); d != time.Second {
		t.Errorf("wait in the network = %v, want 1s", d)
	}
	if d := g.wait(netip.MustParseAddr("2001:db8:0:1::1"), start); d > 0 {
		t.Errorf("wait in another = %v, want none", d)
	}
}

// TestNeighbourGuesses: in the networks of a site, whose hosts share their 64 bits, one does not lock the others out.
func TestNeighbourGuesses(t *testing.T) {
	for _, network := range []string{"fe80::", "fd00:1:2:3::"} {
		g := newGuesses()
		for range freeGuesses + 1 {
			g.failed(netip.MustParseAddr(network+"1"), start)
		}
		if d := g.wait(netip.MustParseAddr(network+"1"), start); d != time.Second {
			t.Errorf("wait of %s1 = %v, want 1s", network, d)
		}
		if d := g.wait(netip.MustParseAddr(network+"2"), start); d > 0 {
			t.Errorf("wait of %s2 = %v, want none", network, d)
		}
	}
}

func TestBackoffTableIsBounded(t *testing.T) {
	g := newGuesses()
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for range freeGuesses + 5 {
		g.failed(away, start.Add(time.Second))
	}
	for i := range maxAddresses + 10 {
		g.failed(addr(i), start)
	}
	if n := len(g.addr); n > maxAddresses {
		t.Errorf("%d addresses, want at most %d", n, maxAddresses)
	}
	if g.wait(away, start.Add(time.Second)) == 0 {
		t.Error("the address of the latest guess was forgotten")
	}
	g.failed(netip.MustParseAddr("198.51.100.1"), start.Add(2*maxCount*forgiveAfter))
	if n := len(g.addr); n != 1 {
		t.Errorf("%d addresses when all are forgiven, want 1", n)
	}
}
