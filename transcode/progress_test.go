package transcode

import (
	"testing"
	"time"

	"peergate/transcode/process"
)

// TestProgress reads what ffmpeg 5.1 writes, cut at every place.
func TestProgress(t *testing.T) {
	const text = "frame=31\nfps=0.00\nbitrate=N/A\nout_time_us=N/A\nspeed=N/A\nprogress=continue\n" +
		"frame=62\nfps=30.1\nout_time_us=2066667\nout_time=00:00:02.066667\nspeed=1.03x\nprogress=continue\n"
	for cut := range len(text) {
		var p progress
		l := &process.Lines{Line: p.tell}
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

// FuzzProgress feeds what any program may write.
func FuzzProgress(f *testing.F) {
	f.Add([]byte("frame=1\nspeed=1x\nout_time_us=5\n"), 3)
	f.Add([]byte("speed=-Infx\nspeed=1e400x\nout_time_us=99999999999999999999\n\r\n="), 1)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var p progress
		l := &process.Lines{Line: p.tell}
		cut = min(max(cut, 0), len(b))
		_, _ = l.Write(b[:cut])
		_, _ = l.Write(b[cut:])
		if _, made, speed := p.read(); made < 0 || made > maxMade || !(speed >= 0 && speed < maxSpeed) {
			t.Errorf("made %v, speed %v", made, speed)
		}
	})
}
