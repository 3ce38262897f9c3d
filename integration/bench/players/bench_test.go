//go:build linux

package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPlanInterleavesTheServers(t *testing.T) {
	o, err := parse([]string{"-transports", "tcp", "-players", "100,400", "-rounds", "2", "-servers", "gateway,baseline"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range plan(o) {
		if c.Players == 100 {
			got = append(got, c.Server)
		}
	}
	if want := []string{gateway, baseline, baseline, gateway}; !slices.Equal(got, want) {
		t.Errorf("plan = %v, want %v", got, want)
	}
	if n := len(plan(o)); n != 8 {
		t.Errorf("plan has %d measurements, want 8", n)
	}
}

func TestStallPlan(t *testing.T) {
	o, err := parse([]string{"-stall", "200", "-rounds", "1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range stallPlan(o) {
		if c.Server == floor || c.Players-c.Stalled != 200 {
			t.Errorf("plan has %+v", c)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"-servers", "nginx"},
		{"-transports", "sctp"},
		{"-players", "none"},
		{"-players", "0"},
		{"-rounds", "0"},
		{"-duration", "1ms"},
		{"-bitrate", "1000"},
		{"word"},
	} {
		if _, err := parse(args); err == nil {
			t.Errorf("parse(%q) = nil, want an error", args)
		}
	}
}

func TestRowsAreMediansSideBySide(t *testing.T) {
	var cells []cell
	for round, cpu := range []float64{1, 3, 2} {
		cells = append(cells,
			cell{Server: gateway, Transport: "udp", Players: 100, Round: round, CPU: cpu, P99: 10 * cpu, Joined: 100 - round},
			cell{Server: baseline, Transport: "udp", Players: 100, Round: round, CPU: 4 * cpu},
			cell{Server: floor, Transport: "udp", Players: 100, Round: round, CPU: cpu / 2})
	}
	all := rows(cells)
	if len(all) != 3 {
		t.Fatalf("%d rows, want 3", len(all))
	}
	r := all[0]
	if r.Server != gateway || r.CPU != 2 || r.Least != 1 || r.Most != 3 || r.P99 != 20 || r.Joined != 98 {
		t.Errorf("row = %+v", r)
	}
	if r.OfBaseline != 0.25 || r.OfFloor != 2 {
		t.Errorf("quotients are %v and %v, want 0.25 and 2", r.OfBaseline, r.OfFloor)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		v    []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{4, 1}, 1}, {[]float64{9, 1, 5}, 5}} {
		if got := median(c.v); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.v, got, c.want)
		}
	}
}

func TestTablesHaveOneLineForEachRow(t *testing.T) {
	var b strings.Builder
	printRows(&b, []row{{cell: cell{Server: gateway, Transport: "udp", Players: 100}}, {cell: cell{Server: floor, Transport: "udp", Players: 100}}})
	printStalls(&b, stallRows([]cell{{Server: gateway, Players: 200, P99: 1}, {Server: gateway, Players: 201, Stalled: 1, P99: 2}}))
	printLimits(&b, []limit{{Server: gateway, Transport: "tcp", Players: 800}})
	if n := strings.Count(b.String(), "\n"); n != 3*2+4 {
		t.Errorf("%d lines, want 10:\n%s", n, b.String())
	}
}

func TestStatusRSS(t *testing.T) {
	got, err := statusRSS("Name:\tx\nVmPeak:\t  900 kB\nVmRSS:\t  123 kB\n")
	if err != nil || got != 123 {
		t.Errorf("statusRSS = %d, %v, want 123", got, err)
	}
	if _, err := statusRSS("Name:\tx\n"); err == nil {
		t.Error("statusRSS of nothing = nil, want an error")
	}
}

func TestUseCountsAProcess(t *testing.T) {
	p, err := start("/bin/sh", "-c", "read x; while :; do :; done")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	before, err := p.use()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		now, err := p.use()
		if err != nil {
			t.Fatal(err)
		}
		if now > before+20*time.Millisecond {
			return
		}
	}
	t.Errorf("a busy process takes no time of process %d", os.Getpid())
}

func TestTailKeepsTheEnd(t *testing.T) {
	var s tail
	for range 3 * tailSize {
		_, _ = s.Write([]byte("x"))
	}
	_, _ = s.Write([]byte("end"))
	if got := s.String(); len(got) > tailSize || !strings.HasSuffix(got, "xend") {
		t.Errorf("tail has %d bytes and ends with %q", len(got), got[len(got)-4:])
	}
}
