package sim

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Size of a plot in pixels, and of the space for its axes.
const (
	plotWidth  = 720
	plotHeight = 400
	plotMargin = 60
)

// Plot writes an SVG picture of what part of the chunks came later than a time, to members and to players. Each line of
// the grid is a tenth of the one above: the last is one chunk in a hundred thousand.
func (r *Result) Plot(w io.Writer, title string) error {
	const decades = 5
	longest := 3 * time.Second
	x := func(d time.Duration) float64 {
		return plotMargin + float64(min(d, longest))/float64(longest)*(plotWidth-2*plotMargin)
	}
	y := func(decade float64) float64 {
		return plotMargin + min(decade, decades)/decades*(plotHeight-2*plotMargin)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/><text x="%d" y="24" font-size="15">%s</text>`+"\n", plotWidth, plotHeight, plotMargin, escape(title))
	for i := range decades + 1 {
		label := fmt.Sprintf("%g %%", 100/pow10(i))
		fmt.Fprintf(&b, `<path d="M%d %.1f H%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotMargin, y(float64(i)), plotWidth-plotMargin, plotMargin-6, y(float64(i))+4, label)
	}
	for s := time.Duration(0); s <= longest; s += 500 * time.Millisecond {
		fmt.Fprintf(&b, `<path d="M%.1f %d V%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%.1f s</text>`+"\n",
			x(s), plotMargin, plotHeight-plotMargin, x(s), plotHeight-plotMargin+18, s.Seconds())
	}
	for i, c := range []struct {
		name, colour string
		delays       []time.Duration
	}{{"come to members later", "#1565c0", r.Delays}, {"come to players later", "#c62828", r.Releases}} {
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>`+"\n", c.colour, tail(c.delays, x, y))
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", plotWidth-plotMargin-170, plotMargin+20+18*i, c.colour, c.name)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// tail returns the points of the part of delays beyond each of them, on a logarithmic scale.
func tail(delays []time.Duration, x func(time.Duration) float64, y func(float64) float64) string {
	sorted := slices.Sorted(slices.Values(delays))
	var sb strings.Builder
	decade := 0.0
	for left := float64(len(sorted)); left >= 1; left /= 1.1 { // 24 points a decade
		d := sorted[min(len(sorted)-int(left), len(sorted)-1)]
		fmt.Fprintf(&sb, "%.1f,%.1f ", x(d), y(decade))
		decade += 0.0413927 // log10 of 1.1
	}
	return sb.String()
}

func pow10(n int) float64 {
	v := 1.0
	for range n {
		v *= 10
	}
	return v
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
