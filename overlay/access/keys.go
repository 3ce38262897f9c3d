package access

import (
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	keySize = 16
	// tagSize is that of a sealed chunk's tag in bytes, the least that NIST SP 800-38D §5.2.1.2 has for all uses. The
	// owner's signature covers the sealed body as well, so that the tag only tells a wrong key.
	tagSize = 12
	// RotateEvery is how long a key is used.
	RotateEvery = 60 * time.Second
	// Lead is the time from when a key is given to members until it is used: a message gets through sixteen slow hops.
	Lead = 3 * time.Second
	// maxRing bounds the keys that a member keeps: those of the chunks that it may still have to play, and the next.
	maxRing = 8
)

// Key is a content key. Its text is not the secret, so that it can get into no log.
type Key struct {
	ID     uint64
	secret [keySize]byte
}

// String returns the number of the key.
func (k Key) String() string { return fmt.Sprintf("key %d", k.ID) }

// GoString is String: %#v does not tell the secret either.
func (k Key) GoString() string { return k.String() }

// LogValue is String.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// AEAD returns what seals and opens the bodies of chunks: AES-128-GCM, a tag of 12 bytes.
func (k Key) AEAD() cipher.AEAD { return gcm(k.secret[:], tagSize) }

func newKey(id uint64) (k Key) {
	k.ID = id
	_, _ = rand.Read(k.secret[:]) // never fails
	return k
}

// Rotation is the keys of an epoch at the owner. A key is given to the members some time before it is used. An epoch, which
// every start of the owner begins anew, has keys of its own, so that no key has to outlive the process and no key ever seals
// two chunks of one number. It is safe for concurrent use.
type Rotation struct {
	mu   sync.Mutex // guards the fields below
	used Key
	aead cipher.AEAD // of used
	next *Key        // given already, used from at on
	at   time.Time   // when next is used; without one, when there is to be one
}

// NewRotation returns a rotation with its first key.
func NewRotation(now time.Time) *Rotation {
	r := &Rotation{used: newKey(1), at: now.Add(RotateEvery - Lead)}
	r.aead = r.used.AEAD()
	return r
}

// Seal returns the key that seals chunks now.
func (r *Rotation) Seal(now time.Time) (id uint64, aead cipher.AEAD) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	return r.used.ID, r.aead
}

// turn puts the next key into use when its time has come.
func (r *Rotation) turn(now time.Time) {
	if r.next != nil && !now.Before(r.at) {
		r.used, r.next, r.at = *r.next, nil, now.Add(RotateEvery-Lead)
		r.aead = r.used.AEAD()
	}
}

// Advance makes the next key when it is time to; it reports whether there is a new one, for all members to be given.
func (r *Rotation) Advance(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	if r.next != nil || now.Before(r.at) {
		return false
	}
	r.prepare(now)
	return true
}

// Renew makes a new key, used after Lead, in place of one that was given already: somebody is not to have it.
func (r *Rotation) Renew(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	r.prepare(now)
}

func (r *Rotation) prepare(now time.Time) {
	id := r.used.ID + 1
	if r.next != nil {
		id = r.next.ID + 1
	}
	k := newKey(id)
	r.next, r.at = &k, now.Add(Lead)
}

// Keys returns what a member is to have: the key in use, and the next when there is one.
func (r *Rotation) Keys() []Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		return []Key{r.used}
	}
	return []Key{r.used, *r.next}
}

// Ring is the keys of one channel that a member has. It is for one goroutine.
type Ring struct {
	keys []held // the newest last
}

type held struct {
	epoch uint64
	key   Key
	aead  cipher.AEAD
}

// Add keeps keys; the oldest are forgotten for them.
func (r *Ring) Add(epoch uint64, keys []Key) {
	for _, k := range keys {
		if r.Find(epoch, k.ID) == nil {
			r.keys = append(r.keys, held{epoch, k, k.AEAD()})
		}
	}
	if n := len(r.keys) - maxRing; n > 0 {
		r.keys = append(r.keys[:0], r.keys[n:]...)
	}
}

// Find returns what opens the chunks of a key, or nil.
func (r *Ring) Find(epoch, id uint64) cipher.AEAD {
	for i := range r.keys {
		if r.keys[i].epoch == epoch && r.keys[i].key.ID == id {
			return r.keys[i].aead
		}
	}
	return nil
}

// Clear forgets all keys.
func (r *Ring) Clear() { r.keys = nil }
