package access

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	successionDomain = "peergate succession 1\x00"
	heirDomain       = "peergate succession heir 1\x00"
	// successionFile is the name of the file in the data folder that keeps successions, one a line in base64.
	successionFile = "successions"
	// maxSuccession bounds a succession in bytes.
	maxSuccession = 512
	// maxSuccessions bounds those that are kept.
	maxSuccessions = 1000
	// MaxChain bounds how often in a row keys are followed.
	MaxChain = 8
)

// Succession is the word of a gateway's key that another key takes its place. It is {1: body, 2: signature of the old key,
// 3: signature of the new key over the same body}, so that nobody can take in a key that is another's.
type Succession struct {
	Old, New ed25519.PublicKey // 2, 3
	At       time.Time         // 4: seconds on the wire
}

// SignSuccession returns a succession from one key to another.
func SignSuccession(from, to ed25519.PrivateKey, at time.Time) []byte {
	m := message(nil).number(1, version).bytes(2, from.Public().(ed25519.PublicKey)).bytes(3, to.Public().(ed25519.PublicKey)).
		number(4, uint64(max(0, at.Unix())))
	return message(m.sign(successionDomain, from)).bytes(3, ed25519.Sign(to, append([]byte(heirDomain), m...)))
}

// ParseSuccession reads a succession and checks both signatures.
func ParseSuccession(b []byte) (*Succession, error) {
	if len(b) > maxSuccession {
		return nil, fmt.Errorf("%w succession: %d bytes", ErrFormat, len(b))
	}
	s, err := readSigned(b)
	if err != nil {
		return nil, fmt.Errorf("succession: %w", err)
	}
	heir := signature{body: s.body}
	if err := walk(b, func(num protowire.Number, _ uint64, v []byte) {
		if num == 3 {
			heir.sig = v
		}
	}); err != nil {
		return nil, fmt.Errorf("succession: %w", err)
	}
	c := new(Succession)
	var ver uint64
	err = walk(s.body, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 1:
			ver = n
		case 2:
			c.Old = bytes.Clone(v)
		case 3:
			c.New = bytes.Clone(v)
		case 4:
			c.At = time.Unix(int64(min(n, 1<<40)), 0)
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("succession: %w", err)
	case ver != version:
		return nil, fmt.Errorf("%w succession of version %d", ErrFormat, ver)
	case bytes.Equal(c.Old, c.New):
		return nil, fmt.Errorf("%w succession: a key follows itself", ErrFormat)
	case !s.by(successionDomain, c.Old) || !heir.by(heirDomain, c.New):
		return nil, fmt.Errorf("%w succession: a signature is wrong", ErrFormat)
	}
	return c, nil
}

// Successions are those that a gateway knows, of itself and of its peers, kept in its data folder. It is safe for
// concurrent use.
type Successions struct {
	path string // "" keeps nothing

	mu   sync.Mutex // guards the fields below, and the file
	next map[string]link
}

type link struct {
	to  ed25519.PublicKey
	raw []byte
}

// LoadSuccessions returns those of a data folder; "" is one where nothing is kept.
func LoadSuccessions(folder string) (*Successions, error) {
	s := &Successions{next: make(map[string]link)}
	if folder == "" {
		return s, nil
	}
	s.path = filepath.Join(folder, successionFile)
	b, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the successions of keys: %w", err)
	}
	for n, lines := 1, bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); n++ {
		raw, err := base64.StdEncoding.DecodeString(lines.Text())
		if err == nil {
			_, err = s.put(raw)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w: remove the line", s.path, n, err)
		}
	}
	return s, nil
}

// put adds a succession; it reports whether it is new.
func (s *Successions) put(raw []byte) (bool, error) {
	c, err := ParseSuccession(raw)
	if err != nil {
		return false, err
	}
	if old, ok := s.next[string(c.Old)]; ok {
		if !old.to.Equal(c.New) {
			return false, errors.New("the key has another successor already")
		}
		return false, nil
	}
	if len(s.next) >= maxSuccessions {
		return false, errors.New("there are too many successions")
	}
	s.next[string(c.Old)] = link{c.New, bytes.Clone(raw)}
	return true, nil
}

// Add keeps a succession; it reports whether it is new. The first one of a key counts: whoever has a stolen key later
// can lead nobody away who has followed.
func (s *Successions) Add(raw []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh, err := s.put(raw)
	if err != nil || !fresh || s.path == "" {
		return fresh, err
	}
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return true, fmt.Errorf("keep the succession of a key: %w", err)
	}
	_, err = fmt.Fprintln(f, base64.StdEncoding.EncodeToString(raw))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return true, fmt.Errorf("keep the succession of a key: %w", err)
	}
	return true, nil
}

// Follow returns the key that stands in the place of a key now: itself when it has no successor.
func (s *Successions) Follow(key ed25519.PublicKey) ed25519.PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range MaxChain {
		l, ok := s.next[string(key)]
		if !ok {
			break
		}
		key = l.to
	}
	return key
}

// Chain returns the successions that lead to a key, the latest last, for others to follow.
func (s *Successions) Chain(key ed25519.PublicKey) (chain [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range MaxChain {
		before := s.before(key)
		if before == nil {
			break
		}
		chain = append([][]byte{s.next[string(before)].raw}, chain...)
		key = before
	}
	return chain
}

// before returns a key that the key follows, or nil.
func (s *Successions) before(key ed25519.PublicKey) ed25519.PublicKey {
	for old, l := range s.next {
		if l.to.Equal(key) {
			return ed25519.PublicKey(old)
		}
	}
	return nil
}
