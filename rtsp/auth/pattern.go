package auth

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Pattern is a pattern of stream names. In a part between slashes * ? and [a-z] have the meaning of path.Match. A part
// that is ** stands for any number of parts, also none; at the end for at least one:
//
//	**          everything
//	hq/*        hq/lobby, but neither hq nor hq/a/b
//	hq/**       hq/lobby and hq/a/b, but not hq
//	**/lobby    lobby, hq/lobby, hq/a/lobby
//	lobby*      lobby and its renditions, such as lobby~360p
type Pattern struct{ parts []string }

// ParsePattern checks a pattern.
func ParsePattern(s string) (Pattern, error) {
	if s == "" {
		return Pattern{}, errors.New("pattern is empty")
	}
	parts := strings.Split(s, "/")
	for _, p := range parts {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			return Pattern{}, fmt.Errorf("pattern %q is malformed at %q", s, p)
		}
	}
	return Pattern{parts}, nil
}

func patterns(in []string) ([]Pattern, error) {
	var ps []Pattern
	var errs []error
	for _, s := range in {
		p, err := ParsePattern(s)
		ps, errs = append(ps, p), append(errs, err)
	}
	return ps, errors.Join(errs...)
}

// Match reports whether a name is of the pattern. It tries the last ** only, which is enough, so that its time is
// bounded by the product of the lengths.
func (p Pattern) Match(name string) bool {
	if name == "" || len(p.parts) == 0 {
		return false
	}
	names := strings.Split(name, "/")
	i, j := 0, 0             // in the pattern, in the name
	star, from := -1, 0      // the last ** and the first part behind it
	last := len(p.parts) - 1 // where a ** has to match something
	for j < len(names) {
		switch {
		case i <= last && p.parts[i] == "**":
			if i == last {
				return true
			}
			star, from = i, j
			i++
		case i <= last && matchPart(p.parts[i], names[j]):
			i++
			j++
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	return i > last
}

func matchPart(pattern, part string) bool {
	ok, err := path.Match(pattern, part)
	return ok && err == nil
}
