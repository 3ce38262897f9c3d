// Package process runs other programs, such as ffmpeg, so that none outlives the gateway.
package process

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	// maxLine bounds a line that a program writes, in bytes; those of ffmpeg's -progress have fewer than 40, those of its log
	// seldom 200.
	maxLine = 1024
	// keptWords is how many lines of a program's log are kept: the first of them tells the cause, the rest what follows of it.
	keptWords = 8
	// endWait is how long the pipes of a killed program may stay open.
	endWait = 2 * time.Second
)

// Lines cuts what a program writes into lines. One that is too long is cut off.
type Lines struct {
	Line func(string)
	part []byte
}

// Write takes what the program has written next. It never fails.
func (l *Lines) Write(b []byte) (int, error) {
	n := len(b)
	for {
		i := bytes.IndexAny(b, "\r\n")
		rest := b
		if i >= 0 {
			rest = b[:i]
		}
		l.part = append(l.part, rest[:min(len(rest), maxLine-len(l.part))]...)
		if i < 0 {
			return n, nil
		}
		if len(l.part) > 0 {
			l.Line(string(l.part))
			l.part = l.part[:0]
		}
		b = b[i+1:]
	}
}

// secret finds what a URL of ours must not show in a log.
var secret = regexp.MustCompile(`\?pass=\w+`)

// Words keeps the first lines of a program's log.
type Words struct {
	mu    sync.Mutex // guards the field below
	lines []string
}

// Add takes a line.
func (w *Words) Add(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.lines) < keptWords {
		w.lines = append(w.lines, line)
	}
}

// String returns what the program has complained of, in one line and without the secrets of URLs; "" is nothing.
func (w *Words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return secret.ReplaceAllString(strings.Join(w.lines, "; "), "")
}

// Run runs a program, made with exec.CommandContext, until it ends or the context does, on whose end it is killed with all
// that it has started. On Linux it does not outlive this process either. The error, which is never nil, says why it ended.
func Run(ctx context.Context, cmd *exec.Cmd) error {
	runtime.LockOSThread() // on the thread's end the kernel kills the program
	defer runtime.UnlockOSThread()
	Contain(cmd)
	var words Words
	if cmd.Stderr == nil {
		cmd.Stderr = &Lines{Line: words.Add}
	}
	cmd.WaitDelay = endWait
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case words.String() != "":
		return fmt.Errorf("%s: %s", cmd.Path, words.String())
	case err != nil:
		return fmt.Errorf("%s: %w", cmd.Path, err)
	}
	return fmt.Errorf("%s has ended", cmd.Path)
}
