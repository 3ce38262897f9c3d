package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"sync"
	"time"
)

const (
	// nonceLife is longer than any player needs from DESCRIBE to PLAY; one that comes later asks again by itself.
	nonceLife = 5 * time.Minute
	// maxCounted bounds the nonces whose counts are remembered, to about 1 MB. Only who knows a password fills it.
	maxCounted = 8192
	nonceHead  = 8 + 4 // bytes: time in nanoseconds, number
	nonceMAC   = 12    // bytes: 96 bits cannot be guessed in the life of a nonce
)

// nonces makes nonces that need no memory: the time and a number with a MAC over them and what they are bound to. Only
// the counts of those that are used with qop=auth are kept.
type nonces struct {
	key  [32]byte // of this process: a restart makes nonces stale
	life time.Duration

	mu     sync.Mutex // guards the fields below
	number uint32
	counts map[string]count // by nonce
	floor  time.Time        // nonces from before are stale, since their counts were forgotten
}

// count is the last nc that came with a nonce.
type count struct {
	nc      uint32
	expires time.Time
}

func newNonces(life time.Duration) *nonces {
	n := &nonces{life: life, counts: make(map[string]count)}
	_, _ = rand.Read(n.key[:]) // never fails
	return n
}

// issue makes a nonce for a connection.
func (n *nonces) issue(addr netip.Addr, conn uint64, now time.Time) string {
	n.mu.Lock()
	n.number++
	number := n.number
	n.mu.Unlock()
	b := binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano()))
	b = binary.BigEndian.AppendUint32(b, number)
	return hex.EncodeToString(append(b, n.mac(b, addr, conn)...))
}

func (n *nonces) mac(head []byte, addr netip.Addr, conn uint64) []byte {
	m := hmac.New(sha256.New, n.key[:])
	m.Write(head)
	m.Write(binary.BigEndian.AppendUint64(nil, conn))
	m.Write(addr.AsSlice())
	return m.Sum(nil)[:nonceMAC]
}

// use reports whether a nonce is good now. With counted, nc must be greater than before, so that what was sent once
// cannot be sent again (RFC 7616 §3.4). Without, the request can be repeated, but only on its own connection: VLC
// sends the same response for the SETUP of each track.
func (n *nonces) use(nonce string, addr netip.Addr, conn uint64, counted bool, nc uint32, now time.Time) bool {
	b, err := hex.DecodeString(nonce)
	if err != nil || len(b) != nonceHead+nonceMAC || !hmac.Equal(b[nonceHead:], n.mac(b[:nonceHead], addr, conn)) {
		return false
	}
	issued := time.Unix(0, int64(binary.BigEndian.Uint64(b)))
	expires := issued.Add(n.life)
	if !now.Before(expires) {
		return false
	}
	if !counted {
		return true
	}
	nonce = string(b) // hex has two cases
	n.mu.Lock()
	defer n.mu.Unlock()
	if !issued.After(n.floor) || nc <= n.counts[nonce].nc {
		return false
	}
	if _, ok := n.counts[nonce]; !ok && len(n.counts) >= maxCounted {
		n.makeRoom(now)
		if !issued.After(n.floor) {
			return false
		}
	}
	n.counts[nonce] = count{nc, expires}
	return true
}

// makeRoom forgets expired nonces. If that is not enough it forgets all, and makes all of before stale.
func (n *nonces) makeRoom(now time.Time) {
	for k, c := range n.counts {
		if !now.Before(c.expires) {
			delete(n.counts, k)
		}
	}
	if len(n.counts) >= maxCounted {
		clear(n.counts)
		n.floor = now
	}
}
