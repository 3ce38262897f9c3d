package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// postgres is a PostgreSQL server of the tests' own, at a socket in a folder of its own.
type postgres struct {
	folder string
	as     *syscall.Credential
	server *exec.Cmd
	number atomic.Int64 // of databases made
}

// shared is the server that all tests use; TestMain ends it.
var shared *postgres

func TestMain(m *testing.M) {
	code := func() int {
		if dsn := os.Getenv(victimEnv); dsn != "" {
			return victim(dsn)
		}
		p, err := startPostgres()
		if err != nil {
			fmt.Fprintln(os.Stderr, "the tests need Debian's package postgresql:", err)
			return 1
		}
		defer p.stop()
		shared = p
		return m.Run()
	}()
	os.Exit(code)
}

// startPostgres makes a database cluster and starts a server on it. PostgreSQL refuses to be root: then its own user runs it.
func startPostgres() (_ *postgres, err error) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		return nil, errors.New("there is no /usr/lib/postgresql/*/bin")
	}
	bin := bins[len(bins)-1]
	p := new(postgres)
	if p.folder, err = os.MkdirTemp("", "peergate-pg-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		p.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(p.folder, uid, gid); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(p.folder, "data")
	if out, err := p.command(bin+"/initdb", "-D", data, "-U", "peergate", "-A", "trust", "-E", "UTF8", "--no-sync").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	p.server = p.command(bin+"/postgres", "-D", data, "-k", p.folder, "-c", "listen_addresses=", "-c", "fsync=off")
	if err := p.server.Start(); err != nil {
		return nil, err
	}
	for limit := time.Now().Add(time.Minute); ; {
		out, err := p.command(bin+"/pg_isready", "-h", p.folder).CombinedOutput()
		if err == nil {
			return p, nil
		}
		if time.Now().After(limit) {
			return nil, fmt.Errorf("the server does not come up: %s", out)
		}
		<-time.After(50 * time.Millisecond)
	}
}

func (p *postgres) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir = p.folder
	c.SysProcAttr = &syscall.SysProcAttr{Credential: p.as, Pdeathsig: syscall.SIGKILL}
	return c
}

// stop ends the server and removes its folder.
func (p *postgres) stop() {
	if p.server != nil && p.server.Process != nil {
		_ = p.server.Process.Signal(syscall.SIGINT) // fast shutdown
		_ = p.server.Wait()
	}
	os.RemoveAll(p.folder)
}

// database makes a schema of a test's own, which is cheaper than a database, and returns its DSN.
func (p *postgres) database(t testing.TB) string {
	t.Helper()
	dsn := fmt.Sprintf("host=%s user=peergate dbname=postgres", p.folder)
	db, err := connect(context.Background(), "pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	schema := fmt.Sprintf("ledger%d", p.number.Add(1))
	if _, err := db.Exec("CREATE SCHEMA " + schema); err != nil {
		t.Fatal(err)
	}
	return dsn + " search_path=" + schema
}

// onBoth runs a test on a file and on the server.
func onBoth(t *testing.T, f func(t *testing.T, database string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, filepath.Join(t.TempDir(), "ledger? %41.db")) })
	t.Run("postgres", func(t *testing.T) { f(t, shared.database(t)) })
}
