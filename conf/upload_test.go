package conf

import (
	"testing"
	"time"
)

func TestUploadRuleAt(t *testing.T) {
	office := UploadRule{Days: []string{"mon", "fri"}, From: 8 * 60, To: 17*60 + 30}
	night := UploadRule{Days: []string{"fri"}, From: 22 * 60, To: 6 * 60}
	for _, tt := range []struct {
		rule UploadRule
		at   string
		want bool
	}{
		{UploadRule{}, "Mon 00:00", true},
		{office, "Mon 07:59", false},
		{office, "Mon 08:00", true},
		{office, "Mon 17:29", true},
		{office, "Mon 17:30", false},
		{office, "Tue 12:00", false},
		{night, "Fri 21:59", false},
		{night, "Fri 22:00", true},
		{night, "Sat 05:59", true},
		{night, "Sat 06:00", false},
		{night, "Fri 03:00", false},
	} {
		at, err := time.Parse("2006-01-02 Mon 15:04", date[tt.at[:3]]+" "+tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := tt.rule.At(at); got != tt.want {
			t.Errorf("%+v at %s = %v, want %v", tt.rule, tt.at, got, tt.want)
		}
	}
}

// date is a day of a week.
var date = map[string]string{"Mon": "2026-11-23", "Tue": "2026-11-24", "Fri": "2026-11-27", "Sat": "2026-11-28"}

func TestUploadRules(t *testing.T) {
	c, err := Parse("gateway.yml", []byte("overlay:\n  upload_rules:\n"+
		"    - {channels: [\"hq/*\"], days: [mon], from: \"08:30\", to: \"17:00\", limit: 2Mbit}\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := c.Overlay.UploadRules[0]
	if r.From != 510 || r.To != 1020 || r.Limit != 2_000_000 || r.Channels[0] != "hq/*" || r.Days[0] != "mon" {
		t.Errorf("rule = %+v", r)
	}
	for _, bad := range []string{"days: [monday]", "from: \"25:00\"", "channels: [\"\"]", "limit: fast"} {
		if _, err := Parse("gateway.yml", []byte("overlay:\n  upload_rules:\n    - {"+bad+"}\n")); err == nil {
			t.Errorf("rule {%s} is accepted", bad)
		}
	}
}
