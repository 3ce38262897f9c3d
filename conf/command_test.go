package conf

import (
	"slices"
	"testing"
)

// TestSplitCommand cuts command lines as a shell does.
func TestSplitCommand(t *testing.T) {
	for line, want := range map[string][]string{
		"ffmpeg -i  /dev/video0 {url}":   {"ffmpeg", "-i", "/dev/video0", "{url}"},
		`sh -c 'exec x "$PEERGATE_URL"'`: {"sh", "-c", `exec x "$PEERGATE_URL"`},
		`a "b \"c\" \d" e\ f ''`:         {"a", `b "c" \d`, "e f", ""},
		"\n a=b'c d'\t":                  {"a=bc d"},
		"":                               nil,
		"''":                             nil,
		"a 'b":                           nil,
		`a b\`:                           nil,
	} {
		got, err := SplitCommand(line)
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("SplitCommand(%q) = %q, %v, want %q", line, got, err, want)
		}
	}
}

func FuzzSplitCommand(f *testing.F) {
	f.Add(`a "b \"c\" \d" e\ f ''`)
	f.Fuzz(func(t *testing.T, line string) {
		if words, err := SplitCommand(line); err == nil && (len(words) == 0 || words[0] == "") {
			t.Errorf("%q has no program, and no error", line)
		}
	})
}
