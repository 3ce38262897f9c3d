//go:build linux

package main

import (
	"context"
	"slices"
)

// lossLimit is the share of packets that may be lost before a server counts as overloaded.
const lossLimit = 0.001

// plan returns the measurements of the table in the order in which they are made: the servers one after the other, in
// each second round the other way round, so that what else the machine does meets them all alike.
func plan(o options) []cell {
	var all []cell
	for _, t := range o.transports {
		for _, n := range o.players {
			for r := range o.rounds {
				servers := slices.Clone(o.servers)
				if r%2 == 1 {
					slices.Reverse(servers)
				}
				for _, s := range servers {
					all = append(all, cell{Server: s, Transport: t, Players: n, Round: r})
				}
			}
		}
	}
	return all
}

// stallPlan returns the measurements with and without a player that stalls. The floor has none: it would stall too.
func stallPlan(o options) []cell {
	var all []cell
	for r := range o.rounds {
		for _, s := range o.servers {
			if s == floor {
				continue
			}
			for stalled := range 2 {
				all = append(all, cell{Server: s, Transport: "tcp", Players: o.stall + stalled, Stalled: stalled, Round: r})
			}
		}
	}
	return all
}

// table makes the measurements of the table.
func (b *bench) table(ctx context.Context) ([]cell, error) { return b.all(ctx, plan(b.o)) }

// stalls makes those with and without a player that stalls.
func (b *bench) stalls(ctx context.Context) ([]cell, error) { return b.all(ctx, stallPlan(b.o)) }

func (b *bench) all(ctx context.Context, cells []cell) ([]cell, error) {
	for i, c := range cells {
		var err error
		if cells[i], err = b.run(ctx, c); err != nil {
			return nil, err
		}
	}
	return cells, nil
}

// limit is how many players a server had before it lost too much.
type limit struct {
	Server    string  `json:"server"`
	Transport string  `json:"transport"`
	Players   int     `json:"players"`  // the last number at which it lost no more than lossLimit; 0: none
	TooMany   int     `json:"too_many"` // the first at which it did; 0: none was tried
	Loss      float64 `json:"loss"`     // at that number
	Last      cell    `json:"last"`     // the measurement at Players
}

// limits finds how many players each server can have.
func (b *bench) limits(ctx context.Context) ([]limit, error) {
	var all []limit
	for _, t := range b.o.transports {
		for _, s := range b.o.servers {
			l, err := b.limit(ctx, s, t)
			if err != nil {
				return nil, err
			}
			all = append(all, l)
		}
	}
	return all, nil
}

// limit tries one number after the other. A number that fails is tried a second time: the machine may have been busy.
func (b *bench) limit(ctx context.Context, server, transport string) (limit, error) {
	l := limit{Server: server, Transport: transport}
	for _, n := range b.o.limits {
		var c cell
		for try := range 2 {
			var err error
			if c, err = b.run(ctx, cell{Server: server, Transport: transport, Players: n, Round: try}); err != nil {
				return l, err
			}
			if c.Loss <= lossLimit {
				break
			}
		}
		if c.Loss > lossLimit {
			l.TooMany, l.Loss = n, c.Loss
			break
		}
		l.Players, l.Last = n, c
	}
	return l, nil
}
