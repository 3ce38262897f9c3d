//go:build integration

package lab

import (
	"bytes"
	"strings"
	"sync"
	"time"
)

// Output is what a program has written so far.
type Output struct {
	mu   sync.Mutex // guards the fields below
	buf  bytes.Buffer
	more chan struct{} // closed at the next write
}

// Write takes what the program writes.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Write(b)
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return len(b), nil
}

// Bytes returns a copy of all of it.
func (o *Output) Bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.buf.Bytes())
}

// String returns all of it.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Len returns how many bytes there are, which marks a place for wait.
func (o *Output) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Len()
}

// wait returns whether a line after the first from bytes has all the words before the program is done or the time is over.
func (o *Output) wait(from int, words []string, within time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		o.mu.Lock()
		if o.more == nil {
			o.more = make(chan struct{})
		}
		more, text := o.more, o.buf.String()[from:]
		o.mu.Unlock()
		if hasLine(text, words) {
			return true
		}
		select {
		case <-more:
		case <-done:
			return hasLine(o.String()[from:], words)
		case <-timer.C:
			return false
		}
	}
}

func hasLine(text string, words []string) bool {
	for line := range strings.Lines(text) {
		found := true
		for _, w := range words {
			found = found && strings.Contains(line, w)
		}
		if found {
			return true
		}
	}
	return false
}

// tail returns the last lines, as many as one wants to read when a test fails.
func (o *Output) tail(lines int) string {
	all := strings.Split(strings.TrimRight(o.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
