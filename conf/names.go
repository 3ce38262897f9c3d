package conf

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxName is the longest stream name in bytes, as media.ParseName has it.
	maxName = 255
	// idPrefix begins every gateway ID; a name that begins so would be taken for one.
	idPrefix = "12D3KooW"
)

// checkName checks a stream name or petname by the rules of media.ParseName.
func checkName(f faults, key, name string) {
	if len(name) > maxName || !utf8.ValidString(name) {
		f.fault(key, "is no stream name: it must be UTF-8 of at most %d bytes", maxName)
		return
	}
	if strings.HasPrefix(name, idPrefix) {
		f.fault(key, "looks like a gateway's ID: names must not begin with %s", idPrefix)
	}
	for seg := range strings.SplitSeq(name, "/") {
		bad := strings.IndexFunc(seg, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-~+@", r)
		})
		if seg == "" || seg == "." || seg == ".." || bad >= 0 {
			f.fault(key, "is no stream name: use letters, digits and . _ - ~ + @, with / between the parts")
			return
		}
	}
}

// patterns checks what names streams: names with * for any run of characters in one part of the path, and ** for any
// number of parts.
func patterns(f faults, key string, list []string) {
	for i, p := range list {
		pattern(f, fmt.Sprintf("%s[%d]", key, i), p)
	}
}

// pattern checks one of them.
func pattern(f faults, key, p string) {
	for part := range strings.SplitSeq(p, "/") {
		if _, err := path.Match(part, ""); err != nil || part == "" {
			f.fault(key, "is %q, must be a stream name, in which * stands for one part and ** for any", p)
			return
		}
	}
}
