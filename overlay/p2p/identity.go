package p2p

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// identityFile is the name of the key file in the data folder.
	identityFile = "identity.pem"
	// identityBlock is the PEM type of a PKCS #8 key (RFC 7468 §10), which common tools can read.
	identityBlock = "PRIVATE KEY"
)

// Identity is a gateway's key pair and the ID that follows from it.
type Identity struct {
	ID  ID
	Key ed25519.PrivateKey
}

// NewIdentity makes an identity that is kept nowhere.
func NewIdentity() (Identity, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Identity{}, fmt.Errorf("make the gateway's key: %w", err)
	}
	return identityOf(key)
}

// LoadIdentity reads the gateway's key from its data folder and makes folder and key when they are missing. A key that
// other users could read is refused.
func LoadIdentity(folder string) (Identity, error) {
	path := filepath.Join(folder, identityFile)
	id, err := readIdentity(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return Identity{}, fmt.Errorf("make the data folder: %w", err)
	}
	if id, err = NewIdentity(); err != nil {
		return Identity{}, err
	}
	err = id.save(path)
	if errors.Is(err, fs.ErrExist) { // another process was faster
		return readIdentity(path)
	}
	return id, err
}

// HasIdentity tells whether the data folder has a key, whether it can be read or not.
func HasIdentity(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, identityFile))
	return !errors.Is(err, fs.ErrNotExist)
}

// Export writes a copy of the gateway's key into a new file that only this user can read.
func Export(folder, file string) (Identity, error) {
	id, err := readIdentity(filepath.Join(folder, identityFile))
	if err != nil {
		return Identity{}, err
	}
	return id, id.save(file)
}

// Import makes a key that was exported the gateway's. A key that is there already is not replaced.
func Import(folder, file string) (Identity, error) {
	id, err := readIdentity(file)
	if err != nil {
		return Identity{}, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return Identity{}, fmt.Errorf("make the data folder: %w", err)
	}
	path := filepath.Join(folder, identityFile)
	if old, err := readIdentity(path); err == nil && old.ID == id.ID {
		return id, nil
	}
	err = id.save(path)
	if errors.Is(err, fs.ErrExist) {
		return Identity{}, fmt.Errorf("there is another key at %s: move it away first, it cannot be had again", path)
	}
	return id, err
}

// Rotate gives the gateway a new key in the place of the old one. The word of the old one for the new one is kept by
// vouch, before the old one is gone. When it was cut short after that, it is brought to its end.
func Rotate(folder string, vouch func(from, to Identity) error) (from, to Identity, err error) {
	path := filepath.Join(folder, identityFile)
	if from, err = readIdentity(path); err != nil {
		return from, to, err
	}
	next := path + ".new"
	to, err = readIdentity(next)
	if errors.Is(err, fs.ErrNotExist) {
		if to, err = NewIdentity(); err == nil {
			err = to.save(next)
		}
	}
	if err == nil {
		err = vouch(from, to)
	}
	if err != nil {
		return from, to, err
	}
	if err := os.Rename(next, path); err != nil {
		return from, to, fmt.Errorf("take the new key into use: %w", err)
	}
	return from, to, nil
}

func readIdentity(path string) (Identity, error) {
	st, err := os.Stat(path)
	if err != nil {
		return Identity{}, fmt.Errorf("read the gateway's key: %w", err)
	}
	if mode := st.Mode().Perm(); mode&0o077 != 0 {
		return Identity{}, fmt.Errorf("the gateway's key %s can be read by others (mode %#o): run chmod 600 %s, "+
			"or remove it for a new key if somebody may have copied it", path, mode, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Identity{}, fmt.Errorf("read the gateway's key: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != identityBlock {
		return Identity{}, fmt.Errorf("the gateway's key %s is not a PEM file with a %s block", path, identityBlock)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return Identity{}, fmt.Errorf("the gateway's key %s: %w", path, err)
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return Identity{}, fmt.Errorf("the gateway's key %s is a %T, not an Ed25519 key", path, key)
	}
	return identityOf(ed)
}

// save writes the key into a new file that only this user can read.
func (id Identity) save(path string) error {
	der, err := x509.MarshalPKCS8PrivateKey(id.Key)
	if err != nil {
		return fmt.Errorf("write the gateway's key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the gateway's key: %w", err)
	}
	err = pem.Encode(f, &pem.Block{Type: identityBlock, Bytes: der})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path)
		return fmt.Errorf("write the gateway's key: %w", err)
	}
	return nil
}

func identityOf(key ed25519.PrivateKey) (Identity, error) {
	id, err := IDOf(key.Public().(ed25519.PublicKey))
	return Identity{ID: id, Key: key}, err
}
