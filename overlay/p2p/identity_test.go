package p2p

import (
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
