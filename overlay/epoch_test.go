package overlay

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestEpochsGrow(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	var last uint64
	next := func(e *epochs, now time.Time, want error) {
		t.Helper()
		got, err := e.next(now)
		if got <= last || (err == nil) != (want == nil) {
			t.Errorf("next = %d, %v after %d", got, err, last)
		}
		last = got
	}
	e := &epochs{folder: dir}
	next(e, now, nil)
	next(e, now, nil)
	next(e, now.Add(-time.Hour), nil)
	next(&epochs{folder: dir}, now.Add(-time.Hour), nil) // a restart, and the clock was set back
	if err := os.Remove(filepath.Join(dir, epochFile)); err != nil {
		t.Fatal(err)
	}
	next(&epochs{folder: dir}, now.Add(time.Minute), nil)
	if err := os.WriteFile(filepath.Join(dir, epochFile), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	next(&epochs{folder: dir}, now.Add(2*time.Minute), os.ErrInvalid)
	next(&epochs{folder: dir}, now.Add(2*time.Minute), nil) // the file is good again
	next(&epochs{folder: filepath.Join(dir, "missing")}, now.Add(3*time.Minute), os.ErrNotExist)
	next(&epochs{}, now.Add(4*time.Minute), nil)
}
