package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"peergate/conf"
)

// patience is how long something may take that takes milliseconds.
const patience = 20 * time.Second

// journal keeps the lines of a log and lets tests wait for them.
type journal struct {
	mu    sync.Mutex // guards the fields below
	lines []string
	more  chan struct{} // closed at the next line
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, string(b))
	if j.more != nil {
		close(j.more)
		j.more = nil
	}
	return len(b), nil
}

// wait returns the lines up to the first with these words, and forgets them.
func (j *journal) wait(t *testing.T, words string) string {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		j.mu.Lock()
		if i := slices.IndexFunc(j.lines, func(l string) bool { return strings.Contains(l, words) }); i >= 0 {
			text := strings.Join(j.lines[:i+1], "")
			j.lines = j.lines[i+1:]
			j.mu.Unlock()
			return text
		}
		if j.more == nil {
			j.more = make(chan struct{})
		}
		more := j.more
		j.mu.Unlock()
		select {
		case <-more:
		case <-late.C:
			t.Fatalf("no line with %q", words)
		}
	}
}

// reloading is a reloader at work on a file.
type reloading struct {
	*journal
	t    *testing.T
	file string
	hup  chan os.Signal
	took chan []string // the changed keys of each configuration that was applied
	got  conf.Config   // the last one
	fail error         // what applying returns
}

func newReloading(t *testing.T, text string) *reloading {
	t.Helper()
	r := &reloading{
		journal: new(journal), t: t, file: filepath.Join(t.TempDir(), "gateway.yml"), hup: make(chan os.Signal, 1), took: make(chan []string, 9),
	}
	r.write(text)
	c, err := parseConfig(r.file, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	rl := &reloader{file: r.file, text: []byte(text), running: c, log: slog.New(slog.NewTextHandler(r.journal, nil))}
	rl.apply = func(c conf.Config, changed []string) error {
		r.got = c
		r.took <- changed
		return r.fail
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- rl.Run(ctx, r.hup) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	r.hup <- os.Interrupt // any: Run watches the file by the time it answers
	r.wait(t, "configuration has not changed")
	return r
}

func (r *reloading) write(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// changed checks what was applied.
func (r *reloading) changed(want ...string) {
	r.t.Helper()
	select {
	case got := <-r.took:
		if !slices.Equal(got, want) {
			r.t.Errorf("changed %q, want %q", got, want)
		}
	default:
		if len(want) > 0 {
			r.t.Errorf("nothing was applied, want %q", want)
		}
	}
}

// TestReloadOnSignal takes over what can change, tells the rest, and compares the next file with what really runs.
func TestReloadOnSignal(t *testing.T) {
	r := newReloading(t, "rtsp: {listen: ':1'}\n")
	r.write("rtsp: {listen: ':2', max_connections: 5}\nlog: {level: warn}\n")
	r.hup <- os.Interrupt
	text := r.wait(t, "configuration taken over")
	r.changed("log.level", "rtsp.max_connections")
	if r.got.RTSP.Listen != ":1" || r.got.RTSP.MaxConnections != 5 {
		t.Errorf("applied %+v", r.got.RTSP)
	}
	for _, want := range []string{
		`msg="setting changed" setting=log.level`, `msg="setting changed" setting=rtsp.max_connections`,
		`level=WARN msg="setting changes with a restart only" setting=rtsp.listen`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
	r.write("rtsp: {listen: ':1', max_connections: 5}\nlog: {level: warn}\n") // as it runs
	r.hup <- os.Interrupt
	if text := r.wait(t, "configuration taken over"); strings.Contains(text, "setting") {
		t.Errorf("a file of what runs changes something:\n%s", text)
	}
	r.changed()
}

// TestReloadOnChange takes over a file that an editor replaces, without a signal.
func TestReloadOnChange(t *testing.T) {
	r := newReloading(t, "")
	other := r.file + "~"
	if err := os.WriteFile(other, []byte("users: [{name: any, read: ['**']}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, r.file); err != nil {
		t.Fatal(err)
	}
	r.wait(t, "configuration taken over")
	r.changed("users")
	r.write("streams: {a: }\n")
	r.wait(t, "configuration taken over")
	r.changed("users", "streams.a")
}

// TestReloadOfAnEmptyFile waits for what an editor is about to write, and believes a signal.
func TestReloadOfAnEmptyFile(t *testing.T) {
	r := newReloading(t, "log: {level: warn}\n")
	r.write("")
	r.write("log: {level: error}\n")
	r.wait(t, "configuration taken over")
	r.changed("log.level")
	r.write("")
	rl := &reloader{file: r.file, text: []byte("log: {level: error}\n"), running: r.got, log: slog.New(slog.NewTextHandler(r.journal, nil))}
	rl.apply = func(conf.Config, []string) error {
		t.Error("an empty file was taken over by itself")
		return nil
	}
	rl.reload(false)
	r.hup <- os.Interrupt
	r.wait(t, "configuration taken over")
	r.changed("log.level")
}

// TestReloadOfFaults changes nothing when there is a fault, logs each once, and goes on with the next file.
func TestReloadOfFaults(t *testing.T) {
	r := newReloading(t, "log: {level: warn}\n")
	r.write("log: {level: loud}\nrtsp: {max_connections: 0}\n")
	r.hup <- os.Interrupt
	text := r.wait(t, "configuration is not taken over")
	for _, want := range []string{"gateway.yml:1: log.level", "gateway.yml:2: rtsp.max_connections"} {
		if n := strings.Count(text, want); n != 1 {
			t.Errorf("%q is logged %d times, want once:\n%s", want, n, text)
		}
	}
	r.changed()
	r.write("log: {level: error}\n")
	r.hup <- os.Interrupt
	r.wait(t, "configuration taken over")
	r.changed("log.level")
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	r.hup <- os.Interrupt
	if text := r.wait(t, "configuration is not taken over"); !strings.Contains(text, "no such file") {
		t.Errorf("a missing file is told by\n%s", text)
	}
	r.changed()
}

// TestReloadThatFails keeps the running configuration when a part refuses the new one.
func TestReloadThatFails(t *testing.T) {
	r := newReloading(t, "")
	r.fail = errors.New("out of luck")
	r.write("log: {level: warn}\n")
	r.hup <- os.Interrupt
	if text := r.wait(t, "configuration is not taken over"); !strings.Contains(text, "out of luck") {
		t.Errorf("the failure is told by\n%s", text)
	}
	r.changed("log.level")
	r.fail = nil
	r.write("log: {level: warn} # again\n")
	r.hup <- os.Interrupt
	r.wait(t, "configuration taken over")
	r.changed("log.level")
}
