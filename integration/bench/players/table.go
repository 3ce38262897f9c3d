//go:build linux

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"peergate/integration/bench/players/camera"
)

// report is everything that was measured.
type report struct {
	Machine machine       `json:"machine"`
	Format  camera.Format `json:"format"`
	GRO     bool          `json:"gro"`
	Rows    []row         `json:"table"`
	Stalls  []stallRow    `json:"stalls,omitempty"`
	Limits  []limit       `json:"limits,omitempty"`
	Cells   []cell        `json:"measurements"`
}

// row is the medians of all rounds of one server, transport and number of players.
type row struct {
	cell
	Least      float64 `json:"cpu_least"`
	Most       float64 `json:"cpu_most"`
	OfBaseline float64 `json:"cpu_of_baseline"` // median of the rounds' quotients; 0: not measured
	OfFloor    float64 `json:"cpu_of_floor"`
}

// rows sums up the rounds.
func rows(cells []cell) []row {
	var all []row
	for _, c := range cells {
		if c.Round > 0 {
			continue
		}
		rounds := like(cells, c.Server, c.Transport, c.Players)
		r := row{cell: medians(rounds)}
		r.Least = slices.MinFunc(rounds, byCPU).CPU
		r.Most = slices.MaxFunc(rounds, byCPU).CPU
		r.OfBaseline = quotient(rounds, like(cells, baseline, c.Transport, c.Players))
		r.OfFloor = quotient(rounds, like(cells, floor, c.Transport, c.Players))
		all = append(all, r)
	}
	return all
}

func byCPU(a, b cell) int { return cmp.Compare(a.CPU, b.CPU) }

// like returns the rounds of one measurement.
func like(cells []cell, server, transport string, players int) []cell {
	var all []cell
	for _, c := range cells {
		if c.Server == server && c.Transport == transport && c.Players == players {
			all = append(all, c)
		}
	}
	return all
}

// quotient returns the median of the quotients of a round's processor times.
func quotient(a, b []cell) float64 {
	var q []float64
	for _, x := range a {
		for _, y := range b {
			if x.Round == y.Round && y.CPU > 0 {
				q = append(q, x.CPU/y.CPU)
			}
		}
	}
	return median(q)
}

// medians returns a cell whose every number is the median of the rounds'.
func medians(rounds []cell) cell {
	m := rounds[0]
	for _, f := range []func(*cell) *float64{
		func(c *cell) *float64 { return &c.CPU }, func(c *cell) *float64 { return &c.Cores },
		func(c *cell) *float64 { return &c.Reading }, func(c *cell) *float64 { return &c.Loss },
		func(c *cell) *float64 { return &c.P50 }, func(c *cell) *float64 { return &c.P99 },
		func(c *cell) *float64 { return &c.Worst }, func(c *cell) *float64 { return &c.JoinP50 },
		func(c *cell) *float64 { return &c.JoinP99 }, func(c *cell) *float64 { return &c.Keyed },
		func(c *cell) *float64 { return &c.Memory }, func(c *cell) *float64 { return &c.LoadAfter },
	} {
		var all []float64
		for i := range rounds {
			all = append(all, *f(&rounds[i]))
		}
		*f(&m) = median(all)
	}
	for _, c := range rounds[1:] { // what goes wrong once is not to be hidden
		m.Faults, m.Left, m.Joined = max(m.Faults, c.Faults), max(m.Left, c.Left), min(m.Joined, c.Joined)
		m.Why = cmp.Or(m.Why, c.Why)
	}
	return m
}

// median returns the middle of some numbers, the lower one of two; 0 of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[(len(v)-1)/2]
}

// line is a measurement as it is reported while others are made.
func (c *cell) line() string {
	return fmt.Sprintf("%s %s %d players (%d stalled) round %d: %.2f us/packet, %.2f+%.2f cores, loss %.3f %%, latency %.2f/%.2f ms, join %.1f/%.1f ms, key first %.0f %% of %d, %.0f KB/player, faults %d, left %d %s",
		c.Server, c.Transport, c.Players, c.Stalled, c.Round, c.CPU, c.Cores, c.Reading, c.Loss*100, c.P50, c.P99, c.JoinP50, c.JoinP99, c.Keyed*100, c.Joined, c.Memory, c.Faults, c.Left, c.Why)
}

func newTable(w io.Writer, head string) *tabwriter.Writer {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, head)
	return t
}

func printRows(w io.Writer, all []row) {
	if len(all) == 0 {
		return
	}
	t := newTable(w, "\nserver\tby\tplayers\tus/packet\t(least..most)\tof baseline\tof floor\tloss %\tp50 ms\tp99 ms\tworst p99\tjoin p50\tp99 ms\tkey first %\tKB/player\tcores\tgenerator\tfaults\tleft\t")
	for _, r := range all {
		join := "-\t-\t-\t-" // nobody joins the floor
		if r.Server != floor {
			join = fmt.Sprintf("%.1f\t%.1f\t%.0f\t%.0f", r.JoinP50, r.JoinP99, r.Keyed*100, r.Memory)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%.2f\t(%.2f..%.2f)\t%s\t%s\t%.3f\t%.2f\t%.2f\t%.2f\t%s\t%.2f\t%.2f\t%d\t%d\t\n",
			r.Server, r.Transport, r.Players, r.CPU, r.Least, r.Most, share(r.OfBaseline), share(r.OfFloor), r.Loss*100,
			r.P50, r.P99, r.Worst, join, r.Cores, r.Reading, r.Faults, r.Left)
	}
	_ = t.Flush()
}

// share formats a quotient, which may not have been measured.
func share(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", v)
}

// stallRow tells what one player that stalls does to the others.
type stallRow struct {
	Server    string  `json:"server"`
	Players   int     `json:"players"` // that do not stall
	P99       float64 `json:"latency_p99_ms"`
	Worst     float64 `json:"latency_worst_p99_ms"`
	Loss      float64 `json:"loss"`
	WithP99   float64 `json:"with_latency_p99_ms"`
	WithWorst float64 `json:"with_latency_worst_p99_ms"`
	WithLoss  float64 `json:"with_loss"`
}

func stallRows(cells []cell) []stallRow {
	var all []stallRow
	for _, c := range cells {
		if c.Round > 0 || c.Stalled > 0 {
			continue
		}
		without := medians(like(cells, c.Server, c.Transport, c.Players))
		with := medians(like(cells, c.Server, c.Transport, c.Players+1))
		all = append(all, stallRow{
			Server: c.Server, Players: c.Players, P99: without.P99, Worst: without.Worst, Loss: without.Loss,
			WithP99: with.P99, WithWorst: with.Worst, WithLoss: with.Loss,
		})
	}
	return all
}

func printStalls(w io.Writer, all []stallRow) {
	t := newTable(w, "\nserver\tplayers\tp99 ms\tworst player's\tloss %\twith one stalled: p99 ms\tworst player's\tloss %\t")
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%.2f\t%.3f\t%.2f\t%.2f\t%.3f\t\n",
			r.Server, r.Players, r.P99, r.Worst, r.Loss*100, r.WithP99, r.WithWorst, r.WithLoss*100)
	}
	_ = t.Flush()
}

func printLimits(w io.Writer, all []limit) {
	t := newTable(w, "\nserver\tby\tplayers before 0.1 % loss\tcores\tp99 ms\ttoo many\tloss % then\t")
	for _, l := range all {
		fmt.Fprintf(t, "%s\t%s\t%d\t%.2f\t%.1f\t%d\t%.2f\t\n", l.Server, l.Transport, l.Players, l.Last.Cores, l.Last.P99, l.TooMany, l.Loss*100)
	}
	_ = t.Flush()
}
