package conf

import "log/slog"

// Log says what is logged and how.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
}

func defaultLog() Log { return Log{Level: "info", Format: "text"} }

func (c *Log) check(f faults) {
	oneOf(f, "log.level", c.Level, "debug", "info", "warn", "error")
	oneOf(f, "log.format", c.Format, "text", "json")
}

// SlogLevel returns the level in slog's terms.
func (c *Log) SlogLevel() slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(c.Level)) // checked when it was read
	return l
}
