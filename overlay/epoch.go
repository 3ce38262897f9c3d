package overlay

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// epochFile is the name of the file in the data folder that holds the last epoch.
const epochFile = "epoch"

// epochs counts the epochs of this gateway's channels. They grow across restarts and lost data folders, as long as the
// clock is not set back at the same time.
type epochs struct {
	folder string // "" keeps nothing

	mu   sync.Mutex // guards last
	last uint64
}

// next returns an epoch that is greater than all before. The error tells that it could not be kept; it is good all the same.
func (e *epochs) next(now time.Time) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept, err := e.load()
	e.last = max(e.last+1, kept+1, uint64(max(0, now.Unix())))
	return e.last, errors.Join(err, e.save())
}

func (e *epochs) load() (uint64, error) {
	if e.folder == "" {
		return 0, nil
	}
	b, err := os.ReadFile(filepath.Join(e.folder, epochFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the last epoch: %w", err)
	}
	v, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("read the last epoch: %w", err)
	}
	return v, nil
}

// save replaces the file in one step.
func (e *epochs) save() error {
	if e.folder == "" {
		return nil
	}
	path := filepath.Join(e.folder, epochFile)
	err := os.WriteFile(path+".new", strconv.AppendUint(nil, e.last, 10), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("keep the last epoch: %w", err)
	}
	return nil
}
