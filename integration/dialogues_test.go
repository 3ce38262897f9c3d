//go:build integration

package integration

import (
	"path/filepath"
	"strings"
	"testing"

	"peergate/integration/lab"
)

// TestDialogues replays what players said that cannot be had here, VLC and QuickTime first of all.
func TestDialogues(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/dialogues/*.txt")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d recorded dialogues, %v, want 12", len(files), err)
	}
	open, locked := lab.NewGateway(t, "open"), lab.NewGateway(t, "locked")
	locked.More = users("see", "send")
	open.Start()
	locked.Start()
	lab.Encode(t, lab.H264(t), open.URL("live"))
	lab.Encode(t, lab.H264(t), lab.With(locked.URL("live"), "encoder", "send"))
	open.WaitStream("live")
	waitDecode(t, lab.With(locked.URL("live"), "viewer", "see"))
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			g := open
			if strings.Contains(name, "digest") {
				g = locked
			}
			lab.Replay(t, g, "live", lab.ReadDialogue(t, file))
		})
	}
}
