package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Range is a Range header (RFC 2326 §12.29) without its parameter "time".
type Range struct {
	Unit  string        // "npt", "clock" or "smpte"
	Now   bool          // npt=now-
	Start time.Duration // of npt
	End   time.Duration // of npt; 0: open
	From  time.Time     // of clock
	Until time.Time     // of clock; zero: open
	SMPTE string        // of smpte, as it was written: its frames mean nothing to live media
}

// ParseRange reads a Range header. Of several ranges it reads the first: RFC 2326 has only one.
func ParseRange(s string) (Range, error) {
	s, _, _ = strings.Cut(s, ";")
	unit, spec, ok := strings.Cut(s, "=")
	if !ok {
		return Range{}, fmt.Errorf("Range %q has no unit", clip(s))
	}
	r := Range{Unit: strings.ToLower(strings.TrimSpace(unit))}
	spec, _, _ = strings.Cut(spec, ",")
	spec = strings.TrimSpace(spec)
	from, to, ok := strings.Cut(spec, "-")
	if !ok || from == "" && to == "" {
		return Range{}, fmt.Errorf("Range %q is not of the form start-end", clip(s))
	}
	from, to = strings.TrimSpace(from), strings.TrimSpace(to)
	var err error
	switch r.Unit {
	case "npt":
		err = r.npt(from, to)
	case "clock":
		err = r.clock(from, to)
	case "smpte", "smpte-25", "smpte-30-drop":
		r.Unit, r.SMPTE = "smpte", spec
		if strings.ContainsFunc(spec, func(c rune) bool { return !strings.ContainsRune("0123456789:.-", c) }) {
			err = fmt.Errorf("SMPTE range %q is malformed", clip(spec))
		}
	default:
		err = fmt.Errorf("Range unit %q is unknown", clip(unit))
	}
	if err != nil {
		return Range{}, err
	}
	return r, nil
}

func (r *Range) npt(from, to string) (err error) {
	if strings.EqualFold(from, "now") {
		r.Now = true
	} else if r.Start, err = parseNPT(from); err != nil {
		return err
	}
	if r.End, err = parseNPT(to); err != nil {
		return err
	}
	if to != "" && r.End <= r.Start {
		return fmt.Errorf("Range ends at %s, before it begins", clip(to))
	}
	return nil
}

// maxNPT keeps play times far from what a duration can hold.
const maxNPT = 30 * 365 * 24 * time.Hour

// parseNPT reads a normal play time (§3.6): seconds, or hours:minutes:seconds; nothing is 0.
func parseNPT(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	parts := strings.Split(s, ":")
	if len(parts) != 1 && len(parts) != 3 {
		return 0, fmt.Errorf("play time %q is malformed", clip(s))
	}
	var sum time.Duration
	for i, p := range parts {
		whole, frac, _ := strings.Cut(p, ".")
		sec, err := strconv.ParseUint(whole, 10, 30) // about 34 years
		if err != nil || i < len(parts)-1 && whole != p {
			return 0, fmt.Errorf("play time %q is malformed", clip(s))
		}
		ns, err := strconv.ParseUint((frac + "000000000")[:9], 10, 64)
		if err != nil || strings.Trim(frac, "0123456789") != "" {
			return 0, fmt.Errorf("play time %q is malformed", clip(s))
		}
		if sum > maxNPT/60 {
			return 0, errors.New("play time of more than 30 years")
		}
		sum = sum*60 + time.Duration(sec)*time.Second + time.Duration(ns)
		if sum > maxNPT {
			return 0, errors.New("play time of more than 30 years")
		}
	}
	return sum, nil
}

// clockLayout is an absolute time (§3.7), of which a fraction of the second is optional.
const clockLayout = "20060102T150405Z"

func (r *Range) clock(from, to string) (err error) {
	if r.From, err = time.Parse(clockLayout, from); err != nil {
		return fmt.Errorf("absolute time %q is malformed", clip(from))
	}
	if to == "" {
		return nil
	}
	if r.Until, err = time.Parse(clockLayout, to); err != nil {
		return fmt.Errorf("absolute time %q is malformed", clip(to))
	}
	if !r.Until.After(r.From) {
		return fmt.Errorf("Range ends at %s, before it begins", clip(to))
	}
	return nil
}

// String writes the range as an answer has it.
func (r Range) String() string {
	switch r.Unit {
	case "clock":
		s := "clock=" + clockTime(r.From) + "-"
		if !r.Until.IsZero() {
			s += clockTime(r.Until)
		}
		return s
	case "smpte":
		return "smpte=" + r.SMPTE
	}
	s := "npt=now-"
	if !r.Now {
		s = "npt=" + playTime(r.Start) + "-"
	}
	if r.End > 0 {
		s += playTime(r.End)
	}
	return s
}

func clockTime(t time.Time) string {
	return t.UTC().Format("20060102T150405.999999999Z")
}

// playTime writes milliseconds, as players do, and more digits only where there are any.
func playTime(d time.Duration) string {
	sec, ns := d/time.Second, d%time.Second
	frac := strings.TrimRight(fmt.Sprintf("%09d", int64(ns)), "0")
	return fmt.Sprintf("%d.%s", int64(sec), (frac + "000")[:max(3, len(frac))])
}
