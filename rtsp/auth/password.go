package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"peergate/rtsp/wire"
)

const (
	// hashesAtOnce bounds the memory of argon2id, usually 64 MiB each, and leaves the other cores to the media.
	hashesAtOnce = 2
	// hashesOfClient bounds how many different passwords of one address are being checked or wait for it.
	hashesOfClient = 2
	// rememberFor is how long a right password is known without hashing it. A change of users forgets it at once.
	rememberFor = time.Minute
	// maxRemembered bounds the passwords that are known; when it is full all are forgotten.
	maxRemembered = 1024
	// maxArgonMemory is in KiB: 256 MiB, four times what OWASP advises.
	maxArgonMemory = 256 << 10
	// maxArgonTime is in passes; with the most memory it takes some seconds.
	maxArgonTime = 16
	// maxBcryptCost takes about two seconds.
	maxBcryptCost = 15
)

// secret is what is known of a password: itself or a hash.
type secret struct {
	plain  string
	text   string // of the hash
	bcrypt []byte
	argon  argon
}

// argon is a parsed PHC string of argon2id.
type argon struct {
	memory, time uint32
	threads      uint8
	salt, hash   []byte
}

func (s *secret) hashed() bool { return s.text != "" }

func parseSecret(s string) (secret, error) {
	switch {
	case strings.HasPrefix(s, "$argon2id$"):
		a, err := parseArgon(s)
		return secret{text: s, argon: a}, err
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		cost, err := bcrypt.Cost([]byte(s))
		if err != nil || len(s) != 60 {
			return secret{}, errors.New("has a malformed bcrypt hash")
		}
		if cost > maxBcryptCost {
			return secret{}, fmt.Errorf("has a bcrypt hash of cost %d, at most %d is allowed", cost, maxBcryptCost)
		}
		return secret{text: s, bcrypt: []byte(s)}, nil
	case strings.HasPrefix(s, "$argon2"):
		return secret{}, errors.New("has an argon2 hash of another kind than argon2id")
	}
	return secret{plain: s}, nil
}

func parseArgon(s string) (argon, error) {
	malformed := errors.New("has a malformed argon2id hash: $argon2id$v=19$m=65536,t=3,p=4$salt$hash is its form")
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[2] != "v=19" {
		return argon{}, malformed
	}
	var a argon
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &a.memory, &a.time, &a.threads); err != nil {
		return argon{}, malformed
	}
	if parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", a.memory, a.time, a.threads) {
		return argon{}, malformed
	}
	var err1, err2 error
	a.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	a.hash, err2 = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(a.salt) < 8 || len(a.salt) > 64 || len(a.hash) < 16 || len(a.hash) > 64 {
		return argon{}, malformed
	}
	if a.threads == 0 || a.time == 0 || a.time > maxArgonTime || a.memory < 8*uint32(a.threads) || a.memory > maxArgonMemory {
		return argon{}, fmt.Errorf("has an argon2id hash of m=%d,t=%d,p=%d, at most m=%d,t=%d is allowed", a.memory, a.time, a.threads, maxArgonMemory, maxArgonTime)
	}
	return a, nil
}

// check computes the hash and compares.
func (s *secret) check(password string) bool {
	if s.bcrypt != nil {
		return bcrypt.CompareHashAndPassword(s.bcrypt, []byte(password)) == nil
	}
	a := &s.argon
	got := argon2.IDKey([]byte(password), a.salt, a.time, a.memory, a.threads, uint32(len(a.hash)))
	return subtle.ConstantTimeCompare(got, a.hash) == 1
}

// passwords checks passwords of Basic. A hash takes about 100 ms and 64 MiB on purpose, and a player's reconnect storm
// brings thousands: so few are computed at a time, equal ones that come together once, a right one is remembered for a
// minute, and an address has only few of its own waiting.
type passwords struct {
	decoy secret        // hashed when a plain password or name is wrong, so that all failures take the same time
	slots chan struct{} // one for each hash being computed; the others wait for theirs or their context
	salt  [32]byte      // of this process, for the keys below: the memory has no password that could be read

	mu      sync.Mutex // guards the fields below
	right   map[[32]byte]time.Time
	running map[[32]byte]*run
	clients map[netip.Addr]int // running ones by address
}

// run is one hash being computed.
type run struct {
	done chan struct{} // closed when the result is there
	res  result
}

func newPasswords(decoy secret) *passwords {
	p := &passwords{
		decoy:   decoy,
		slots:   make(chan struct{}, hashesAtOnce),
		right:   make(map[[32]byte]time.Time),
		running: make(map[[32]byte]*run),
		clients: make(map[netip.Addr]int),
	}
	_, _ = rand.Read(p.salt[:]) // never fails
	return p
}

// basic checks a Basic token.
func (u *Users) basic(ctx context.Context, r Request, token string) (*user, result) {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(token, "="))
	name, password, ok := strings.Cut(string(b), ":")
	if err != nil || !ok || !slices.Contains(u.schemes, Basic) {
		return nil, wrong
	}
	p, known := u.lookup(name)
	if !p.secret.hashed() {
		a, b := sha256.Sum256([]byte(password)), sha256.Sum256([]byte(p.secret.plain)) // hides the length
		if subtle.ConstantTimeCompare(a[:], b[:]) == 1 && known {
			return p, proved
		}
		if !u.passwords.decoy.hashed() {
			return nil, wrong
		}
	}
	s := p.secret
	if !s.hashed() {
		s, known = u.passwords.decoy, false
	}
	res := u.passwords.check(ctx, r.Addr, name, &s, password, u.now)
	if res == proved && !known {
		res = wrong
	}
	return p, res
}

// check finds out whether a password is that of a hash.
func (p *passwords) check(ctx context.Context, addr netip.Addr, name string, s *secret, password string, now func() time.Time) result {
	key := p.key(name, s, password)
	p.mu.Lock()
	if until, ok := p.right[key]; ok && now().Before(until) {
		p.mu.Unlock()
		return proved
	}
	if same := p.running[key]; same != nil {
		p.mu.Unlock()
		select {
		case <-same.done:
			return same.res
		case <-ctx.Done():
			return busy
		}
	}
	addr = client(addr)
	if p.clients[addr] >= hashesOfClient {
		p.mu.Unlock()
		return busy
	}
	own := &run{done: make(chan struct{}), res: busy}
	p.running[key] = own
	p.clients[addr]++
	p.mu.Unlock()

	defer p.finish(key, addr, own, now)
	select {
	case p.slots <- struct{}{}:
		own.res = wrong
		if s.check(password) {
			own.res = proved
		}
		<-p.slots
	case <-ctx.Done():
	}
	return own.res
}

// finish tells the result to those who wait for the same.
func (p *passwords) finish(key [32]byte, addr netip.Addr, own *run, now func() time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, key)
	if p.clients[addr]--; p.clients[addr] == 0 {
		delete(p.clients, addr)
	}
	if own.res == proved {
		if len(p.right) >= maxRemembered {
			clear(p.right)
		}
		p.right[key] = now().Add(rememberFor)
	}
	close(own.done)
}

func (p *passwords) key(name string, s *secret, password string) (key [32]byte) {
	m := hmac.New(sha256.New, p.salt[:])
	// Credentials quotes each part, so that no two combinations have the same text.
	m.Write([]byte(wire.Credentials{Params: []wire.Param{{Value: name}, {Value: s.text}, {Value: password}}}.String()))
	m.Sum(key[:0])
	return key
}
