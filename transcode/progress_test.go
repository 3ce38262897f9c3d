package transcode

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestProgress reads what ffmpeg 5.1 writes, cut at every place.
func TestProgress(t *testing.T) {
	const text = "frame=31\nfps=0.00\nbitrate=N/A\nout_time_us=N/A\nspeed=N/A\nprogress=continue\n" +
		"frame=62\nfps=30.1\nout_time_us=2066667\nout_time=00:00:02.066667\nspeed=1.03x\nprogress=continue\n"
	for cut := range len(text) {
		var p progress
		l := &lines{line: p.tell}
		for _, s := range []string{text[:cut], text[cut:]} {
			if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
				t.Fatalf("Write = %d, %v, want %d", n, err, len(s))
			}
		}
		if frames, made, speed := p.read(); frames != 62 || made != 2066667*time.Microsecond || speed != 1.03 {
			t.Fatalf("cut at %d: %d frames, %v, speed %v", cut, frames, made, speed)
		}
	}
}

// TestProgressIsBounded proves that an ffmpeg which floods its log costs nothing and that its first words are kept, but
// no secret.
func TestProgressIsBounded(t *testing.T) {
	var p progress
	l := &lines{line: p.log}
	fmt.Fprintf(l, "rtsp://127.0.0.1:8554/lobby?pass=ABCDEF234: Connection refused\n")
	for range 1000 {
		fmt.Fprintf(l, "%s\r\n\n", strings.Repeat("x", 3*maxLine))
	}
	r := p.reason()
	if !strings.HasPrefix(r, "rtsp://127.0.0.1:8554/lobby: Connection refused; x") || len(r) > keptWords*(maxLine+2) {
		t.Errorf("reason has %d bytes and begins %.80q", len(r), r)
	}
}

// FuzzProgress feeds what any program may write.
func FuzzProgress(f *testing.F) {
	f.Add([]byte("frame=1\nspeed=1x\nout_time_us=5\n"), 3)
	f.Add([]byte("speed=-Infx\nspeed=1e400x\nout_time_us=99999999999999999999\n\r\n="), 1)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var p progress
		l := &lines{line: func(s string) {
			if s == "" || len(s) > maxLine || strings.ContainsAny(s, "\r\n") {
				t.Errorf("line %q", s)
			}
			p.tell(s)
			p.log(s)
		}}
		cut = min(max(cut, 0), len(b))
		_, _ = l.Write(b[:cut])
		_, _ = l.Write(b[cut:])
		if _, made, speed := p.read(); made < 0 || made > maxMade || !(speed >= 0 && speed < maxSpeed) {
			t.Errorf("made %v, speed %v", made, speed)
		}
		_ = p.reason()
	})
}
