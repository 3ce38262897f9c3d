package p2p

import (
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// idPrefix begins the text of every ID that stands for an Ed25519 key.
const idPrefix = "12D3KooW"

// ID names a gateway: the libp2p peer ID of its Ed25519 key, in its usual text form, "12D3KooW...".
type ID string

// ParseID reads the text form of an ID.
func ParseID(s string) (ID, error) {
	if !LooksLikeID(s) {
		return "", fmt.Errorf("gateway ID %q does not begin with %s", clip(s), idPrefix)
	}
	p, err := peer.Decode(s)
	if err != nil {
		return "", fmt.Errorf("gateway ID %q is mistyped: %w", clip(s), err)
	}
	id := idOf(p)
	if id.Key() == nil {
		return "", fmt.Errorf("gateway ID %q is not that of an Ed25519 key", clip(s))
	}
	return id, nil
}

// LooksLikeID tells whether a word is meant to be an ID and not a petname.
func LooksLikeID(s string) bool { return strings.HasPrefix(s, idPrefix) }

// IDOf returns the ID of a key.
func IDOf(key ed25519.PublicKey) (ID, error) {
	k, err := crypto.UnmarshalEd25519PublicKey(key)
	if err != nil {
		return "", fmt.Errorf("gateway key: %w", err)
	}
	p, err := peer.IDFromPublicKey(k)
	if err != nil {
		return "", fmt.Errorf("gateway key: %w", err)
	}
	return idOf(p), nil
}

// Key returns the key the ID stands for, or nil when the ID is not of an Ed25519 key.
func (id ID) Key() ed25519.PublicKey {
	k, err := id.peer().ExtractPublicKey()
	if err != nil || k.Type() != crypto.Ed25519 {
		return nil
	}
	raw, err := k.Raw()
	if err != nil {
		return nil
	}
	return raw
}

// Short returns enough of the ID to tell gateways apart in a log.
func (id ID) Short() string {
	if len(id) <= 8 {
		return string(id)
	}
	return string(id[len(id)-8:])
}

// LogValue makes logs show the short form.
func (id ID) LogValue() slog.Value { return slog.StringValue(id.Short()) }

// peer returns libp2p's form, which is empty for an ID that is none.
func (id ID) peer() peer.ID {
	p, err := peer.Decode(string(id))
	if err != nil {
		return ""
	}
	return p
}

func idOf(p peer.ID) ID { return ID(p.String()) }

// clip shortens foreign text for an error.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
