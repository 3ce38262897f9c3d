package wire

import "strings"

// quote writes a quoted string (RFC 2068 §2.2).
func quote(s string) string {
	var sb strings.Builder
	sb.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			sb.WriteByte('\\')
		}
		sb.WriteByte(s[i])
	}
	sb.WriteByte('"')
	return sb.String()
}

// quoteIfNeeded quotes what would not come back as it is.
func quoteIfNeeded(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\",;\\=") {
		return quote(s)
	}
	return s
}

// unquote takes spaces around a value off, and its quotes if it has both.
func unquote(s string) string {
	s = strings.Trim(s, " \t")
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}
