package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"peergate/gateway/web"
	"peergate/overlay/ledger"
	"peergate/overlay/p2p"
)

// TestLedgerCommands reads a ledger that has a receipt and something forged in it, in all forms.
func TestLedgerCommands(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "gateway.yml")
	owner, err := p2p.LoadIdentity(folder)
	if err != nil {
		t.Fatal(err)
	}
	member, err := p2p.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	text := "data: " + folder + "\npeers: {studio: {id: " + string(member.ID) + "}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, int) {
		var out, errOut bytes.Buffer
		code := execute(append([]string{"ledger"}, args...), &out, &errOut)
		return out.String() + errOut.String(), code
	}
	if out, code := run("report", file); code != 1 || !strings.Contains(out, "there is no ledger yet") {
		t.Errorf("report without a ledger: %d, %s", code, out)
	}
	l, err := ledger.Open(t.Context(), ledger.Options{
		Database: filepath.Join(folder, "ledger.db"), Key: owner.Key, Head: filepath.Join(folder, "ledger.head"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e := ledger.NewEmission([32]byte{1}, 5)
	if err := l.Begin(t.Context(), e, ledger.Terms{Name: "lobby", Price: 2_000_000}); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	raw := make([]byte, 50_000)
	e.Count(0, raw, now)
	me := ledger.PeerOf(member.ID.Key())
	edge := ledger.NewEdge(ledger.Series{Channel: e.Channel, Epoch: 5, Uploader: l.Owner(), Downloader: me}, member.Key)
	edge.Fresh(0, raw, false, now)
	_, receipt := edge.Sign(90*time.Second, now)
	if _, err := l.Take(t.Context(), []*ledger.Letter{{Owner: l.Owner(), Sender: me, Claims: []ledger.Claim{{Raw: receipt}, {Raw: []byte("x")}}}}, now); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		want []string
	}{
		"table":      {[]string{"report", file}, []string{"PEER", "studio", "50.0 kB", "1.5", "0.0001"}},
		"channels":   {[]string{"report", "--by", "channel", file}, []string{"CHANNEL", "lobby"}},
		"csv":        {[]string{"report", "--by", "day", "--format", "csv", file}, []string{"day,id,", "2026-05-01,,0,50000,50000,50000,1.500,0.0001,0,0"}},
		"nothing":    {[]string{"report", "--from", "2026-05-02", file}, []string{"nothing in this time"}},
		"statement":  {[]string{"statement", "studio", file}, []string{"charge 0.0001, credit 0, balance 0.0001", string(member.ID)}},
		"dispute":    {[]string{"dispute", file}, []string{"forged", "studio", "2026-05-01 12:00:00"}},
		"verify":     {[]string{"verify", file}, []string{"is whole: 4 entries, 1 receipts, 0 leases, 1 disputes"}},
		"bad time":   {[]string{"report", "--from", "yesterday", file}, []string{"write a day such as"}},
		"bad form":   {[]string{"report", "--format", "xml", file}, []string{"must be table, csv or json"}},
		"bad group":  {[]string{"report", "--by", "moon", file}, []string{"by peer, channel or day"}},
		"bad peer":   {[]string{"statement", "nobody", file}, []string{"neither the petname nor the ID"}},
		"nobody":     {[]string{"statement"}, []string{"say whose statement"}},
		"no gateway": {[]string{"statement", "--owner", "studio", file}, []string{"no gateway runs"}},
	} {
		out, _ := run(tt.args...)
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q has no %q", name, out, want)
			}
		}
	}
	out, _ := run("statement", "--format", "json", "studio", file)
	var s web.Statement
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	if len(s.Proofs) != 1 || !bytes.Equal(s.Proofs[0].Receipt, receipt) || s.Balance != 100_000 || s.Total.Minutes != 1.5 {
		t.Errorf("statement = %+v", s)
	}
}
