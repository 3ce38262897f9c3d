package wire

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Session is a Session header (RFC 2326 §12.37).
type Session struct {
	ID      string
	Timeout time.Duration // whole seconds; 0: not given
}

// SessionID returns the ID of a Session header without what clients echo of its timeout.
func SessionID(v string) string {
	id, _, _ := strings.Cut(v, ";")
	return strings.TrimSpace(id)
}

// maxTimeout is the longest timeout that is read, a day: longer ones mean never.
const maxTimeout = 24 * time.Hour

// ParseSession reads a Session header.
func ParseSession(v string) (Session, error) {
	s := Session{ID: SessionID(v)}
	if s.ID == "" || strings.ContainsAny(s.ID, " \t,\"") {
		return s, fmt.Errorf("session %q is malformed", clip(v))
	}
	_, params, _ := strings.Cut(v, ";")
	for p := range strings.SplitSeq(params, ";") {
		k, val, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(k), "timeout") {
			continue
		}
		n, err := strconv.ParseUint(unquote(val), 10, 31)
		if err != nil {
			return s, fmt.Errorf("session timeout %q is malformed", clip(val))
		}
		s.Timeout = min(time.Duration(n)*time.Second, maxTimeout)
	}
	return s, nil
}

// String writes the session as an answer has it.
func (s Session) String() string {
	if s.Timeout < time.Second {
		return s.ID
	}
	return s.ID + ";timeout=" + strconv.FormatInt(int64(s.Timeout/time.Second), 10)
}
