package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"peergate/gateway/web"
)

// printSums writes a report.
func printSums(out io.Writer, f style, by string, all []web.Sum) error {
	key := func(s *web.Sum) string { return s.Peer + s.Channel + s.Day }
	switch f {
	case "json":
		return printJSON(out, all)
	case "csv":
		w := csv.NewWriter(out)
		_ = w.Write([]string{
			by, "id", "carried_bytes", "given_bytes", "got_bytes", "watched_bytes", "viewing_minutes", "charge", "credit", "refused_bytes",
		})
		for i := range all {
			s := &all[i]
			_ = w.Write([]string{
				key(s), s.ID, number(s.Carried), number(s.Given), number(s.Got), number(s.Watched),
				strconv.FormatFloat(s.Minutes, 'f', 3, 64), s.Charge.String(), s.Credit.String(), number(s.Refused),
			})
		}
		w.Flush()
		return w.Error()
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\tCARRIED\tGOT\tWATCHED\tMINUTES\tCHARGE\tCREDIT\tREFUSED\n", map[string]string{
		"peer": "PEER", "channel": "CHANNEL", "day": "DAY",
	}[by])
	for i := range all {
		s := &all[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.1f\t%s\t%s\t%s\n", key(s), bytesOf(s.Carried), bytesOf(s.Got), bytesOf(s.Watched), s.Minutes, s.Charge, s.Credit, bytesOf(s.Refused))
	}
	if len(all) == 0 {
		fmt.Fprintln(w, "nothing in this time")
	}
	return w.Flush()
}

// bytesOf writes a number of bytes for people; what was taken back may make it less than 0.
func bytesOf(n int64) string {
	if n < 0 {
		return "-" + size(uint64(-n))
	}
	return size(uint64(n))
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// printDisputes writes what was refused.
func printDisputes(out io.Writer, f style, all []web.Dispute) error {
	switch f {
	case "json":
		return printJSON(out, all)
	case "csv":
		w := csv.NewWriter(out)
		_ = w.Write([]string{"entry", "at", "reason", "channel", "sender", "uploader", "downloader", "refused_bytes", "detail"})
		for _, d := range all {
			_ = w.Write([]string{
				number(d.Entry), d.At.UTC().Format(time.RFC3339), d.Reason, d.Channel, d.Sender, d.Uploader, d.Downloader, number(d.Bytes), d.Detail,
			})
		}
		w.Flush()
		return w.Error()
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENTRY\tAT\tREASON\tCHANNEL\tBY\tFROM\tTO\tREFUSED\tDETAIL")
	for _, d := range all {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Entry, d.At.UTC().Format(time.DateTime), d.Reason, d.Channel,
			d.Sender, d.Uploader, d.Downloader, bytesOf(d.Bytes), d.Detail)
	}
	if len(all) == 0 {
		fmt.Fprintln(w, "nothing was refused in this time")
	}
	return w.Flush()
}

// printStatement writes a statement.
func printStatement(out io.Writer, f style, s *web.Statement) error {
	if f == "json" {
		return printJSON(out, s)
	}
	if err := printSums(out, f, "channel", s.Channels); err != nil || f == "csv" {
		return err
	}
	fmt.Fprintf(out, "\n%s (%s)\ncharge %s, credit %s, balance %s\nledger %s\n", s.Peer, s.ID, s.Total.Charge, s.Total.Credit, s.Balance, s.Head)
	return nil
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
