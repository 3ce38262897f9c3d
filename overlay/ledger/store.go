package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// maxConns bounds the connections to a database: one writes, others read for reports.
const maxConns = 4

// IsDSN tells whether the name of a database is that of a PostgreSQL server and not a file.
func IsDSN(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://") ||
		strings.Contains(database, "host=") || strings.Contains(database, "dbname=")
}

// open opens a database, which is a file of SQLite's unless it is a DSN of PostgreSQL's, and brings its tables to what
// this version needs.
func open(ctx context.Context, database string) (*sql.DB, error) {
	driver, dsn, dialect := "pgx", database, goose.DialectPostgres
	if !IsDSN(database) {
		if err := touch(database); err != nil {
			return nil, fmt.Errorf("ledger %s: %w", database, err)
		}
		driver, dsn, dialect = "sqlite", fileDSN(database, "rwc"), goose.DialectSQLite3
	}
	db, err := connect(ctx, driver, dsn)
	if err != nil {
		return nil, err
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err == nil {
		var p *goose.Provider
		if p, err = goose.NewProvider(dialect, db, dir, goose.WithSlog(slog.New(slog.DiscardHandler))); err == nil {
			_, err = p.Up(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ledger: bring the tables up to date: %w", err), db.Close())
	}
	return db, nil
}

// view opens a database to read it. A file must exist.
func view(ctx context.Context, database string) (*sql.DB, error) {
	if IsDSN(database) {
		return connect(ctx, "pgx", database)
	}
	if _, err := os.Stat(database); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return connect(ctx, "sqlite", fileDSN(database, "rw")) // a reader of a write-ahead log must be able to write beside it
}

func connect(ctx context.Context, driver, dsn string) (*sql.DB, error) {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", hide(err))
	}
	db.SetMaxOpenConns(maxConns)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("ledger: reach the database: %w", hide(err)), db.Close())
	}
	return db, nil
}

// hide keeps a DSN, which may hold a password, out of an error.
func hide(err error) error {
	if strings.Contains(err.Error(), "cannot parse") {
		return errors.New("ledger.database is no DSN such as postgres://user:password@host/database")
	}
	return err
}

// fileDSN returns what the driver wants for a file. A commit is on disk when it returns.
func fileDSN(path, mode string) string {
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}}
	q["_pragma"] = []string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)"}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// touch makes a file that its user alone can read.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// rows are rows to be written into a table.
type rows struct {
	table    string
	columns  string // separated by ", "
	conflict string // what follows ON CONFLICT; "" is an error
	values   []any
}

// maxRows is how many rows one statement writes: SQLite takes 32766 values, and each number of rows is a statement to be
// prepared.
const maxRows = 100

func (r *rows) add(values ...any) { r.values = append(r.values, values...) }

// write writes the rows in as few statements as may be.
func (r *rows) write(ctx context.Context, tx *sql.Tx) error {
	width := strings.Count(r.columns, ",") + 1
	for at := 0; at < len(r.values); at += width * maxRows {
		part := r.values[at:min(len(r.values), at+width*maxRows)]
		if _, err := tx.ExecContext(ctx, r.statement(width, len(part)/width), part...); err != nil {
			return fmt.Errorf("write %s: %w", r.table, err)
		}
	}
	return nil
}

func (r *rows) statement(width, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES ", r.table, r.columns)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		for j := range width {
			sep := byte(',')
			if j == 0 {
				sep = '('
			}
			fmt.Fprintf(&b, "%c$%d", sep, i*width+j+1)
		}
		b.WriteByte(')')
	}
	if r.conflict != "" {
		b.WriteString(" ON CONFLICT " + r.conflict)
	}
	return b.String()
}
