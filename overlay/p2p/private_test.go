package p2p

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// startPrivate runs a host of a private network that lets anybody in who knows its key.
func startPrivate(t *testing.T, key string, listen []string) (*Host, []string) {
	t.Helper()
	h := New(Options{
		Identity: newIdentity(t), Listen: listen, UserTag: "test", NetworkKey: []byte(key),
		Allow: func(ID) bool { return true },
		Handlers: map[Protocol]Handler{Control: func(_ context.Context, s *Stream) {
			_, _ = io.Copy(s, s)
		}},
	}, slog.New(slog.DiscardHandler))
	run(t, h)
	addrs, err := h.Addrs(deadline(t))
	if err != nil {
		t.Fatalf("Addrs = %v", err)
	}
	return h, addrs
}

func TestPrivateNetwork(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	for _, listen := range loopback {
		t.Run(strings.Split(listen, "/")[3], func(t *testing.T) {
			a, addrs := startPrivate(t, key, []string{listen})
			member, _ := startPrivate(t, key, []string{listen})
			if err := member.Connect(deadline(t), a.ID(), addrs); err != nil {
				t.Fatalf("Connect of a member = %v", err)
			}
			if _, got, err := roundTrip(t, member, a.ID(), "hello"); err != nil || got != "hello" {
				t.Errorf("a member hears %q, %v", got, err)
			}
			wrong, _ := startPrivate(t, strings.ToUpper(key), []string{listen})
			none, _ := startPrivate(t, "", []string{listen})
			if err := wrong.Connect(deadline(t), a.ID(), addrs); err == nil || !strings.Contains(err.Error(), errStranger.Error()) {
				t.Errorf("Connect with another key = %v, want %v", err, errStranger)
			}
			asked := time.Now()
			_ = none.Connect(deadline(t), a.ID(), addrs) // it has its connection until a hangs up
			if _, got, err := roundTrip(t, none, a.ID(), "hello"); err == nil {
				t.Errorf("a gateway without a key hears %q", got)
			}
			if took := time.Since(asked); took > proveWithin/2 {
				t.Errorf("a gateway without a key is refused after %v: it waits for more of the challenge", took)
			}
			for name, h := range map[string]*Host{"with another key": wrong, "without a key": none} {
				p := h.ID().peer()
				if got := a.inner.Network().Connectedness(p); got != network.NotConnected {
					t.Errorf("a gateway %s is %v", name, got)
				}
				if known, _ := a.inner.Peerstore().GetProtocols(p); len(known) > 0 {
					t.Errorf("libp2p has talked to a gateway %s: %v", name, known)
				}
			}
		})
	}
}

func TestLoadNetworkKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	for name, tt := range map[string]struct {
		content string
		mode    os.FileMode
		want    string // of the error
	}{
		"good":   {strings.Repeat("0a", 32) + "\n", 0o600, ""},
		"short":  {strings.Repeat("0a", 15), 0o600, "has 30 characters"},
		"long":   {strings.Repeat("0a", maxKey), 0o600, "must be 32 to"},
		"opened": {strings.Repeat("0a", 32), 0o640, "chmod 600"},
	} {
		if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, tt.mode); err != nil {
			t.Fatal(err)
		}
		key, err := LoadNetworkKey(file)
		if tt.want == "" && (err != nil || string(key) != strings.TrimSpace(tt.content)) {
			t.Errorf("%s: LoadNetworkKey = %q, %v", name, key, err)
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: LoadNetworkKey = %v, want %q", name, err, tt.want)
		}
	}
	if _, err := LoadNetworkKey(file + "-none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("LoadNetworkKey of no file = %v", err)
	}
}
