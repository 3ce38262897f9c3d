package p2p

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadIdentity(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	first, err := LoadIdentity(folder)
	if err != nil {
		t.Fatalf("LoadIdentity = %v", err)
	}
	path := filepath.Join(folder, identityFile)
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("Stat = %v, %v, want mode 0600", st, err)
	}
	again, err := LoadIdentity(folder)
	if err != nil || again.ID != first.ID || !again.Key.Equal(first.Key) {
		t.Errorf("LoadIdentity again = %v, %v, want %v", again.ID, err, first.ID)
	}
	if id, err := ParseID(string(first.ID)); err != nil || id != first.ID {
		t.Errorf("ParseID = %v, %v, want %v", id, err, first.ID)
	}
	if key := first.ID.Key(); !key.Equal(first.Key.Public()) {
		t.Errorf("Key = %x, want the identity's", key)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(folder); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("LoadIdentity of a key that others can read = %v", err)
	}
}

func TestLoadIdentityFaults(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"empty": {"", "not a PEM file"},
		"text":  {"hello", "not a PEM file"},
		"cert":  {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a PEM file"},
		"bad":   {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "asn1"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, identityFile), []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadIdentity(folder); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("LoadIdentity = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestExportImport(t *testing.T) {
	one, two, file := t.TempDir(), filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "key.pem")
	id, err := LoadIdentity(one)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Export(one, file); err != nil || got.ID != id.ID {
		t.Fatalf("Export = %v, %v", got.ID, err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("Stat = %v, %v, want mode 0600", st, err)
	}
	if _, err := Export(one, file); err == nil {
		t.Error("Export over a file = nil, want an error")
	}
	for range 2 {
		if got, err := Import(two, file); err != nil || got.ID != id.ID {
			t.Fatalf("Import = %v, %v", got.ID, err)
		}
	}
	if got, err := LoadIdentity(two); err != nil || !got.Key.Equal(id.Key) {
		t.Errorf("LoadIdentity = %v, %v, want the key that was imported", got.ID, err)
	}
	other := t.TempDir()
	kept, err := LoadIdentity(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Import(other, file); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("Import over another key = %v, want an error that says what to do", err)
	}
	if got, err := LoadIdentity(other); err != nil || got.ID != kept.ID {
		t.Errorf("after that LoadIdentity = %v, %v, want the old key", got.ID, err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Import(t.TempDir(), file); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("Import of a file that others can read = %v", err)
	}
}

func TestRotate(t *testing.T) {
	folder := t.TempDir()
	old, err := LoadIdentity(folder)
	if err != nil {
		t.Fatal(err)
	}
	// The power fails just after the old key has given its word: the same new key is taken into use next time.
	var first Identity
	cut := errors.New("the power fails")
	if _, _, err := Rotate(folder, func(_, to Identity) error { first = to; return cut }); !errors.Is(err, cut) {
		t.Fatalf("Rotate = %v, want %v", err, cut)
	}
	if got, err := LoadIdentity(folder); err != nil || got.ID != old.ID {
		t.Fatalf("LoadIdentity = %v, %v, want the old key", got.ID, err)
	}
	from, to, err := Rotate(folder, func(Identity, Identity) error { return nil })
	if err != nil || from.ID != old.ID || to.ID != first.ID || to.ID == old.ID {
		t.Errorf("Rotate = %v, %v, %v", from.ID, to.ID, err)
	}
	if got, err := LoadIdentity(folder); err != nil || got.ID != to.ID {
		t.Errorf("LoadIdentity = %v, %v, want the new key", got.ID, err)
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 1 {
		t.Errorf("the folder has %v, %v, want the new key alone", left, err)
	}
}

func TestParseID(t *testing.T) {
	for _, s := range []string{
		"", "hq", "12D3KooW", "12D3KooWNotBase58!", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
		"12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5S", strings.Repeat("1", 1000),
	} {
		if id, err := ParseID(s); err == nil {
			t.Errorf("ParseID(%q) = %v, want an error", s, id)
		}
	}
}
