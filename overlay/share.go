package overlay

import (
	"strings"

	"peergate/media"
)

// shares tells whether a name matches one of the patterns, in which * stands for one part of a path and ** for any
// number of them.
func shares(patterns []string, name media.Name) bool {
	parts := strings.Split(string(name), "/")
	for _, p := range patterns {
		if match(strings.Split(p, "/"), parts) {
			return true
		}
	}
	return false
}

func match(pattern, parts []string) bool {
	for i, p := range pattern {
		if p == "**" {
			for n := i; n <= len(parts); n++ {
				if match(pattern[i+1:], parts[n:]) {
					return true
				}
			}
			return false
		}
		if i >= len(parts) || !matchPart(p, parts[i]) {
			return false
		}
	}
	return len(parts) == len(pattern)
}

// matchPart matches one part; a * in it stands for any run of characters.
func matchPart(pattern, part string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == part
	}
	rest, ok := strings.CutPrefix(part, before)
	if !ok {
		return false
	}
	for n := 0; n <= len(rest); n++ {
		if matchPart(after, rest[n:]) {
			return true
		}
	}
	return false
}
