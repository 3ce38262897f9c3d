package conf

import (
	"strconv"
	"strings"
)

// Error is one fault of a configuration: where it is, what is wrong, and what would be right.
type Error struct {
	File string
	Line int    // 0 when the fault has no line, such as a missing setting
	Key  string // such as "rtsp.listen"
	Text string
}

func (e *Error) Error() string {
	var sb strings.Builder
	sb.WriteString(e.File)
	if e.Line > 0 {
		sb.WriteString(":" + strconv.Itoa(e.Line))
	}
	if e.Key != "" {
		sb.WriteString(": " + e.Key)
	}
	return sb.String() + ": " + e.Text
}

// Errors are all faults of a configuration, in the order of their lines.
type Errors []*Error

// Error returns the faults, a line each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}
