package access

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// registerFile is the name of the register's file in the data folder.
const registerFile = "tickets.json"

// Entry is what an owner knows of a ticket that it has issued. The ticket itself is not kept: who reads the register
// cannot use it.
type Entry struct {
	Serial   Serial    `json:"serial"`
	Holder   []byte    `json:"holder,omitempty"` // key of the gateway that it is for; none: a bearer's
	Channels []string  `json:"channels"`
	Rights   Rights    `json:"rights"`
	Issued   time.Time `json:"issued"`
	Expires  time.Time `json:"expires"`
	Uses     int       `json:"uses,omitempty"` // of a bearer's ticket: how many gateways
	Bound    []Use     `json:"bound,omitempty"`
	Revoked  time.Time `json:"revoked,omitzero"`
}

// Use is a gateway that has used a bearer's ticket, which is the gateway's from then on.
type Use struct {
	Gateway []byte    `json:"gateway"` // its key
	Since   time.Time `json:"since"`
}

// Register is the tickets that an owner has issued, kept in its data folder. It is safe for concurrent use.
type Register struct {
	path        string // "" keeps nothing
	successions *Successions

	mu      sync.Mutex // guards the fields below, and the file
	loaded  bool
	entries []*Entry // in the order of their issue
	index   map[Serial]*Entry
}

// NewRegister returns the register of a data folder; "" is one that is kept nowhere. The file is read at first use. The
// holders of tickets are followed when they change their keys.
func NewRegister(folder string, s *Successions) *Register {
	r := &Register{successions: s, index: make(map[Serial]*Entry), loaded: folder == ""}
	if folder != "" {
		r.path = filepath.Join(folder, registerFile)
	}
	return r
}

// Issue signs a ticket with the owner's key, after its serial, owner and form are set and checked, and keeps it in the
// register. It returns the ticket's bytes.
func (r *Register) Issue(owner ed25519.PrivateKey, t Ticket, now time.Time) ([]byte, Entry, error) {
	t.Owner, t.Serial = owner.Public().(ed25519.PublicKey), NewSerial()
	if err := t.check(); err != nil {
		return nil, Entry{}, err
	}
	if !t.Expires.After(now) {
		return nil, Entry{}, ErrExpired
	}
	e := Entry{
		Serial: t.Serial, Holder: t.Holder, Channels: t.Channels, Rights: t.Rights,
		Issued: now.Truncate(time.Second), Expires: t.Expires.Truncate(time.Second),
	}
	if t.Bearer() {
		e.Uses = t.Uses
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.load(); err != nil {
		return nil, Entry{}, err
	}
	r.entries = append(r.entries, &e)
	if err := r.save(); err != nil {
		r.entries = r.entries[:len(r.entries)-1]
		return nil, Entry{}, err
	}
	r.index[e.Serial] = &e
	return t.Sign(owner), e.clone(), nil
}

// List returns all tickets, the newest last.
func (r *Register) List() ([]Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.load(); err != nil {
		return nil, err
	}
	all := make([]Entry, len(r.entries))
	for i, e := range r.entries {
		all[i] = e.clone()
	}
	return all, nil
}

// Revoke takes a ticket back. It returns ErrUnknown when there is no such ticket.
func (r *Register) Revoke(s Serial, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.load(); err != nil {
		return err
	}
	e := r.index[s]
	if e == nil {
		return ErrUnknown
	}
	if !e.Revoked.IsZero() {
		return nil
	}
	e.Revoked = now.Truncate(time.Second)
	if err := r.save(); err != nil {
		e.Revoked = time.Time{}
		return err
	}
	return nil
}

// Admit tells whether a gateway may use a ticket now: nil, or why not. The first use of a bearer's ticket by a gateway is
// counted, and kept before Admit returns. Which of the owner's channels the ticket is for is the caller's to check.
func (r *Register) Admit(t *Ticket, gateway ed25519.PublicKey, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.load(); err != nil {
		return err
	}
	e := r.index[t.Serial]
	switch {
	case e == nil:
		return ErrUnknown
	case !e.Revoked.IsZero():
		return ErrRevoked
	case !now.Before(e.Expires):
		return ErrExpired
	case e.Rights&Watch == 0:
		return ErrNoRight
	case len(e.Holder) > 0:
		if !r.successions.Follow(e.Holder).Equal(gateway) {
			return ErrHolder
		}
		return nil
	case slices.ContainsFunc(e.Bound, func(u Use) bool { return r.successions.Follow(u.Gateway).Equal(gateway) }):
		return nil
	case len(e.Bound) >= e.Uses:
		return ErrUsedUp
	}
	e.Bound = append(e.Bound, Use{bytes.Clone(gateway), now.Truncate(time.Second)})
	if err := r.save(); err != nil {
		e.Bound = e.Bound[:len(e.Bound)-1]
		return err
	}
	return nil
}

func (e *Entry) clone() Entry {
	c := *e
	c.Holder, c.Channels, c.Bound = bytes.Clone(e.Holder), slices.Clone(e.Channels), slices.Clone(e.Bound)
	return c
}

// load reads the file once. A register that cannot be read admits nobody: it may hold what was revoked.
func (r *Register) load() error {
	if r.loaded {
		return nil
	}
	b, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		r.loaded = true
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r.entries)
	}
	if err != nil {
		r.entries = nil
		return fmt.Errorf("read the tickets of %s: %w", r.path, err)
	}
	r.entries = slices.DeleteFunc(r.entries, func(e *Entry) bool { return e == nil })
	for _, e := range r.entries {
		r.index[e.Serial] = e
	}
	r.loaded = true
	return nil
}

// save replaces the file in one step; only this user can read it.
func (r *Register) save() error {
	if r.path == "" {
		return nil
	}
	b, err := json.MarshalIndent(r.entries, "", "  ")
	if err != nil {
		return fmt.Errorf("keep the tickets: %w", err)
	}
	f, err := os.OpenFile(r.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("keep the tickets: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(r.path+".new", r.path)
	}
	if err != nil {
		return fmt.Errorf("keep the tickets: %w", err)
	}
	return nil
}
