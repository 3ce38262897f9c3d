package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"
)

// endWithin is how long a gateway may take to end when a signal asks it to. Its parts take about 2 s: players and peers are
// told, and given time to hear it.
const endWithin = 10 * time.Second

var (
	errAgain = errors.New("a second signal came: ended at once")
	errSlow  = errors.New("not all parts ended in time: given up")
)

// serve runs f until it returns. The first signal ends its context; at a second one, or when f has not returned in time,
// serve returns without it, and the program has to end.
func serve(ctx context.Context, signals <-chan os.Signal, log *slog.Logger, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	select {
	case err := <-done:
		return err
	case <-signals:
		log.Info("gateway is to end")
		cancel()
	}
	late := time.NewTimer(endWithin)
	defer late.Stop()
	select {
	case err := <-done:
		if err == nil {
			log.Info("gateway has ended")
		}
		return err
	case <-signals:
		return errAgain
	case <-late.C:
		return errSlow
	}
}
