package auth

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// Anybody is the name of a user without password: those who give no credentials.
const Anybody = "any"

// User is somebody with rights.
type User struct {
	Name string
	// Password is the password, its argon2id hash in PHC form ("$argon2id$v=19$...") or its bcrypt hash ("$2a$...").
	// Digest needs the password itself: who has only a hash needs Basic.
	Password string
	Read     []string       // patterns of stream names, see Pattern
	Publish  []string       // patterns of stream names
	From     []netip.Prefix // where the user may come from; empty is anywhere
}

// user is a User prepared for questions.
type user struct {
	name          string
	secret        secret
	md5, sha256   string // HA1 of Digest; of a hashed password, of nothing
	read, publish []Pattern
	from          []netip.Prefix
}

func (u *Users) prepare(in User) (*user, error) {
	p := &user{name: in.Name, from: in.From}
	var errs []error
	switch {
	case in.Name == "":
		errs = append(errs, errors.New("has no name"))
	case strings.Contains(in.Name, ":"):
		errs = append(errs, errors.New("has a colon in the name, which Basic cannot carry"))
	case in.Name == Anybody && in.Password != "":
		errs = append(errs, errors.New("has a password, but stands for those who give none"))
	case in.Name != Anybody && in.Password == "":
		errs = append(errs, errors.New("has no password"))
	case u.named[in.Name] != nil:
		errs = append(errs, errors.New("stands twice"))
	}
	var err error
	if p.secret, err = parseSecret(in.Password); err != nil {
		errs = append(errs, err)
	}
	if p.read, err = patterns(in.Read); err != nil {
		errs = append(errs, err)
	}
	if p.publish, err = patterns(in.Publish); err != nil {
		errs = append(errs, err)
	}
	return u.digests(p), errors.Join(errs...)
}

// digests computes what Digest needs of the user.
func (u *Users) digests(p *user) *user {
	a1 := p.name + ":" + u.realm + ":" + p.secret.plain
	p.md5, p.sha256 = hash(DigestMD5, a1), hash(DigestSHA256, a1)
	return p
}

// may reports whether the user has the right that a request is about.
func (p *user) may(r Request) bool {
	patterns := p.read
	if r.Action == Publish {
		patterns = p.publish
	}
	return slices.ContainsFunc(patterns, func(pt Pattern) bool { return pt.Match(r.Name) })
}

// comesFrom reports whether the user may come from an address.
func (p *user) comesFrom(a netip.Addr) bool {
	return len(p.from) == 0 || slices.ContainsFunc(p.from, func(n netip.Prefix) bool { return n.Contains(a) })
}
