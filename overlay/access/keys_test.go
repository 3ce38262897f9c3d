package access

import (
	"bytes"
	"testing"
	"time"
)

func TestRotation(t *testing.T) {
	now := time.Unix(1000, 0)
	r := NewRotation(now)
	if id, _ := r.Seal(now); id != 1 || len(r.Keys()) != 1 {
		t.Fatalf("Seal = %d with %d keys, want 1 with 1", id, len(r.Keys()))
	}
	if r.Advance(now.Add(RotateEvery - Lead - 1)) {
		t.Error("Advance before its time")
	}
	at := now.Add(RotateEvery - Lead)
	if !r.Advance(at) || r.Advance(at) {
		t.Error("Advance is not true once")
	}
	if keys := r.Keys(); len(keys) != 2 || keys[0].ID != 1 || keys[1].ID != 2 {
		t.Errorf("Keys = %v, want 1 and 2", keys)
	}
	if id, _ := r.Seal(at.Add(Lead - 1)); id != 1 {
		t.Errorf("before members have had time to get the next key, Seal = %d, want 1", id)
	}
	if id, _ := r.Seal(at.Add(Lead)); id != 2 {
		t.Errorf("Seal = %d, want 2", id)
	}
	if id, _ := r.Seal(now.Add(RotateEvery)); id != 2 || len(r.Keys()) != 1 {
		t.Errorf("Seal = %d with %d keys, want 2 with 1", id, len(r.Keys()))
	}
}

// Whoever is revoked just after the next key was given must not have the one that is used next.
func TestRenewReplacesTheKeyThatWasGiven(t *testing.T) {
	now := time.Unix(1000, 0)
	r := NewRotation(now)
	at := now.Add(RotateEvery - Lead)
	r.Advance(at)
	given := r.Keys()
	r.Renew(at.Add(Lead / 2))
	if id, _ := r.Seal(at.Add(Lead)); id != 1 {
		t.Errorf("Seal = %d, want 1 still", id)
	}
	id, aead := r.Seal(at.Add(Lead/2 + Lead))
	for _, k := range given {
		if k.ID == id || bytes.Equal(k.AEAD().Seal(nil, make([]byte, 12), nil, nil), aead.Seal(nil, make([]byte, 12), nil, nil)) {
			t.Errorf("%v was given and is used", k)
		}
	}
}

func TestRing(t *testing.T) {
	var r Ring
	keys := make([]Key, maxRing)
	for i := range keys {
		keys[i] = newKey(uint64(i))
	}
	r.Add(5, keys)
	r.Add(5, keys[:2])
	for _, k := range keys {
		if r.Find(5, k.ID) == nil {
			t.Errorf("%v is missing", k)
		}
	}
	if r.Find(6, 1) != nil {
		t.Error("a key is found for another epoch")
	}
	r.Add(6, []Key{newKey(1)})
	if r.Find(5, 0) != nil || r.Find(5, 1) == nil || r.Find(6, 1) == nil {
		t.Error("not the oldest key was forgotten")
	}
	r.Clear()
	if r.Find(6, 1) != nil {
		t.Error("a key is found after Clear")
	}
}
