package transcode

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"peergate/conf"
)

// TestNice proves that ffmpeg stands back as the configuration says.
func TestNice(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nice")
	s := newStage(t, "sleep 0.3; cat /proc/$$/stat >"+file+".new; mv "+file+".new "+file+"; exec sleep 600", func(c *conf.Transcode) { c.Nice = 7 })
	if _, err := s.hub.Open(t.Context(), "cam~quicktime"); err != nil {
		t.Fatal(err)
	}
	var b []byte
	s.eventually("it tells", func() (ok bool) {
		var err error
		b, err = os.ReadFile(file)
		return err == nil
	})
	_, rest, _ := strings.Cut(string(b), ") ")
	if f := strings.Fields(rest); len(f) < 17 || f[16] != "7" { // proc(5): field 19
		t.Errorf("nice of %q, want 7", rest)
	}
}
