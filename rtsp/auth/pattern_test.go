package auth

import (
	"strings"
	"testing"
)

func TestPattern(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"**", "a", true},
		{"**", "a/b/c", true},
		{"**", "", false},
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a/b", false},
		{"hq/*", "hq/lobby", true},
		{"hq/*", "hq", false},
		{"hq/*", "hq/a/b", false},
		{"hq/**", "hq/lobby", true},
		{"hq/**", "hq/a/b", true},
		{"hq/**", "hq", false},
		{"**/lobby", "lobby", true},
		{"**/lobby", "hq/a/lobby", true},
		{"**/lobby", "hq/lobby/a", false},
		{"a/**/z", "a/z", true},
		{"a/**/z", "a/z/z", true},
		{"a/**/z", "a/b/c/z", true},
		{"a/**/z", "a/b/c", false},
		{"**/a/**/b", "x/a/y/b", true},
		{"**/a/**", "x/a", false},
		{"lobby*", "lobby~360p", true},
		{"lobby", "lobby~360p", false},
		{"cam?", "cam1", true},
		{"cam[1-3]", "cam4", false},
		{"a**", "ab", true},
		{"a**", "a/b", false},
	}
	for _, tt := range tests {
		p, err := ParsePattern(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(tt.name); got != tt.want {
			t.Errorf("%s matches %q: %v, want %v", tt.pattern, tt.name, got, tt.want)
		}
	}
}

// slow is what Match should say, by trying everything.
func slow(pattern, name []string) bool {
	switch {
	case len(pattern) == 0:
		return len(name) == 0
	case pattern[0] != "**":
		return len(name) > 0 && matchPart(pattern[0], name[0]) && slow(pattern[1:], name[1:])
	case len(pattern) == 1:
		return len(name) > 0
	}
	return slow(pattern[1:], name) || len(name) > 0 && slow(pattern, name[1:])
}

func FuzzPattern(f *testing.F) {
	f.Add("hq/**/x*/[a-c]?", "hq/a/xy/bz")
	f.Add("**/**/a/**", "a/a/a")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		p, err := ParsePattern(pattern)
		if err != nil || strings.Count(pattern, "**") > 4 || strings.Count(name, "/") > 12 {
			return
		}
		want := name != "" && slow(strings.Split(pattern, "/"), strings.Split(name, "/"))
		if got := p.Match(name); got != want {
			t.Errorf("%q matches %q: %v, want %v", pattern, name, got, want)
		}
	})
}
