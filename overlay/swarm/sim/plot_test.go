package sim

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestPlotIsAPicture(t *testing.T) {
	r := Result{Delays: []time.Duration{5 * time.Second, time.Millisecond, 300 * time.Millisecond}}
	var sb strings.Builder
	if err := r.Plot(&sb, "loss < 1 % & churn"); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for d := xml.NewDecoder(strings.NewReader(sb.String())); ; {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, sb.String())
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "polyline" {
			lines++
		}
	}
	if lines != 2 {
		t.Errorf("%d curves, want 2", lines)
	}
}
