package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is what our import paths begin with.
const module = "peergate/"

// rule says which of our packages a package may import; with /** it means all below too.
type rule struct {
	who string
	may []string
}

// ours are the rules for our own packages; the first that matches counts.
var ours = []rule{
	{"conf", nil},
	{"media", nil},
	{"rtsp/**", []string{"conf", "media", "rtsp/**", "transcode/process"}},
	{"overlay/chunk", []string{"media"}},
	{"overlay/swarm", []string{"media"}},
	{"overlay/swarm/sim/**", []string{"overlay/swarm/**"}},
	{"overlay/access", []string{"media"}},
	{"overlay/ledger", []string{"overlay/chunk"}},
	{"overlay/p2p", []string{"conf"}},
	{"overlay", []string{"conf", "media", "overlay/**"}},
	{"transcode/process", nil},
	{"transcode", []string{"conf", "media", "transcode/process"}},
	{"gateway/web/**", []string{"conf", "media", "gateway/web/**"}},
	{"gateway", []string{"**"}},
	{"integration/**", []string{"**"}}, // tests and benchmarks, which look from outside
}

// heavy says which packages alone may import an outside library; the first that matches counts.
var heavy = []struct {
	library string
	who     []string
}{
	{"gopkg.in/yaml.v3/**", []string{"conf"}},
	{"github.com/bluenviron/gortsplib/v4/pkg/format/**", []string{"**"}},
	{"github.com/bluenviron/gortsplib/**", []string{"rtsp/**"}},
	{"github.com/datarhei/**", []string{"rtsp/ingest"}},
	{"github.com/libp2p/**", []string{"overlay/p2p"}},
	{"github.com/multiformats/**", []string{"overlay/p2p"}},
	{"github.com/ipfs/**", []string{"overlay/p2p"}},
	{"github.com/quic-go/**", []string{"overlay/p2p"}},
	{"github.com/bluenviron/gohlslib/**", []string{"gateway/web/hls"}},
	{"github.com/pion/webrtc/**", []string{"gateway/web/webrtc"}},
	{"github.com/prometheus/**", []string{"gateway/web"}},
	{"filippo.io/**", []string{"overlay/access"}},
	{"modernc.org/sqlite/**", []string{"overlay/ledger"}},
	{"github.com/jackc/**", []string{"overlay/ledger"}},
	{"github.com/pressly/goose/**", []string{"overlay/ledger"}},
	{"github.com/spf13/**", []string{"gateway"}},
	{"github.com/fsnotify/**", []string{"gateway"}},
}

// TestImports reads the imports of all files of the program and fails when one breaks the tables. Files of tests may
// import more.
func TestImports(t *testing.T) {
	seen := make(map[string]bool)
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "testdata" || strings.HasPrefix(name, ".") && name != ".."):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		who := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(file), "../"))
		seen[who] = true
		for _, imported := range imports(t, file) {
			if reason := forbidden(who, imported); reason != "" {
				t.Errorf("%s: package %s imports %s: %s", file, who, imported, reason)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"conf", "media", "rtsp", "rtsp/delivery", "overlay", "overlay/swarm", "transcode", "gateway"} {
		if !seen[who] {
			t.Errorf("no files of package %s were read", who)
		}
	}
}

// TestForbidden proves that the tables forbid what they must.
func TestForbidden(t *testing.T) {
	for _, tt := range []struct {
		who, imported string
		ok            bool
	}{
		{"media", "peergate/conf", false},
		{"rtsp/delivery", "peergate/media", true},
		{"rtsp", "peergate/rtsp/auth", true},
		{"rtsp", "peergate/overlay", false},
		{"overlay/swarm", "peergate/overlay/chunk", false},
		{"overlay", "peergate/overlay/p2p", true},
		{"gateway", "peergate/rtsp", true},
		{"newcomer", "fmt", false},
		{"overlay", "github.com/libp2p/go-libp2p", false},
		{"overlay/p2p", "github.com/libp2p/go-libp2p/core/peer", true},
		{"media", "github.com/bluenviron/gortsplib/v4/pkg/format", true},
		{"media", "github.com/bluenviron/gortsplib/v4", false},
		{"rtsp", "github.com/fsnotify/fsnotify", false},
		{"overlay", "golang.org/x/sync/errgroup", true},
	} {
		if reason := forbidden(tt.who, tt.imported); (reason == "") != tt.ok {
			t.Errorf("%s imports %s: %q, want allowed: %v", tt.who, tt.imported, reason, tt.ok)
		}
	}
}

// forbidden tells why a package may not import another, or "".
func forbidden(who, imported string) string {
	i := slices.IndexFunc(ours, func(r rule) bool { return within(who, r.who) })
	if i < 0 {
		return "the package is not in the table of gateway/imports_test.go: add it there and in docs/architecture.md"
	}
	if p, ok := strings.CutPrefix(imported, module); ok {
		if !anyOf(p, ours[i].may) {
			return "it may import of ours only: " + strings.Join(ours[i].may, ", ")
		}
		return ""
	}
	for _, h := range heavy {
		if within(imported, h.library) {
			if !anyOf(who, h.who) && !within(who, "integration/**") {
				return "only these may: " + strings.Join(h.who, ", ")
			}
			return ""
		}
	}
	return ""
}

// within tells whether a path is the pattern or, when that ends in /**, below it too.
func within(p, pattern string) bool {
	if pattern == "**" {
		return true
	}
	base, deep := strings.CutSuffix(pattern, "/**")
	return p == base || deep && strings.HasPrefix(p, base+"/")
}

func anyOf(p string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return within(p, pattern) })
}

// imports returns what a file imports.
func imports(t *testing.T, file string) []string {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range f.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, path.Clean(p))
	}
	return all
}
