package media

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the longest name in bytes; it leaves room for a host and a track in a URL of 1 KiB.
const maxName = 255

// Name is the path under which a stream is had, such as "hq/lobby" or "lobby~360p".
type Name string

// ParseName checks a path, percent-decoded and without slashes at its ends. Segments are of letters, digits and
// the marks . _ - ~ + @ and are neither empty nor "." nor "..".
func ParseName(s string) (Name, error) {
	switch {
	case s == "":
		return "", errors.New("stream name is empty")
	case len(s) > maxName:
		return "", fmt.Errorf("stream name has %d bytes, at most %d are allowed", len(s), maxName)
	case !utf8.ValidString(s):
		return "", errors.New("stream name is not UTF-8")
	}
	for seg := range strings.SplitSeq(s, "/") {
		switch seg {
		case "":
			return "", fmt.Errorf("stream name %q has an empty part", s)
		case ".", "..":
			return "", fmt.Errorf("stream name %q has the part %q", s, seg)
		}
		for _, r := range seg {
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-~+@", r) {
				return "", fmt.Errorf("stream name %q has %q: use letters, digits and . _ - ~ + @", s, r)
			}
		}
	}
	return Name(s), nil
}

// Rendition splits the name of a rendition, "lobby~360p", into the name it is made from and the profile.
func (n Name) Rendition() (base Name, profile string, ok bool) {
	i := strings.LastIndexByte(string(n), '~')
	if i <= 0 || i == len(n)-1 || strings.IndexByte(string(n[i:]), '/') >= 0 || n[i-1] == '/' {
		return n, "", false
	}
	return n[:i], string(n[i+1:]), true
}

// Cut splits off the first part: "hq/a/b" gives "hq" and "a/b", "a" gives "a" and "".
func (n Name) Cut() (first string, rest Name) {
	first, after, _ := strings.Cut(string(n), "/")
	return first, Name(after)
}
