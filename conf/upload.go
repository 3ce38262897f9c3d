package conf

import (
	"errors"
	"fmt"
	"time"

	"gopkg.in/yaml.v3"
)

// days are the words for the days of a week, in the order of time.Weekday.
var days = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// UploadRule is another limit of what this gateway gives to others: for some channels, at some times, or both.
type UploadRule struct {
	Channels []string  `yaml:"channels"` // patterns such as hq/*, of this gateway's own streams without petname; empty: all taken together
	Days     []string  `yaml:"days"`     // mon, tue ...; empty: every day
	From     TimeOfDay `yaml:"from"`     // local time
	To       TimeOfDay `yaml:"to"`       // up to but without; the same as From: all day; less: until the next morning
	Limit    Rate      `yaml:"limit"`
}

// At tells whether the rule holds at a time. After midnight it is still the day before of a rule that goes past it.
func (r *UploadRule) At(t time.Time) bool {
	now, from, to := TimeOfDay(60*t.Hour()+t.Minute()), r.From, r.To
	day := t.Weekday()
	switch {
	case from < to && (now < from || now >= to):
		return false
	case from > to && now < from:
		if now >= to {
			return false
		}
		day = (day + 6) % 7
	}
	for _, d := range r.Days {
		if d == days[day] {
			return true
		}
	}
	return len(r.Days) == 0
}

func (r *UploadRule) check(f faults, key string) {
	patterns(f, key+".channels", r.Channels)
	for i, d := range r.Days {
		oneOf(f, fmt.Sprintf("%s.days[%d]", key, i), d, days...)
	}
}

// TimeOfDay is the minutes since midnight, local time.
type TimeOfDay int

// UnmarshalYAML reads a time such as 08:30.
func (d *TimeOfDay) UnmarshalYAML(n *yaml.Node) error {
	t, err := time.Parse("15:04", n.Value)
	if err != nil {
		return errors.New("not a time of day")
	}
	*d = TimeOfDay(60*t.Hour() + t.Minute())
	return nil
}

func (*TimeOfDay) want() string { return "a time of day such as \"08:30\"" }
