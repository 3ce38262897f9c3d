package sim

import (
	"fmt"
	"io"
	"time"
)

// Egress returns the owner's chunk bytes over the payload.
func (r *Result) Egress() float64 { return float64(r.Origin) / float64(max(r.Payload, 1)) }

// OnTime returns the part of the chunks that came within a second and within two.
func (r *Result) OnTime() (one, two float64) {
	return float64(r.One) / float64(max(r.Expected, 1)), float64(r.Two) / float64(max(r.Expected, 1))
}

// Print writes the table of a result.
func (r *Result) Print(w io.Writer) {
	one, two := r.OnTime()
	ms := func(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-42s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("members at the end", "%d", r.Members)
	row("origin egress / payload", "%.3f", r.Egress())
	row("delay to a member p50 / p99 / p99.9", "%s / %s / %s", ms(quantile(r.Delays, 0.5)), ms(quantile(r.Delays, 0.99)), ms(quantile(r.Delays, 0.999)))
	row("delay to players p50 / p99 / p99.9", "%s / %s / %s", ms(quantile(r.Releases, 0.5)), ms(quantile(r.Releases, 0.99)), ms(quantile(r.Releases, 0.999)))
	row("chunks on time at 1 s", "%.4f %% of %d", 100*one, r.Expected)
	row("chunks on time at 2 s", "%.4f %%", 100*two)
	row("join to first release p50 / p95", "%s / %s", ms(quantile(r.Joins, 0.5)), ms(quantile(r.Joins, 0.95)))
	row("joins without media after 10 s (told why)", "%d (%d)", r.Unjoined, r.Refused)
	row("control / payload", "%.2f %%", 100*float64(r.Control)/float64(max(r.Sent, 1)))
	row("duplicates", "%.2f %%", 100*float64(r.Dups)/float64(max(r.Received, 1)))
	row("depth p50 / max", "%d / %d", quantile(r.Depths, 0.5), quantile(r.Depths, 1))
	if r.Orphaned > 0 {
		row("crash: stripes back p50 / p95 / p99", "%s / %s / %s (%d of %d)", ms(quantile(r.Back, 0.5)), ms(quantile(r.Back, 0.95)), ms(quantile(r.Back, 0.99)), len(r.Back), r.Orphaned)
	}
	row("parents switched, stripes shed, skips, bans", "%d, %d, %d, %d", r.Switches, r.Shed, r.Skips, r.Bans)
}
