// Package auth decides who may read and publish which streams: users with passwords, anybody, and addresses that have
// guessed too often. It speaks Basic (RFC 7617) and Digest (RFC 7616, and RFC 2069 for players that know no more), does
// no I/O and starts nothing.
package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"peergate/rtsp/wire"
)

// Scheme is a way to prove who one is.
type Scheme string

// The schemes.
const (
	DigestSHA256 Scheme = "digest-sha-256"
	DigestMD5    Scheme = "digest-md5"
	Basic        Scheme = "basic"
)

// Options are settings of Users; the zero value is fit for use.
type Options struct {
	Realm string // "" is "peergate"
	// Schemes are offered in this order and no other is accepted. Empty is Digest with SHA-256 and with MD5, then
	// Basic; or Basic alone when a user has a hashed password, since all players prefer a Digest that could not succeed.
	// MD5 has to be the last Digest: ffmpeg, live555 and GStreamer take the last and know only MD5.
	Schemes   []Scheme
	NonceLife time.Duration    // how long a Digest nonce is good; 0 is 5 minutes
	Now       func() time.Time // nil is time.Now
}

// Action is what somebody wants to do with a stream.
type Action int

// The actions.
const (
	Read Action = iota
	Publish
)

func (a Action) String() string {
	if a == Publish {
		return "publish"
	}
	return "read"
}

// Request is a question to Users.
type Request struct {
	Action        Action
	Name          string     // of the stream
	Addr          netip.Addr // of the client
	Conn          uint64     // number of the client's connection: a nonce is good only on the one it was given on
	Method        string     // of the RTSP request
	URL           string     // of the RTSP request, as it was written
	Authorization string     // the header, "" when absent
}

// Verdict is what to do with a request.
type Verdict int

// The verdicts.
const (
	Forbidden Verdict = iota // no credentials of this client can help: 403
	OK                       // go on
	Challenge                // 401 with the challenges
	Wait                     // too many wrong guesses, or too much to check: 503 with Retry-After
)

func (v Verdict) String() string {
	return [...]string{"forbidden", "ok", "challenge", "wait"}[v]
}

// Decision is the answer of Users.
type Decision struct {
	Verdict    Verdict
	User       string        // who it is, when OK; "" is anybody
	Challenges []string      // values of WWW-Authenticate, a line each
	RetryAfter time.Duration // with Wait
	Reason     string        // for the log, not for the client
}

// Users knows who may do what. It is safe for concurrent use.
type Users struct {
	open    bool // no users are configured
	anybody []*user
	named   map[string]*user
	nobody  *user // stands in for a name that does not exist
	realm   string
	schemes []Scheme
	now     func() time.Time

	nonces    *nonces
	passwords *passwords
	guesses   *guesses
}

// New prepares users; all faults are reported at once. Without users anybody may read, and publish from this host.
func New(users []User, o Options) (*Users, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NonceLife == 0 {
		o.NonceLife = nonceLife
	}
	if o.Realm == "" {
		o.Realm = "peergate"
	}
	u := &Users{
		open:    len(users) == 0,
		named:   make(map[string]*user),
		realm:   o.Realm,
		schemes: o.Schemes,
		now:     o.Now,
		nonces:  newNonces(o.NonceLife),
		guesses: newGuesses(),
	}
	var errs []error
	var hashed secret
	for i, in := range users {
		p, err := u.prepare(in)
		if err != nil {
			errs = append(errs, fmt.Errorf("user %d (%q): %w", i+1, in.Name, err))
			continue
		}
		if p.name == Anybody {
			u.anybody = append(u.anybody, p)
			continue
		}
		u.named[p.name] = p
		if p.secret.hashed() && !hashed.hashed() {
			hashed = p.secret
		}
	}
	if len(u.schemes) == 0 {
		u.schemes = []Scheme{DigestSHA256, DigestMD5, Basic}
		if hashed.hashed() {
			u.schemes = []Scheme{Basic}
		}
	}
	if hashed.hashed() && !slices.Contains(u.schemes, Basic) {
		errs = append(errs, errors.New("a hashed password can be checked only with Basic, which is not among the schemes"))
	}
	for _, s := range u.schemes {
		if s != DigestSHA256 && s != DigestMD5 && s != Basic {
			errs = append(errs, fmt.Errorf("scheme %q is unknown: use %q, %q or %q", s, DigestSHA256, DigestMD5, Basic))
		}
	}
	u.passwords = newPasswords(hashed)
	u.nobody = u.digests(&user{secret: hashed})
	return u, errors.Join(errs...)
}

// Allow decides about a request. It may take the time of hashing a password; ctx bounds the wait for its turn. It needs
// to be asked when a stream is described, announced or set up; what follows in the session is the same client's, whose
// keep-alives must not fail when a nonce expires: ffmpeg does not read the answers to them.
func (u *Users) Allow(ctx context.Context, r Request) Decision {
	r.Addr = r.Addr.Unmap().WithZone("")
	if u.open {
		return openTo(r)
	}
	for _, p := range u.anybody {
		if p.may(r) && p.comesFrom(r.Addr) {
			return Decision{Verdict: OK}
		}
	}
	if r.Authorization == "" {
		return u.challenge(r, false, "no credentials")
	}
	now := u.now()
	if d := u.guesses.wait(r.Addr, now); d > 0 {
		return Decision{Verdict: Wait, RetryAfter: d, Reason: "too many wrong credentials from the address"}
	}
	p, res := u.identify(ctx, r)
	switch res {
	case proved:
	case stale:
		return u.challenge(r, true, "nonce expired")
	case busy:
		return Decision{Verdict: Wait, RetryAfter: time.Second, Reason: "too many passwords to check"}
	default:
		u.guesses.failed(r.Addr, now)
		return u.challenge(r, false, "wrong credentials")
	}
	if !p.comesFrom(r.Addr) { // says no more than a wrong password does: the right one is of no use to others
		u.guesses.failed(r.Addr, now)
		return u.challenge(r, false, fmt.Sprintf("user %s may not come from this address", p.name))
	}
	if !p.may(r) {
		return Decision{Verdict: Forbidden, Reason: fmt.Sprintf("user %s may not %s it", p.name, r.Action)}
	}
	return Decision{Verdict: OK, User: p.name}
}

// openTo decides while there are no users.
func openTo(r Request) Decision {
	if r.Action == Publish && !r.Addr.IsLoopback() {
		return Decision{Verdict: Forbidden, Reason: "only this host may publish while no users are configured"}
	}
	return Decision{Verdict: OK}
}

// result is what credentials proved.
type result int

const (
	wrong  result = iota
	proved        // the user knows the password
	stale         // so does this one, but the nonce is too old, of another connection or used before
	busy          // it could not be found out now
)

// identify returns who gave the credentials of a request.
func (u *Users) identify(ctx context.Context, r Request) (*user, result) {
	c, err := wire.ParseCredentials(r.Authorization)
	if err != nil {
		return nil, wrong
	}
	switch strings.ToLower(c.Scheme) {
	case "basic":
		return u.basic(ctx, r, c.Token)
	case "digest":
		return u.digest(r, &c)
	}
	return nil, wrong
}

// lookup returns the user of a name, or one that has no password, so that both cost the same.
func (u *Users) lookup(name string) (p *user, known bool) {
	if p := u.named[name]; p != nil {
		return p, true
	}
	return u.nobody, false
}

// challenge asks for credentials by all schemes.
func (u *Users) challenge(r Request, stale bool, reason string) Decision {
	d := Decision{Verdict: Challenge, Reason: reason}
	nonce := ""
	for _, s := range u.schemes {
		if s == Basic {
			d.Challenges = append(d.Challenges, wire.Credentials{Scheme: "Basic", Params: []wire.Param{{Name: "realm", Value: u.realm}}}.String())
			continue
		}
		if nonce == "" {
			nonce = u.nonces.issue(r.Addr, r.Conn, u.now())
		}
		d.Challenges = append(d.Challenges, u.digestChallenge(s, nonce, stale))
	}
	return d
}
