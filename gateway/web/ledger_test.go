package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"peergate/conf"
)

func (f fixed) LedgerReport(_ context.Context, by string, from, to time.Time) ([]Sum, error) {
	if by != "peer" {
		return nil, fmt.Errorf("%w: by %q", ErrAsk, by)
	}
	return []Sum{{Peer: "studio", Day: from.Format(time.DateOnly), Charge: Amount(to.Unix())}}, nil
}

func (f fixed) LedgerDisputes(context.Context, time.Time, time.Time) ([]Dispute, error) {
	return []Dispute{{Reason: "forged"}}, nil
}

func (f fixed) LedgerStatement(_ context.Context, peer, owner string, _, _ time.Time) (*Statement, error) {
	return &Statement{Peer: peer + owner, Balance: -1_500_000_000, Channels: []Sum{}, Proofs: []Proof{}}, nil
}

func (f fixed) LedgerVerify(context.Context) (*Verified, error) {
	return nil, fmt.Errorf("entry 7 is wrong")
}

// TestLedger asks for everything about the ledger over the socket.
func TestLedger(t *testing.T) {
	folder := t.TempDir()
	start(t, conf.API{}, folder)
	get := func(what string, to any) error {
		return call(t.Context(), folder, "GET", ledgerPath+what, nil, to)
	}
	var sums []Sum
	if err := get("report?by=peer&from=2026-05-01&to=1970-01-01T00:00:05Z", &sums); err != nil || len(sums) != 1 || sums[0].Day != "2026-05-01" || sums[0].Charge != 5 {
		t.Errorf("report = %+v, %v", sums, err)
	}
	for what, want := range map[string]string{
		"report?by=moon": "400 Bad Request: bad question: by \"moon\"", "report?by=peer&from=monday": "400", "verify": "500 Internal Server Error: entry 7 is wrong",
	} {
		if err := get(what, &sums); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s = %v, want %q", what, err, want)
		}
	}
	var ds []Dispute
	if err := get("disputes", &ds); err != nil || len(ds) != 1 || ds[0].Reason != "forged" {
		t.Errorf("disputes = %+v, %v", ds, err)
	}
	s, err := FetchStatement(t.Context(), folder, url.Values{"owner": {"hq"}})
	if want, _ := sample.LedgerStatement(t.Context(), "", "hq", time.Time{}, time.Time{}); err != nil || !reflect.DeepEqual(s, want) {
		t.Errorf("statement = %+v, %v, want %+v", s, err, want)
	}
}

func TestAmount(t *testing.T) {
	for text, n := range map[string]Amount{
		"0": 0, "1": billion, "-2.5": -2_500_000_000, "0.000000001": 1, "-0.01": -10_000_000, "9223372036.854775807": 1<<63 - 1,
	} {
		if got := n.String(); got != text {
			t.Errorf("String = %s, want %s", got, text)
		}
		var back Amount
		if err := json.Unmarshal([]byte(text), &back); err != nil || back != n {
			t.Errorf("UnmarshalJSON of %s = %d, %v, want %d", text, back, err, n)
		}
	}
	for _, text := range []string{"1e9", "0.0000000001", "true"} {
		var a Amount
		if err := json.Unmarshal([]byte(text), &a); err == nil {
			t.Errorf("UnmarshalJSON of %s = %d, want an error", text, a)
		}
	}
}
