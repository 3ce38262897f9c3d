package auth

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// argonHash makes a hash that is fast to check.
func argonHash(passes, memory uint32, password string) string {
	salt := []byte("saltsalt")
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=1$%s$%s", memory, passes, b64(salt), b64(argon2.IDKey([]byte(password), salt, passes, memory, 1, 32)))
}

func TestHashedPasswords(t *testing.T) {
	b, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := newUsers(t, []User{
		{Name: "anna", Password: argonHash(1, 64, "secret"), Read: []string{"**"}},
		{Name: "bert", Password: string(b), Read: []string{"**"}},
		{Name: "carl", Password: "plain", Read: []string{"**"}},
	}, Options{})
	tests := []struct {
		name, password string
		want           Verdict
	}{
		{"anna", "secret", OK},
		{"anna", "secret", OK},
		{"anna", "Secret", Challenge},
		{"bert", "secret", OK},
		{"bert", "", Challenge},
		{"carl", "plain", OK},
		{"carl", "secret", Challenge}, // the decoy's
		{"dora", "secret", Challenge}, // the decoy's
		{"anna", argonHash(1, 64, "secret"), Challenge},
	}
	for i, tt := range tests {
		addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		d := allow(u, Request{Name: "x", Addr: addr, Authorization: basicAuth(tt.name, tt.password)})
		if d.Verdict != tt.want {
			t.Errorf("%s:%s = %+v, want %v", tt.name, tt.password, d, tt.want)
		}
	}
}

// The vector of RFC 9106 has a secret and data that PHC strings lack; this one is of the reference implementation:
// echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32.
func TestArgonOfTheReference(t *testing.T) {
	s, err := parseSecret("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	if err != nil {
		t.Fatal(err)
	}
	if !s.check("password") || s.check("passwore") {
		t.Error("check is wrong")
	}
}

func TestEqualPasswordsAreHashedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := parseSecret(argonHash(1, 8, "secret"))
		if err != nil {
			t.Fatal(err)
		}
		p := newPasswords(s)
		for range hashesAtOnce { // all are busy
			p.slots <- struct{}{}
		}
		var wg sync.WaitGroup
		results := make(chan result, 1000)
		for i := range cap(results) {
			wg.Go(func() {
				addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
				results <- p.check(t.Context(), addr, "anna", &s, "secret", time.Now)
			})
		}
		synctest.Wait()
		if n := len(p.running); n != 1 {
			t.Errorf("%d hashes wait for their turn, want 1", n)
		}
		<-p.slots
		wg.Wait()
		for range cap(results) {
			if res := <-results; res != proved {
				t.Fatalf("check = %v, want proved", res)
			}
		}
		p.slots <- struct{}{} // remembered: needs no slot
		if res := p.check(t.Context(), away, "anna", &s, "secret", time.Now); res != proved {
			t.Errorf("check = %v, want proved", res)
		}
		time.Sleep(rememberFor)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if res := p.check(ctx, away, "anna", &s, "secret", time.Now); res != busy {
			t.Errorf("check of what is forgotten = %v, want busy", res)
		}
	})
}

func TestAnAddressHasFewHashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, err := New([]User{{Name: "anna", Password: argonHash(1, 8, "secret"), Read: []string{"**"}}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for range hashesAtOnce {
			u.passwords.slots <- struct{}{}
		}
		var wg sync.WaitGroup
		verdicts := make(chan Decision, 100)
		for i := range cap(verdicts) {
			wg.Go(func() {
				verdicts <- u.Allow(t.Context(), Request{Name: "x", Addr: away, Authorization: basicAuth("anna", fmt.Sprint(i))})
			})
		}
		synctest.Wait()
		if n := len(u.passwords.running); n != hashesOfClient {
			t.Errorf("%d hashes of an address wait for their turn, want %d", n, hashesOfClient)
		}
		<-u.passwords.slots
		wg.Wait()
		waits := 0
		for range cap(verdicts) {
			if d := <-verdicts; d.Verdict == Wait && d.RetryAfter == time.Second {
				waits++
			}
		}
		if want := cap(verdicts) - hashesOfClient; waits != want {
			t.Errorf("%d have to wait, want %d", waits, want)
		}
		if n := len(u.passwords.clients) + len(u.passwords.running); n != 0 {
			t.Errorf("%d entries are left, want none", n)
		}
	})
}

func TestRememberedPasswordsAreBounded(t *testing.T) {
	s, err := parseSecret("$2a$04$abcdefghijklmnopqrstuuMC5jOvXnIyUDT.5f9GaV1WtnPGNVUTe")
	if err != nil {
		t.Fatal(err)
	}
	p := newPasswords(s)
	now := func() time.Time { return start }
	for i := range maxRemembered + 1 {
		key := p.key(fmt.Sprint(i), &s, "")
		p.clients[away]++
		p.finish(key, away, &run{done: make(chan struct{}), res: proved}, now)
	}
	if n := len(p.right); n != 1 {
		t.Errorf("%d passwords are remembered, want 1", n)
	}
}

func FuzzSecret(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA")
	f.Add("$2a$04$abcdefghijklmnopqrstuuMC5jOvXnIyUDT.5f9GaV1WtnPGNVUTe")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSecret(text)
		if err != nil {
			return
		}
		if s.argon.memory > 1<<10 || s.argon.time > 2 || len(s.bcrypt) > 0 {
			return
		}
		if s.hashed() && s.check("a") && s.check("b") {
			t.Errorf("%q: all passwords are right", text)
		}
	})
}
