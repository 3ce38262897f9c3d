package load

import (
	"testing"
	"time"
)

func TestPercentileIsWithinABucket(t *testing.T) {
	var h Histogram
	for i := 1; i <= 1000; i++ {
		h.Add(time.Duration(i) * time.Millisecond)
	}
	for _, c := range []struct {
		p    float64
		want time.Duration
	}{{0, 1}, {0.5, 501}, {0.99, 991}, {1, 1000}} {
		got, want := h.Percentile(c.p), c.want*time.Millisecond
		if got < want || got > want+want/32+1 {
			t.Errorf("Percentile(%v) = %v, want %v to 1/32 more", c.p, got, want)
		}
	}
}

func TestBucketsFollowOneAnother(t *testing.T) {
	last := -1
	for i := range octaves << subBits {
		u := uint64(upper(i))
		if bucket(u) != i {
			t.Fatalf("bucket(upper(%d) = %d) = %d", i, u, bucket(u))
		}
		if i+1 < octaves<<subBits && bucket(u+1) != i+1 {
			t.Fatalf("bucket(%d) = %d, want %d", u+1, bucket(u+1), i+1)
		}
		if int(u) <= last {
			t.Fatalf("upper(%d) = %d, not above %d", i, u, last)
		}
		last = int(u)
	}
}

func TestExtremesAreCounted(t *testing.T) {
	var h Histogram
	if got := h.Percentile(0.5); got != 0 {
		t.Errorf("Percentile of nothing = %v, want 0", got)
	}
	h.Add(-time.Second)
	h.Add(time.Hour)
	if got := h.Percentile(0); got != 0 {
		t.Errorf("a negative time counts as %v, want 0", got)
	}
	if got := h.Percentile(1); got < time.Minute {
		t.Errorf("an hour counts as %v, want the last bucket", got)
	}
}
