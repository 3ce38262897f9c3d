package web

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// tokenFile is the name of the token's file in the data folder.
const tokenFile = "api-token"

// loadToken reads the token and makes one when there is none.
func loadToken(folder string) (string, error) {
	path := filepath.Join(folder, tokenFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeToken(path)
	}
	if err != nil {
		return "", fmt.Errorf("token of the API: %w", err)
	}
	t := strings.TrimSpace(string(b))
	if t == "" {
		return "", fmt.Errorf("token of the API: %s is empty: remove it for a new one", path)
	}
	return t, nil
}

// makeToken writes a new token into a file that its user alone can read.
func makeToken(path string) (string, error) {
	t := rand.Text()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("token of the API: %w", err)
	}
	_, err = fmt.Fprintln(f, t)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("token of the API: %w", err)
	}
	return t, nil
}

// demand lets only requests pass that have the token (RFC 6750 §2.1).
func demand(token string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare([]byte(strings.TrimSpace(got)), []byte(token)) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="peergate"`)
			http.Error(w, "send the token of the data folder's file "+tokenFile+" as Authorization: Bearer TOKEN", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}
