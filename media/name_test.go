package media

import (
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	for _, s := range []string{"a", "hq/lobby", "lobby~360p", "Büro/Kamera-1", "a.b_c+d@e"} {
		if n, err := ParseName(s); err != nil || string(n) != s {
			t.Errorf("ParseName(%q) = %q, %v", s, n, err)
		}
	}
	for _, s := range []string{"", "/a", "a/", "a//b", ".", "a/../b", "a b", "a?b", "a%20b", "a\x00", "\xff", strings.Repeat("a", 256)} {
		if n, err := ParseName(s); err == nil {
			t.Errorf("ParseName(%q) = %q, want an error", s, n)
		}
	}
}

func TestNameParts(t *testing.T) {
	for _, c := range []struct {
		name, base Name
		profile    string
		ok         bool
	}{
		{"lobby~360p", "lobby", "360p", true},
		{"hq/lobby~a~b", "hq/lobby~a", "b", true},
		{"lobby", "lobby", "", false},
		{"~x", "~x", "", false},
		{"a/~x", "a/~x", "", false},
		{"a~", "a~", "", false},
		{"a~b/c", "a~b/c", "", false},
	} {
		if base, profile, ok := c.name.Rendition(); base != c.base || profile != c.profile || ok != c.ok {
			t.Errorf("%s.Rendition() = %q, %q, %v", c.name, base, profile, ok)
		}
	}
	if first, rest := Name("hq/a/b").Cut(); first != "hq" || rest != "a/b" {
		t.Errorf("Cut = %q, %q", first, rest)
	}
}
