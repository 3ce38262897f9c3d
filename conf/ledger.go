package conf

import "strings"

// Ledger is where this gateway keeps who carried what of its streams.
type Ledger struct {
	Database string `yaml:"database"` // DSN of PostgreSQL; "" is a file in the data folder
}

// check does not repeat the DSN, which may hold a password.
func (l *Ledger) check(f faults) {
	if l.Database != "" && !strings.HasPrefix(l.Database, "postgres://") && !strings.HasPrefix(l.Database, "postgresql://") {
		f.fault("ledger.database", "must be a URL such as postgres://user:password@host/database, or empty")
	}
}
