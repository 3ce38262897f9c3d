package wire

import (
	"fmt"
	"strings"
)

// Credentials is the value of an Authorization or WWW-Authenticate header (RFC 2326 §12.5, RFC 7235 §2): a scheme, and
// a token or parameters.
type Credentials struct {
	Scheme string // as it was written: compare it without regard to case
	Token  string // of Basic, for example
	Params []Param
}

// Param is a parameter of a Digest, unquoted.
type Param struct {
	Name, Value string
	Bare        bool // to be written without quotes: algorithm, nc, qop of an answer, stale
}

// maxParams bounds the parameters of credentials: Digest has twelve.
const maxParams = 32

// ParseCredentials reads a header with one scheme.
func ParseCredentials(s string) (Credentials, error) {
	scheme, rest, _ := strings.Cut(strings.Trim(s, " \t"), " ")
	c := Credentials{Scheme: scheme}
	rest = strings.Trim(rest, " \t")
	if !isToken([]byte(scheme)) {
		return c, fmt.Errorf("authorization scheme %q is malformed", clip(scheme))
	}
	if isToken68(rest) {
		c.Token = rest
		return c, nil
	}
	for _, p := range splitQuoted(rest, ',') {
		p = strings.Trim(p, " \t")
		if p == "" { // an empty element of a list
			continue
		}
		name, value, ok := strings.Cut(p, "=")
		name, value = strings.TrimRight(name, " \t"), strings.Trim(value, " \t")
		quoted := len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"'
		if !ok || !isToken([]byte(name)) || !quoted && strings.IndexByte(value, '"') >= 0 {
			return c, fmt.Errorf("authorization parameter %q is malformed", clip(p))
		}
		if _, twice := c.Param(name); twice {
			return c, fmt.Errorf("authorization parameter %q stands twice", clip(name))
		}
		if len(c.Params) == maxParams {
			return c, fmt.Errorf("authorization has more than %d parameters", maxParams)
		}
		c.Params = append(c.Params, Param{Name: name, Value: unquote(value), Bare: !quoted && isToken([]byte(value))})
	}
	return c, nil
}

// isToken68 reports whether s is a token68 (RFC 7235 §2.1), which is what Basic has, and not a parameter.
func isToken68(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		c := body[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~+/", c) >= 0) {
			return false
		}
	}
	return body != ""
}

// Param returns the value of a parameter and whether it is there.
func (c *Credentials) Param(name string) (string, bool) {
	for _, p := range c.Params {
		if strings.EqualFold(p.Name, name) {
			return p.Value, true
		}
	}
	return "", false
}

// String writes the credentials as a header has them.
func (c Credentials) String() string {
	var sb strings.Builder
	sb.WriteString(c.Scheme)
	if c.Token != "" {
		sb.WriteString(" " + c.Token)
	}
	for i, p := range c.Params {
		if i == 0 {
			sb.WriteByte(' ')
		} else {
			sb.WriteString(", ")
		}
		sb.WriteString(p.Name + "=")
		if p.Bare {
			sb.WriteString(p.Value)
		} else {
			sb.WriteString(quote(p.Value))
		}
	}
	return sb.String()
}
