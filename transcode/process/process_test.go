package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWordsAreBounded proves that a program which floods its log costs nothing and that its first words are kept, but no
// secret.
func TestWordsAreBounded(t *testing.T) {
	var w Words
	l := &Lines{Line: w.Add}
	fmt.Fprintf(l, "rtsp://127.0.0.1:8554/lobby?pass=ABCDEF234: Connection refused\n")
	for range 1000 {
		fmt.Fprintf(l, "%s\r\n\n", strings.Repeat("x", 3*maxLine))
	}
	if s := w.String(); !strings.HasPrefix(s, "rtsp://127.0.0.1:8554/lobby: Connection refused; x") || len(s) > keptWords*(maxLine+2) {
		t.Errorf("the words have %d bytes and begin %.80q", len(s), s)
	}
}

// TestRun says why a program has ended, and kills what it has started too.
func TestRun(t *testing.T) {
	for script, want := range map[string]string{
		"echo no camera >&2; exit 3": "/sh: no camera",
		"exit 3":                     "/sh: exit status 3",
		"true":                       "/sh has ended",
	} {
		if err := Run(t.Context(), exec.CommandContext(t.Context(), "sh", "-c", script)); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want ...%s", script, err, want)
		}
	}
	file := filepath.Join(t.TempDir(), "begun")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, exec.CommandContext(ctx, "sh", "-c", "sleep 600 & echo $! >"+file+"; wait")) }()
	var pid string
	for deadline := time.Now().Add(20 * time.Second); pid == ""; {
		if b, err := os.ReadFile(file); err == nil {
			pid = strings.TrimSpace(string(b))
		}
		if time.Now().After(deadline) {
			t.Fatal("the program does not begin")
		}
	}
	cancel()
	if err := <-done; err != context.Canceled {
		t.Errorf("Run = %v, want that it was cancelled", err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		b, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(b), ") Z") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("what the program has started lives on: %s", b)
		}
	}
}

// FuzzLines feeds what any program may write.
func FuzzLines(f *testing.F) {
	f.Add([]byte("frame=1\nspeed=1x\r\n\r\n="), 3)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var w Words
		l := &Lines{Line: func(s string) {
			if s == "" || len(s) > maxLine || strings.ContainsAny(s, "\r\n") {
				t.Errorf("line %q", s)
			}
			w.Add(s)
		}}
		cut = min(max(cut, 0), len(b))
		_, _ = l.Write(b[:cut])
		_, _ = l.Write(b[cut:])
		_ = w.String()
	})
}
