package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestServe ends what is served in all ways there are; the time is fake.
func TestServe(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name    string
		signals []time.Duration // when they come
		f       func(ctx context.Context) error
		want    error
		after   time.Duration
	}{
		{"ends by itself", nil, func(context.Context) error { return broken }, broken, 0},
		{"obeys", []time.Duration{time.Minute}, func(ctx context.Context) error { return linger(ctx, 2*time.Second) }, nil, time.Minute + 2*time.Second},
		{"fails while it ends", []time.Duration{0}, func(ctx context.Context) error { <-ctx.Done(); return broken }, broken, 0},
		{"second signal", []time.Duration{0, time.Second}, func(ctx context.Context) error { return linger(ctx, 5*time.Second) }, errAgain, time.Second},
		{"too slow", []time.Duration{0}, func(ctx context.Context) error { return linger(ctx, 11*time.Second) }, errSlow, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signals := make(chan os.Signal, 2)
				for _, d := range tt.signals {
					time.AfterFunc(d, func() { signals <- syscall.SIGTERM })
				}
				begin := time.Now()
				if err := serve(t.Context(), signals, slog.New(slog.DiscardHandler), tt.f); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
					t.Errorf("serve = %v, want %v", err, tt.want)
				}
				if d := time.Since(begin); d != tt.after {
					t.Errorf("serve returns after %v, want %v", d, tt.after)
				}
				time.Sleep(time.Minute) // what serve has given up ends too
			})
		})
	}
}

// linger waits for the end and then takes its time.
func linger(ctx context.Context, d time.Duration) error {
	<-ctx.Done()
	time.Sleep(d) // in a bubble
	return nil
}
