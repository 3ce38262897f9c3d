package wire

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Accepts reports whether Accept headers (RFC 2326 §12.1) admit a media type such as "application/sdp". No header
// admits everything. The most specific range decides, as of RFC 2068 §14.1; one with q=0 refuses.
func (h Header) Accepts(mediaType string) bool {
	ranges := h.Tokens("Accept")
	if len(ranges) == 0 {
		return true
	}
	kind, _, _ := strings.Cut(mediaType, "/")
	best, ok := 0, false
	for _, r := range ranges {
		parts := splitQuoted(r, ';')
		weight := 0
		switch name := strings.TrimSpace(parts[0]); {
		case strings.EqualFold(name, mediaType):
			weight = 3
		case strings.EqualFold(name, kind+"/*"):
			weight = 2
		case name == "*/*", name == "*":
			weight = 1
		}
		if weight > best {
			best, ok = weight, !refuses(parts[1:])
		}
	}
	return ok
}

// refuses reports a quality of zero.
func refuses(params []string) bool {
	for _, p := range params {
		k, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(k), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			return err == nil && q == 0
		}
	}
	return false
}

// ParseScale reads a Scale or Speed header (RFC 2326 §12.34, §12.35): a decimal number. Of a Speed as in RFC 7826, a
// range, it is the lower end.
func ParseScale(s string) (float64, error) {
	low, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	if i := strings.LastIndexByte(low, '-'); i > 0 {
		low = low[:i]
	}
	if strings.Trim(low, "0123456789.-+") != "" {
		return 0, fmt.Errorf("scale %q is no decimal number", clip(s))
	}
	f, err := strconv.ParseFloat(low, 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, fmt.Errorf("scale %q is no decimal number", clip(s))
	}
	return f, nil
}
