package overlay

import (
	"testing"

	"peergate/media"
)

func TestShares(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		name    media.Name
		want    bool
	}{
		{"**", "lobby", true},
		{"**", "hall/east/cam1", true},
		{"*", "lobby", true},
		{"*", "hall/east", false},
		{"lobby", "lobby", true},
		{"lobby", "lobby2", false},
		{"hall/*", "hall/east", true},
		{"hall/*", "hall", false},
		{"hall/*", "hall/east/cam1", false},
		{"hall/**", "hall/east/cam1", true},
		{"hall/**/cam1", "hall/cam1", true},
		{"hall/**/cam1", "hall/a/b/cam1", true},
		{"hall/**/cam1", "hall/a/b/cam2", false},
		{"cam*", "cam12", true},
		{"*-low", "cam-low", true},
		{"c*m*2", "cam12", true},
		{"c*m*2", "cam1", false},
	} {
		if got := shares([]string{"nothing", tt.pattern}, tt.name); got != tt.want {
			t.Errorf("shares(%q, %q) = %v, want %v", tt.pattern, tt.name, got, tt.want)
		}
	}
	if shares(nil, "lobby") {
		t.Errorf("shares without patterns = true")
	}
}
