package overlay

import (
	"testing"
	"time"

	"peergate/conf"
	"peergate/media"
)

func TestUploads(t *testing.T) {
	c := conf.Overlay{Upload: 20e6, UploadRules: []conf.UploadRule{
		{From: 8 * 60, To: 18 * 60, Limit: 5e6},
		{Channels: []string{"hq/*"}, Limit: 2e6},
		{Channels: []string{"hq/lobby"}, Limit: conf.Unlimited},
		{Channels: []string{"cam"}, Limit: 0},
	}}
	day, night := time.Date(2026, 11, 26, 12, 0, 0, 0, time.Local), time.Date(2026, 11, 26, 20, 0, 0, 0, time.Local)
	for _, tt := range []struct {
		name     media.Name
		at       time.Time
		all, one conf.Rate
	}{
		{"hq/lobby", day, 5e6, 2e6},
		{"hq/lobby", night, 20e6, 2e6},
		{"cam", night, 20e6, 0},
		{"other", day, 5e6, conf.Unlimited},
	} {
		all, one := uploads(&c, "", tt.at)
		if all != tt.all || one != conf.Unlimited {
			t.Errorf("uploads at %v = %d, %d, want %d, none", tt.at, all, one, tt.all)
		}
		if _, one = uploads(&c, tt.name, tt.at); one != tt.one {
			t.Errorf("uploads of %s = %d, want %d", tt.name, one, tt.one)
		}
	}
}
