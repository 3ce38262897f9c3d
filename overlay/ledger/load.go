package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// tail is how long what was emitted may have gone unwritten when a process was killed: it is allowed for.
const tail = 15 * time.Second

// loadEmission reads what was emitted of an epoch by an earlier process; nil is nothing.
func loadEmission(ctx context.Context, db *sql.DB, k epochKey) (*Emission, error) {
	rs, err := db.QueryContext(ctx, "SELECT seq, bytes, at FROM emitted WHERE channel = $1 AND epoch = $2 ORDER BY seq",
		k.channel[:], int64(k.epoch))
	if err != nil {
		return nil, fmt.Errorf("ledger: read what was emitted: %w", err)
	}
	defer rs.Close()
	e := newEmission(k.channel, k.epoch)
	found := false
	for rs.Next() {
		var m mark
		var at int64
		if err := rs.Scan(&m.seq, &m.bytes, &at); err != nil {
			return nil, fmt.Errorf("ledger: read what was emitted: %w", err)
		}
		found = true
		if e.last = time.UnixMilli(at); e.began.IsZero() {
			e.began = e.last
		}
		if e.now = m; m.seq > 0 {
			e.add(m)
		}
	}
	if err := rs.Err(); err != nil || !found {
		return nil, err
	}
	e.extrapolate()
	return e, nil
}

// extrapolate adds what may have been emitted after the last mark.
func (e *Emission) extrapolate() {
	d := e.last.Sub(e.began)
	if d <= 0 {
		return
	}
	e.stride = max(e.stride, e.now.seq/uint64(len(e.marks)))
	part := float64(tail) / float64(d)
	e.now.seq += uint64(part * float64(e.now.seq))
	e.now.bytes += uint64(part * float64(e.now.bytes))
}

// load reads the series and leases of an epoch.
func (e *epoch) load(ctx context.Context, db *sql.DB, k epochKey) error {
	rs, err := db.QueryContext(ctx, "SELECT raw, credited, frozen FROM series WHERE channel = $1 AND epoch = $2", k.channel[:], int64(k.epoch))
	if err != nil {
		return fmt.Errorf("ledger: read the receipts of an epoch: %w", err)
	}
	defer rs.Close()
	for rs.Next() {
		ln := new(line)
		if err := rs.Scan(&ln.raw, &ln.credited, &ln.frozen); err != nil {
			return fmt.Errorf("ledger: read the receipts of an epoch: %w", err)
		}
		if ln.receipt, _, _, err = decodeReceipt(ln.raw); err != nil {
			return fmt.Errorf("ledger: read the receipts of an epoch: %w", err)
		}
		e.series[ln.receipt.Series] = ln
		e.claim(ln.receipt)
		e.credit(ln.receipt, ln.credited)
		v := viewer{ln.receipt.Downloader, ln.receipt.Session}
		e.viewing[v] = max(e.viewing[v], ln.receipt.Viewing)
	}
	if err := rs.Err(); err != nil {
		return fmt.Errorf("ledger: read the receipts of an epoch: %w", err)
	}
	return e.loadLeases(ctx, db, k)
}

func (e *epoch) loadLeases(ctx context.Context, db *sql.DB, k epochKey) error {
	rs, err := db.QueryContext(ctx, "SELECT uploader, downloader, expires FROM leases WHERE channel = $1 AND epoch = $2",
		k.channel[:], int64(k.epoch))
	if err != nil {
		return fmt.Errorf("ledger: read the leases of an epoch: %w", err)
	}
	defer rs.Close()
	for rs.Next() {
		var up, down []byte
		var expires int64
		if err := rs.Scan(&up, &down, &expires); err != nil {
			return fmt.Errorf("ledger: read the leases of an epoch: %w", err)
		}
		if len(up) == len(Peer{}) && len(down) == len(Peer{}) {
			e.grant(pair{Peer(up), Peer(down)}, time.UnixMilli(expires))
		}
	}
	return rs.Err()
}

// grant notes a lease.
func (e *epoch) grant(p pair, expires time.Time) {
	if _, ok := e.leases[p]; !ok {
		e.leased[p.up]++
	}
	e.leases[p] = expires
}

// claim notes what a downloader says it has got.
func (e *epoch) claim(r *Receipt) {
	in := e.intake(r.Downloader)
	if !in.sessions[r.Session] {
		in.sessions[r.Session] = true
	}
	in.claimed[r.Series] = max(in.claimed[r.Series], r.Bytes)
	if r.Chunks > 0 {
		in.first, in.last = min(in.first, r.First), max(in.last, r.Last)
	}
}

// credit notes what was credited.
func (e *epoch) credit(r *Receipt, n uint64) {
	e.intake(r.Downloader).credited += n
	e.up[r.Uploader] += n
	e.flows[pair{r.Uploader, r.Downloader}] += n
}

func (e *epoch) intake(p Peer) *intake {
	in := e.down[p]
	if in == nil {
		in = &intake{claimed: make(map[Series]uint64), sessions: make(map[uint64]bool), first: maxNumber}
		e.down[p] = in
	}
	return in
}
