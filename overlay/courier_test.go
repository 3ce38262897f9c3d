package overlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowWriter takes what is written after a while.
type slowWriter struct {
	takes time.Duration
	got   strings.Builder
	err   error
}

func (w *slowWriter) Write(b []byte) (int, error) {
	time.Sleep(w.takes) // in a bubble
	if w.err != nil {
		return 0, w.err
	}
	return w.got.Write(b)
}

func (w *slowWriter) SetWriteDeadline(time.Time) error { return nil }

// deliver runs a courier until the bubble is quiet and returns what became of each parcel.
type deliveries struct {
	mu   sync.Mutex // guards text
	text []string
}

func (d *deliveries) parcel(name string, size int, vital bool, until time.Duration) parcel {
	return parcel{
		wire: []byte(strings.Repeat(name, size)), vital: vital, put: time.Now(), until: time.Now().Add(until),
		report: func(dropped bool, queued int, waited time.Duration) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.text = append(d.text, fmt.Sprintf("%s dropped=%v queued=%d waited=%v", name, dropped, queued, waited))
		},
	}
}

func (d *deliveries) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.text, "\n")
}

func TestCourier(t *testing.T) {
	const half = maxWaiting / 2
	for _, tt := range []struct {
		name string
		w    slowWriter
		put  func(c *courier, d *deliveries)
		want string
	}{
		{"in order", slowWriter{takes: time.Millisecond}, func(c *courier, d *deliveries) {
			c.put(d.parcel("a", 1, false, time.Second))
			c.put(d.parcel("b", 1, false, time.Second))
		}, "a dropped=false queued=1 waited=1ms\nb dropped=false queued=0 waited=2ms"},
		{"too late", slowWriter{takes: 100 * time.Millisecond}, func(c *courier, d *deliveries) {
			c.put(d.parcel("a", 1, false, time.Second))
			c.put(d.parcel("b", 1, false, 50*time.Millisecond))
			c.put(d.parcel("c", 1, false, 100*time.Millisecond))
		}, "a dropped=false queued=2 waited=100ms\nb dropped=true queued=1 waited=100ms\nc dropped=false queued=0 waited=200ms"},
		{"no room", slowWriter{takes: time.Millisecond}, func(c *courier, d *deliveries) {
			c.put(d.parcel("a", half, false, time.Second))
			c.put(d.parcel("b", half, false, time.Second))
			c.put(d.parcel("c", 1, false, time.Second))
		}, fmt.Sprintf("a dropped=false queued=%d waited=1ms\nb dropped=false queued=0 waited=2ms\nc dropped=true queued=0 waited=2ms", half)},
		{"room for what is vital", slowWriter{takes: time.Millisecond}, func(c *courier, d *deliveries) {
			c.put(d.parcel("a", half, false, time.Second))
			c.put(d.parcel("b", half, true, time.Second))
			c.put(d.parcel("c", half, true, time.Second))
			c.put(d.parcel("d", half, true, time.Second))
		}, fmt.Sprintf("a dropped=true queued=%d waited=0s\nb dropped=false queued=%d waited=1ms\n"+
			"c dropped=false queued=0 waited=2ms\nd dropped=true queued=0 waited=2ms", 2*half, half)},
		{"broken", slowWriter{err: errors.New("broken")}, func(c *courier, d *deliveries) {
			c.put(d.parcel("a", 1, false, time.Second))
			c.put(d.parcel("b", 1, false, time.Second))
		}, "a dropped=true queued=1 waited=0s\nb dropped=true queued=0 waited=1s\nz dropped=true queued=0 waited=0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, d := newCourier(), new(deliveries)
				tt.put(c, d)
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- c.run(ctx, &tt.w) }()
				time.Sleep(time.Second)
				cancel()
				if err := <-ended; tt.w.err != nil && err != tt.w.err {
					t.Errorf("run = %v, want %v", err, tt.w.err)
				}
				c.close()
				if tt.w.err != nil {
					c.put(d.parcel("z", 1, true, time.Second))
				}
				if got := d.String(); got != tt.want {
					t.Errorf("got\n%s\nwant\n%s", got, tt.want)
				}
			})
		})
	}
}

func TestOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(10)
		for _, tt := range []struct {
			body string
			want bool
		}{{"hello", true}, {"again", false}, {"you", true}} {
			if got := o.put([]byte(tt.body)); got != tt.want {
				t.Errorf("put(%q) = %v, want %v", tt.body, got, tt.want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		w := new(slowWriter)
		ended := make(chan error, 1)
		go func() { ended <- o.run(ctx, w) }()
		synctest.Wait()
		if !o.put([]byte("more")) {
			t.Error("no room after everything was written")
		}
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run = %v", err)
		}
		r := newFrameReader(strings.NewReader(w.got.String()), 100)
		for _, want := range []string{"hello", "you", "more"} {
			if got, err := r.next(); err != nil || string(got) != want {
				t.Errorf("next = %q, %v, want %q", got, err, want)
			}
		}
		if _, err := r.next(); err != io.EOF {
			t.Errorf("next at the end = %v", err)
		}
	})
}
