package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"peergate/conf"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a changed file must be left alone before it is read: editors write in several steps.
const settle = 300 * time.Millisecond

// reloader takes over the configuration when its file changes or a signal asks for it. Its fields belong to Run.
type reloader struct {
	file    string
	text    []byte      // of the file when it was last read
	running conf.Config // what the gateway runs with
	apply   func(c conf.Config, changed []string) error
	log     *slog.Logger
}

// Run reloads until ctx ends and then returns nil. A file that cannot be watched is reloaded on signals alone.
func (r *reloader) Run(ctx context.Context, hup <-chan os.Signal) error {
	changes, stop := r.watch()
	defer stop()
	wait := time.NewTimer(settle)
	wait.Stop()
	for {
		select {
		case <-hup:
			r.reload(true)
		case e := <-changes:
			if base := filepath.Base(e.Name); base == filepath.Base(r.file) || base == "..data" { // how Kubernetes replaces it
				wait.Reset(settle)
			}
		case <-wait.C:
			r.reload(false)
		case <-ctx.Done():
			return nil
		}
	}
}

// watch returns what happens in the file's folder: editors replace a file rather than write it.
func (r *reloader) watch() (changes <-chan fsnotify.Event, stop func()) {
	if r.file == "" {
		return nil, func() {}
	}
	w, err := fsnotify.NewWatcher()
	if err == nil {
		if err = w.Add(filepath.Dir(r.file)); err == nil {
			return w.Events, func() { w.Close() }
		}
		w.Close()
	}
	r.log.Warn("configuration is not watched, send SIGHUP after a change", "file", r.file, "err", err)
	return nil, func() {}
}

// reload reads the file. One that is the same as before is worth a word only to who asked.
func (r *reloader) reload(asked bool) {
	b, err := readConfig(r.file)
	if err != nil {
		r.log.Error("configuration is not taken over", "file", r.file, "err", err)
		return
	}
	if len(b) == 0 && !asked && r.file != "" {
		return // emptied to be written, most likely: the defaults would end what runs
	}
	if bytes.Equal(b, r.text) {
		if asked {
			r.log.Info("configuration has not changed", "file", r.file)
		}
		return
	}
	r.text = b
	c, err := parseConfig(r.file, b)
	if err != nil {
		r.refuse(err)
		return
	}
	r.takeOver(c)
}

// refuse tells why everything stays as it is.
func (r *reloader) refuse(err error) {
	var faults conf.Errors
	if !errors.As(err, &faults) {
		r.log.Error("configuration is not taken over", "file", r.file, "err", err)
		return
	}
	for _, f := range faults {
		r.log.Error("configuration has a fault", "err", f)
	}
	r.log.Error("configuration is not taken over", "file", r.file)
}

// takeOver changes what can be changed and tells what cannot.
func (r *reloader) takeOver(c conf.Config) {
	next := pin(c, r.running)
	changed, restart := conf.Diff(r.running, next), conf.Diff(next, c)
	if len(changed) > 0 {
		if err := r.apply(next, changed); err != nil {
			r.log.Error("configuration is not taken over", "file", r.file, "err", err)
			return
		}
		r.running = next
	}
	for _, key := range changed {
		r.log.Info("setting changed", "setting", key)
	}
	for _, key := range restart {
		r.log.Warn("setting changes with a restart only", "setting", key)
	}
	r.log.Info("configuration taken over", "file", r.file)
}
